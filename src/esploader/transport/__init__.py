"""Byte pipes with two lines, a baud rate and a clock."""
