"""Bytes to write: the same in every run, and for every seed others."""

from __future__ import annotations

import random


def firmware(seed: int, size: int) -> bytes:
    """Return bytes that compress to about 55 %, as code does, with every value among them."""
    source = random.Random(seed)  # noqa: S311 - the same in every run
    pieces = [
        source.randbytes(17) + bytes((source.randrange(256),)) * 15 for _ in range(size // 32 + 1)
    ]
    return b"".join(pieces)[:size]
