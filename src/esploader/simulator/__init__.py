"""Chips made of software."""
