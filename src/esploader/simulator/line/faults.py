"""What can go wrong on a line, as data.

:class:`~esploader.simulator.line.faulty_transport.FaultyTransport` makes it happen, on the line
of a simulated device or of a real one. Faults are frozen values: compose them by putting several
into a tuple, each of which gets what the one before it has left.
"""

from __future__ import annotations

import abc
import enum
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import attrs

from esploader.classes import frozen, override
from esploader.simulator.soc.uart import resample

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable


_NumberT = TypeVar("_NumberT", int, float)

_NOMINAL_RATE: Final = 1_000_000
_NO_BOUND: Final = float("inf")


class Direction(enum.Enum):
    """Which way bytes go."""

    TO_DEVICE = enum.auto()
    """From the host to the device."""
    FROM_DEVICE = enum.auto()
    """From the device to the host."""
    BOTH = enum.auto()
    """Both ways."""


def _as_set(positions: Iterable[int]) -> frozenset[int]:
    return frozenset(positions)


def _require_positions(_: object, __: object, positions: frozenset[object]) -> None:
    for position in positions:
        if not isinstance(position, int) or position < 0:
            raise ValueError(f"position {position!r}: bytes are counted from 0 on")


def _require_direction(_: object, __: object, direction: object) -> None:
    if not isinstance(direction, Direction):
        choices = ", ".join(map(str, Direction))
        raise TypeError(f"direction={direction!r}: one of {choices} is needed")


def _within(
    low: float, high: float
) -> Callable[[object, attrs.Attribute[_NumberT], _NumberT], None]:
    """Return what sees to it that a number is one, and within bounds."""

    def require(_: object, attribute: attrs.Attribute[_NumberT], value: object) -> None:
        if not isinstance(value, int | float):
            raise TypeError(f"{attribute.name}={value!r}: a number is needed")
        if not low <= value <= high:
            bounds = f"from {low:g} to {high:g}" if high < _NO_BOUND else f"at least {low:g}"
            raise ValueError(f"{attribute.name}={value}: {bounds} is needed")

    return require


@frozen(kw_only=True)
class Fault(abc.ABC):
    """Something that happens to bytes. Each direction counts its own."""

    rate: float = attrs.field(default=0.0, validator=_within(0, 1))
    """The share of the bytes to which it happens, or with which it begins; 1 is all of them."""

    positions: frozenset[int] = attrs.field(
        default=frozenset(),
        converter=_as_set,
        validator=_require_positions,
        repr=lambda positions: f"<{len(positions)} bytes>",
    )
    """Bytes to which it happens in any case, counted from 0 on."""

    direction: Direction = attrs.field(default=Direction.BOTH, validator=_require_direction)
    """Which way the bytes go that it strikes."""

    @property
    def run_size(self) -> int:
        """To how many bytes in a row it happens, once it has begun."""
        return 1

    @abc.abstractmethod
    def strike(self, value: int, source: random.Random) -> tuple[Piece, ...]:
        """Return what takes the place of a byte; ``source`` is where chance comes from."""


@frozen(kw_only=True)
class Drop(Fault):
    """The byte is lost."""

    @override
    def strike(self, value: int, source: random.Random) -> tuple[Piece, ...]:
        return ()


@frozen(kw_only=True)
class Overflow(Fault):
    """A FIFO is full, as nobody has emptied it in time: some bytes in a row are lost."""

    count: int = attrs.field(default=16, validator=_within(1, _NO_BOUND))
    """How many; a FIFO that is emptied late by so many byte times loses so many."""

    @property
    @override
    def run_size(self) -> int:
        return self.count

    @override
    def strike(self, value: int, source: random.Random) -> tuple[Piece, ...]:
        return ()


@frozen(kw_only=True)
class Duplicate(Fault):
    """The byte arrives twice."""

    @override
    def strike(self, value: int, source: random.Random) -> tuple[Piece, ...]:
        return (bytes((value, value)),)


@frozen(kw_only=True)
class Corrupt(Fault):
    """The byte arrives as another."""

    whole_byte: bool = False
    """It may be any other; otherwise one bit differs."""

    @override
    def strike(self, value: int, source: random.Random) -> tuple[Piece, ...]:
        change = source.randrange(1, 256) if self.whole_byte else 1 << source.randrange(8)
        return (bytes((value ^ change,)),)


@frozen(kw_only=True)
class BaudMismatch(Fault):
    """The receiver's clock runs at another rate than the sender's; all bytes suffer from it.

    Each byte is sampled by itself, as if there were a pause behind it. Up to some percent
    change nothing, as with a real UART. The lines and the rates that are asked for have
    nothing to do with it.
    """

    rate: float = attrs.field(default=1.0, validator=_within(0, 1))
    """The share of the bytes that suffer from it, from 0 to 1."""
    factor: float = attrs.field(validator=_within(0.1, 10))
    """The sender's rate divided by the receiver's."""

    @override
    def strike(self, value: int, source: random.Random) -> tuple[Piece, ...]:
        received = resample(bytes((value,)), round(self.factor * _NOMINAL_RATE), _NOMINAL_RATE)
        return (received,) if received else ()


@frozen(kw_only=True)
class _Event(Fault):
    """A fault that leaves the byte as it is."""

    @override
    def strike(self, value: int, source: random.Random) -> tuple[Piece, ...]:
        return (self, bytes((value,)))


@frozen(kw_only=True)
class Delay(_Event):
    """The byte and all that follow it in its direction come later."""

    seconds: float = attrs.field(validator=_within(0, _NO_BOUND))
    """By how much."""


@frozen(kw_only=True)
class Jitter(Fault):
    """The byte and all that follow it come later by a time that chance decides."""

    seconds: float = attrs.field(validator=_within(0, _NO_BOUND))
    """At most."""

    @override
    def strike(self, value: int, source: random.Random) -> tuple[Piece, ...]:
        return (Delay(seconds=source.random() * self.seconds), bytes((value,)))


@frozen(kw_only=True)
class Split(_Event):
    """What comes before the byte and what comes from it on arrive in two pieces, if at once."""


@frozen(kw_only=True)
class Stall(_Event):
    """From that byte on nothing passes in either direction for some time, then all at once."""

    seconds: float = attrs.field(validator=_within(0, _NO_BOUND))
    """For how long."""


@frozen(kw_only=True)
class Cut(_Event):
    """The connection ends before that byte, and what is under way is lost.

    It can be used again after ``seconds``, by itself or by
    :meth:`FaultyTransport.reopen`; what the device says meanwhile nobody hears. Bytes that
    are lost with it count for the faults that follow.
    """

    seconds: float = attrs.field(default=0.0, validator=_within(0, _NO_BOUND))
    """For how long."""


Piece: TypeAlias = bytes | _Event
"""What is under way: bytes, and what happens between them."""
