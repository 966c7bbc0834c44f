"""A device and its parts; finding out which one it is."""
