"""Bytes to firmware images and back; nothing here does I/O."""
