"""A revision of the silicon."""

from __future__ import annotations

from esploader.classes import frozen, override


@frozen(order=True)
class Revision:
    """A revision of the silicon; later ones are greater."""

    major: int
    """Changes with what software has to know."""
    minor: int
    """Changes with what it need not know."""

    @override
    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}"
