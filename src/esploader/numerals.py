"""The one place where text that somebody wrote becomes a number, within bounds.

Python refuses to read, and to print, numbers of more than 4300 digits, by a :exc:`ValueError` in
whatever happens to do it; and infinity is a number to it. Whoever reads numbers says between which
two they lie.
"""

from __future__ import annotations

from typing import Final

MAX_TEXT_SIZE: Final = 100
"""A number that takes more characters is none: 256 bits are 78 digits."""

_MAX_SHOWN_SIZE: Final = 60


def whole(text: str, low: int, high: int, *, base: int = 0) -> int:
    """Return the whole number that ``text`` spells: ``4096``, or ``0x1000`` with base 0.

    Raises :exc:`ValueError` when it spells none, or one that is not between the two; its text
    says which, for whoever wrote it.
    """
    try:
        value = int(text, base) if len(text) <= MAX_TEXT_SIZE else None
    except ValueError:
        value = None
    if value is None:
        raise ValueError(f"{shown(text)} is not a number")
    if not low <= value <= high:
        raise ValueError(f"{text.strip()} is not between {low} and {high}")
    return value


def real(text: str, low: float, high: float) -> float:
    """Return the number that ``text`` spells: ``0.25``. Raises as :func:`whole`."""
    try:
        value = float(text) if len(text) <= MAX_TEXT_SIZE else None
    except ValueError:
        value = None
    if value is None:
        raise ValueError(f"{shown(text)} is not a number")
    if not low <= value <= high:
        raise ValueError(f"{text.strip()} is not between {low:g} and {high:g}")
    return value


def shown(value: object) -> str:
    """Return how a value that somebody wrote looks in a message, whatever it is."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of more than 4300 digits"
    return text if len(text) <= _MAX_SHOWN_SIZE else f"{text[:_MAX_SHOWN_SIZE]}..."


def printable(text: str) -> str:
    """Return a text from outside with ``?`` for each character that could upset a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
