"""From the words of a command line to values, for argparse."""

from __future__ import annotations

import argparse
from typing import Final

from esploader.numerals import whole

_MAX_WORD: Final = 0xFFFF_FFFF
_MAX_COUNT: Final = 1_000_000
_MAX_TCP_PORT: Final = 0xFFFF
_UNITS: Final = {"k": 1 << 10, "M": 1 << 20}


def number(text: str) -> int:
    """Return a number of 32 bits: ``4096``, ``0x1000``, ``4k``, ``1M``."""
    unit = _UNITS.get(text[-1:], 1)
    digits = text[:-1] if text[-1:] in _UNITS else text
    return unit * _bounded(digits, 0, _MAX_WORD // unit)


def size(text: str) -> int | None:
    """Return a number of bytes; ``None`` for ``all``."""
    return None if text.lower() == "all" else number(text)


def count(text: str) -> int:
    """Return how often something is to be done."""
    return _bounded(text, 0, _MAX_COUNT)


def tcp_port(text: str) -> int:
    """Return the number of a TCP port, 0 included."""
    return _bounded(text, 0, _MAX_TCP_PORT)


def hyphened(text: str) -> str:
    """Return a name in its usual spelling."""
    return text.replace("_", "-")


def _bounded(text: str, low: int, high: int) -> int:
    try:
        return whole(text, low, high)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None
