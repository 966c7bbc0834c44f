"""What can go wrong on a line, as data.

:class:`~esploader.simulator.faulty_transport.FaultyTransport` makes it happen.
"""

from __future__ import annotations

import abc
import enum
from typing import TYPE_CHECKING, TypeAlias

import attrs
from typing_extensions import override

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable


class Direction(enum.Enum):
    """Which way bytes go."""

    TO_DEVICE = enum.auto()
    FROM_DEVICE = enum.auto()
    BOTH = enum.auto()


def _as_set(positions: Iterable[int]) -> frozenset[int]:
    return frozenset(positions)


@attrs.frozen(kw_only=True)
class Fault(abc.ABC):
    """Something that happens to bytes. Each direction counts its own."""

    rate: float = attrs.field(
        default=0.0, validator=[attrs.validators.ge(0.0), attrs.validators.lt(1.0)]
    )
    """The share of the bytes to which it happens."""

    positions: frozenset[int] = attrs.field(default=(), converter=_as_set)
    """Bytes to which it happens in any case, counted from 0 on."""

    direction: Direction = Direction.BOTH

    @abc.abstractmethod
    def strike(self, value: int, source: random.Random) -> tuple[Piece, ...]:
        """Return what takes the place of a byte; ``source`` is where chance comes from."""


@attrs.frozen(kw_only=True)
class Drop(Fault):
    """The byte is lost."""

    @override
    def strike(self, value: int, source: random.Random) -> tuple[Piece, ...]:
        return ()


@attrs.frozen(kw_only=True)
class Corrupt(Fault):
    """The byte arrives as another."""

    whole_byte: bool = False
    """It may be any other; otherwise one bit differs."""

    @override
    def strike(self, value: int, source: random.Random) -> tuple[Piece, ...]:
        change = source.randrange(1, 256) if self.whole_byte else 1 << source.randrange(8)
        return (bytes((value ^ change,)),)


@attrs.frozen(kw_only=True)
class _Event(Fault):
    """A fault that leaves the byte as it is."""

    @override
    def strike(self, value: int, source: random.Random) -> tuple[Piece, ...]:
        return (self, bytes((value,)))


@attrs.frozen(kw_only=True)
class Delay(_Event):
    """The byte and all that follow it in its direction come later."""

    seconds: float


@attrs.frozen(kw_only=True)
class Stall(_Event):
    """From that byte on nothing passes in either direction for some time, then all at once."""

    seconds: float


@attrs.frozen(kw_only=True)
class Cut(_Event):
    """The connection ends before that byte, and what is under way is lost.

    It can be used again after ``seconds``, by itself or by
    :meth:`FaultyTransport.reopen`; what the device says meanwhile nobody hears. Bytes that
    are lost with it count for the faults that follow.
    """

    seconds: float = 0.0


Piece: TypeAlias = bytes | _Event
"""What is under way: bytes, and what happens between them."""
