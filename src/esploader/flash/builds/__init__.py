"""Folders that build tools leave: what goes into the flash, where to, and for which chip.

They are read, and never believed: what they name has a size, a place and an age that are looked at.
"""
