"""A place in flash that has bounds and a name: what goes there must not leave it."""

from __future__ import annotations

from typing import TypeAlias

import attrs
from typing_extensions import override

from esploader.errors import PlanError


@attrs.frozen(kw_only=True)
class Place:
    """Where something goes to in a partition."""

    name: str
    """That of the partition, for people."""
    start: int = attrs.field(repr=hex)
    """Where the partition begins in flash."""
    size: int = attrs.field(repr=hex)
    """Bytes of it."""
    is_app: bool = False
    """It is for an application, which has to be one for this device."""
    objection: str | None = None
    """Why nothing is to be written there, of a table that cannot be right; usually ``None``."""
    offset: int = attrs.field(repr=hex)
    """Where in flash the data begin."""

    @offset.default
    def _starts(self) -> int:
        return self.start

    def __add__(self, size: int) -> Place:
        """Return the place that is so many bytes further on."""
        return attrs.evolve(self, offset=self.offset + size)

    @property
    def end(self) -> int:
        """The offset behind the last byte of the partition."""
        return self.start + self.size

    def check_alone(self) -> None:
        """Refuse to change what is there, where that would change something else.

        Raises:
            PlanError: it would.
        """
        if self.objection is not None:
            raise PlanError(f"the partition {self} is left alone: {self.objection}")

    @override
    def __str__(self) -> str:
        return f"{self.name} ({self.size:#x} bytes at {self.start:#x})"


Offset: TypeAlias = int | Place
"""Where something goes to in flash: an offset in bytes, or a place with bounds."""


def offset_of(where: Offset) -> int:
    """Return where data begin."""
    return where.offset if isinstance(where, Place) else where
