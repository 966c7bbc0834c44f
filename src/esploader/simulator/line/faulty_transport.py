"""A transport on whose line faults happen.

Which bytes are hit depends on the seed and on how many bytes went before in that direction:
not on the clock, and not on the pieces in which they are written or read.
"""

from __future__ import annotations

import math
import random
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, override
from esploader.errors import HostUnreachableError, TransportClosedError
from esploader.simulator.line.faults import Cut, Delay, Direction, Fault, Piece, Split, Stall
from esploader.simulator.line.transport import RealTimeTransport
from esploader.transport.wrapping import InnerT, WrappingTransport

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

_NEVER: Final = float("inf")

# No bytes: what is held before it and what is held behind it arrive apart.
_BOUNDARY: Final = b""


@define(eq=False)
class _Stage:
    """One fault in one direction."""

    fault: Fault
    _random: random.Random
    _seen: int = attrs.field(default=0, init=False)
    _run_end: int = attrs.field(default=0, init=False)
    """To the bytes before that one it is happening."""
    _listed: deque[int] = attrs.field(init=False)
    _next_random: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._listed = deque(sorted(self.fault.positions))
        self._next_random = self._gap()

    def apply(self, data: bytes) -> Iterator[Piece]:
        """Return what becomes of bytes."""
        start = 0
        for index in self._hits(len(data)):
            if index > start:
                yield data[start:index]
            yield from self.fault.strike(data[index], self._random)
            start = index + 1
        if start < len(data):
            yield data[start:]

    def _hits(self, size: int) -> Iterator[int]:
        """Yield which of the next ``size`` bytes are hit."""
        start = first = self._seen
        self._seen += size
        while True:
            while first < min(self._run_end, self._seen):
                yield first - start
                first += 1
            listed = self._listed[0] if self._listed else _NEVER
            position = min(listed, self._next_random)
            if position >= self._seen:
                return
            if position == listed:
                self._listed.popleft()
            if position == self._next_random:
                self._next_random += 1 + self._gap()
            if position >= first:
                first = int(position)
                self._run_end = first + self.fault.run_size

    def _gap(self) -> float:
        """Draw how many bytes are spared: a geometric distribution, from one number."""
        if self.fault.rate == 0.0:
            return _NEVER
        if self.fault.rate == 1.0:
            return 0.0
        return math.floor(math.log1p(-self._random.random()) / math.log1p(-self.fault.rate))


@define(eq=False)
class _Way:
    """One direction of a line."""

    stages: tuple[_Stage, ...]
    held: deque[tuple[float, bytes]] = attrs.field(factory=deque, init=False)
    """What is under way, and when it will be there."""
    _delayed_until: float = attrs.field(default=float("-inf"), init=False)

    @classmethod
    def make(cls, faults: tuple[Fault, ...], seed: int, direction: Direction) -> _Way:
        """Return a direction in which nothing has passed yet."""
        stages = (
            _Stage(fault, random.Random(f"{seed} {index} {direction.name}"))  # noqa: S311 - no secret
            for index, fault in enumerate(faults)
            if fault.direction in {direction, Direction.BOTH}
        )
        return cls(tuple(stages))

    def pass_through(self, data: bytes) -> list[Piece]:
        """Return what becomes of bytes."""
        pieces: list[Piece] = [data] if data else []
        for stage in self.stages:
            passed: list[Piece] = []
            for piece in pieces:
                passed += stage.apply(piece) if isinstance(piece, bytes) else (piece,)
            pieces = passed
        return pieces

    def hold(self, data: bytes, until: float) -> None:
        """Let bytes be there at ``until``, and not before those that went before them."""
        self._delayed_until = max(self._delayed_until, until)
        self.held.append((self._delayed_until, data))

    def delay(self, now: float, seconds: float) -> None:
        """Let what follows come later."""
        self._delayed_until = max(self._delayed_until, now) + seconds

    def forget(self) -> None:
        """Lose what is under way."""
        self.held.clear()
        self._delayed_until = float("-inf")

    def split(self, now: float) -> None:
        """Let what follows arrive in another piece."""
        self.hold(_BOUNDARY, now)

    def take(self, now: float) -> bytes:
        """Return what is there, up to the end of a piece."""
        arrived = bytearray()
        while self.held and self.held[0][0] <= now:
            data = self.held.popleft()[1]
            if not data and arrived:
                break
            arrived += data
        return bytes(arrived)

    def take_all(self, now: float) -> bytes:
        """Return what is there, in however many pieces."""
        arrived = bytearray()
        while data := self.take(now):
            arrived += data
        return bytes(arrived)

    def next_time(self) -> float:
        """Return when the next bytes will be there."""
        return self.held[0][0] if self.held else _NEVER


@define(eq=False)
class _LineState:
    """What a line remembers from one connection to the next."""

    to_device: _Way
    from_device: _Way
    is_cut: bool = False
    was_told: bool = False
    """The user has had an exception for it."""
    back_at: float = 0.0

    @classmethod
    def make(cls, faults: tuple[Fault, ...], seed: int) -> _LineState:
        """Return a line on which nothing has happened yet."""
        return cls(
            _Way.make(faults, seed, Direction.TO_DEVICE),
            _Way.make(faults, seed, Direction.FROM_DEVICE),
        )

    def cut(self, now: float, seconds: float) -> None:
        """Lose the connection, and what is under way."""
        self.is_cut, self.was_told = True, False
        self.back_at = now + seconds
        self.to_device.forget()
        self.from_device.forget()


def _as_faults(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    if isinstance(faults, Fault):
        raise TypeError(f"{faults!r}: a tuple of faults is needed")
    found = tuple(faults)
    for fault in found:
        if not isinstance(fault, Fault):
            raise TypeError(f"{fault!r} is no fault")
    return found


@define(eq=False, repr=False)
class FaultyTransport(WrappingTransport[InnerT]):
    """A transport in front of any other, on whose line faults happen, in the order given.

    Bytes that are held back move on when something is done with the transport; who sleeps
    instead of reading keeps them waiting. Closing closes the inner transport, unless the line
    is cut.
    """

    faults: tuple[Fault, ...] = attrs.field(default=(), converter=_as_faults)
    """What goes wrong; each gets what the one before it has left."""
    seed: int = 0
    """The same seed has the same things go wrong."""
    _line: _LineState = attrs.field(
        default=attrs.Factory(
            lambda self: _LineState.make(self.faults, self.seed), takes_self=True
        ),
        kw_only=True,
        repr=False,
    )
    _closed: bool = attrs.field(default=False, init=False)

    @override
    def read(self, deadline: float) -> bytes:
        self._check()
        line, clock = self._line, self.clock
        self._send_held()
        wake = clock.now()
        while True:
            self._receive(wake)
            self._send_held()
            data = line.from_device.take(clock.now())
            if data:
                return data
            self._check()
            if clock.now() >= deadline:
                return b""
            wake = min(deadline, line.to_device.next_time(), line.from_device.next_time())

    @override
    def write(self, data: bytes) -> None:
        self._check()
        self._follow(self._line.to_device, self._line.to_device.pass_through(data))
        self._send_held()
        self._check()

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self._finish_sending()
        self.inner.set_lines(dtr=dtr, rts=rts)

    @override
    def set_baudrate(self, baudrate: int) -> None:
        self._finish_sending()
        self.inner.set_baudrate(baudrate)

    @override
    def discard_input(self) -> bytes:
        """Empty the receive buffers; what is held back on the line still comes."""
        self._check()
        self._send_held()
        self._receive(self.clock.now())
        return self._line.from_device.take_all(self.clock.now())

    @override
    def close(self) -> None:
        if not self._closed and not self._line.is_cut:
            self.inner.close()
        self._closed = True

    def reopen(self) -> Self:
        """Return a new transport on the same line, which goes on with its faults.

        Raises:
            HostUnreachableError: the line is still cut.
        """
        if self._line.is_cut and self.clock.now() < self._line.back_at:
            raise HostUnreachableError(self.name, "the line is cut")
        self._reconnect()
        return attrs.evolve(self)

    def _check(self) -> None:
        """Raise unless the connection can be used."""
        if self._closed:
            raise TransportClosedError(self.name, "the port is closed")
        line = self._line
        if line.is_cut and (not line.was_told or self.clock.now() < line.back_at):
            line.was_told = True
            raise TransportClosedError(self.name, "the line was cut")
        self._reconnect()

    def _reconnect(self) -> None:
        if self._line.is_cut:
            self._line.is_cut = False
            self.inner.discard_input()

    def _receive(self, until: float) -> None:
        data = self.inner.read(until)
        self._follow(self._line.from_device, self._line.from_device.pass_through(data))

    def _follow(self, way: _Way, pieces: list[Piece]) -> None:
        """Put bytes on their way, and let happen what happens to them."""
        line, now = self._line, self.clock.now()
        for piece in pieces:
            match piece:
                case bytes():
                    way.hold(piece, now)
                case Delay(seconds=seconds):
                    way.delay(now, seconds)
                case Split():
                    way.split(now)
                case Stall(seconds=seconds):
                    line.to_device.delay(now, seconds)
                    line.from_device.delay(now, seconds)
                case Cut(seconds=seconds):
                    # What went before the cut is there.
                    arrived = way.take_all(now)
                    line.cut(now, seconds)
                    way.hold(arrived, now)
                    return

    def _send_held(self) -> None:
        while data := self._line.to_device.take(self.clock.now()):
            self.inner.write(data)

    def _finish_sending(self) -> None:
        """Wait until what was written has passed."""
        self._check()
        while self._line.to_device.held:
            self.clock.sleep(self._line.to_device.next_time() - self.clock.now())
            self._send_held()


@define(eq=False, repr=False)
class FaultyRealTimeTransport(FaultyTransport[RealTimeTransport]):
    """One in front of a simulated device in real time, for those who serve it.

    While nothing happens nothing is done.
    """

    @property
    def drained_at(self) -> float:
        """The moment at which all that has passed has arrived at the device."""
        return self.inner.drained_at

    def next_event(self) -> float | None:
        """Return when :meth:`read` has something to do; ``None`` for never.

        Anything done to the device may change the answer.
        """
        moment = self.inner.next_event()
        next_moment = min(
            _NEVER if moment is None else moment,
            self._line.to_device.next_time(),
            self._line.from_device.next_time(),
        )
        return None if next_moment == _NEVER else next_moment
