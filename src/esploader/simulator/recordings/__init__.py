"""Recordings of what passes between host and device."""
