"""The serial line of a simulated device: bytes with times, and what a wrong rate makes of them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define

if TYPE_CHECKING:
    from collections.abc import Callable

BITS_PER_BYTE: Final = 10
"""Start bit, eight data bits, stop bit."""

RATE_TOLERANCE: Final = 0.03
"""Two rates that differ by no more than this understand each other."""

# What an adapter hands over at once: so many bytes, or as many as come in so many seconds,
# which at high rates spares everybody a hundred small pieces a second.
_PIECE_SIZE: Final = 512
_PIECE_TIME: Final = 0.025

_LEVELS: Final = tuple(
    bytes((0, *((value >> bit) & 1 for bit in range(8)), 1)) for value in range(256)
)
_DATA_BITS: Final = 8
_STOP_BIT_CENTRE: Final = 9.5


def rates_match(sent: int, seen: int) -> bool:
    """Tell whether a receiver at one rate understands a sender at the other."""
    return abs(sent - seen) <= RATE_TOLERANCE * seen


def resample(data: bytes, sent: int, seen: int) -> bytes:
    """Return what a UART at rate ``seen`` makes of ``data`` sent without gaps at rate ``sent``.

    The bits are drawn and sampled in their middle, as a UART does it. The result depends
    on the arguments only.
    """
    levels = b"".join(map(_LEVELS.__getitem__, data))
    step = sent / seen
    received = bytearray()
    position = 0
    while (edge := levels.find(0, position)) >= 0:
        value = 0
        for bit in range(_DATA_BITS):
            sample = int(edge + (1.5 + bit) * step)
            # The line is idle, which is high, after the last byte.
            if sample >= len(levels) or levels[sample]:
                value |= 1 << bit
        received.append(value)
        # The next start bit is a falling edge, so the line has to be high first.
        position = levels.find(1, int(edge + _STOP_BIT_CENTRE * step))
        if position < 0:
            break
    return bytes(received)


@define(eq=False)
class Stretch:
    """Bytes on the wire without gaps."""

    data: bytes
    start: float
    """When the start bit of the first byte begins."""
    byte_time: float
    baudrate: int | None
    """The sender's rate; ``None`` follows the receiver's."""
    taken: int = 0
    """How many of the bytes have been dealt with."""

    def is_understood_at(self, baudrate: int) -> bool:
        """Tell whether a receiver at that rate gets the bytes that were sent."""
        return self.baudrate is None or rates_match(self.baudrate, baudrate)

    @property
    def end(self) -> float:
        """When the last byte is complete."""
        return self.time_of(len(self.data) - 1)

    def time_of(self, index: int) -> float:
        """Return when the byte at ``index`` is complete."""
        return self.start + (index + 1) * self.byte_time

    def complete_count(self, now: float) -> int:
        """Return how many of the bytes are complete at ``now``."""
        size, start, byte_time = len(self.data), self.start, self.byte_time
        if start > now:
            return 0
        if byte_time == 0 or start + size * byte_time <= now:
            return size
        count = int((now - start) / byte_time)
        # Division and multiplication round differently: time_of() has the last word.
        while count < size and start + (count + 1) * byte_time <= now:
            count += 1
        while count > 0 and start + count * byte_time > now:
            count -= 1
        return count

    def cut_off(self, moment: float) -> None:
        """Lose what is not complete at ``moment``."""
        self.data = self.data[: max(self.complete_count(moment), self.taken)]


@define(eq=False)
class Transmitter:
    """What the device sends, in the order of time."""

    paced: bool
    _queue: deque[Stretch] = attrs.field(factory=deque, init=False)
    _free_at: float = attrs.field(default=0.0, init=False)

    @property
    def free_at(self) -> float:
        """When the last byte is out."""
        return self._free_at

    def send(self, data: bytes, at: float, baudrate: int) -> None:
        """Send ``data`` from ``at`` on, or as soon as what is being sent is out."""
        byte_time = BITS_PER_BYTE / baudrate if self.paced else 0.0
        size = max(_PIECE_SIZE, int(_PIECE_TIME * baudrate / BITS_PER_BYTE))
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            stretch = Stretch(piece, max(at, self._free_at), byte_time, baudrate)
            self._queue.append(stretch)
            self._free_at = stretch.end

    def cut_off(self, moment: float) -> None:
        """Stop sending: what is not out at ``moment`` never will be."""
        for stretch in self._queue:
            stretch.cut_off(moment)
        self._free_at = min(self._free_at, moment)

    def forget(self) -> None:
        """Lose what nobody has taken yet."""
        self._queue.clear()

    def next_time(self) -> float:
        """Return when the next piece is out as a whole; infinity when there is none."""
        return self._queue[0].end if self._queue else float("inf")

    def take(self, until: float, baudrate: int | None, *, in_pieces: bool = False) -> bytes:
        """Return what a host that listens at ``baudrate`` has got by ``until``.

        ``in_pieces`` leaves one that is not yet out as a whole, as an adapter does.
        """
        if not self._queue:
            return b""
        received = bytearray()
        while self._queue:
            stretch = self._queue[0]
            count = stretch.complete_count(until)
            whole = count == len(stretch.data)
            if in_pieces and not whole:
                break
            sent = stretch.baudrate
            if baudrate is None or sent is None or rates_match(sent, baudrate):
                received += stretch.data[stretch.taken : count]
                stretch.taken = count
            elif whole:
                received += resample(stretch.data[stretch.taken :], sent, baudrate)
            if not whole:
                break
            self._queue.popleft()
        return bytes(received)


@define(eq=False)
class Receiver:
    """What is on its way to the device, in the order of time."""

    paced: bool
    _queue: deque[Stretch] = attrs.field(factory=deque, init=False)

    def receive(self, data: bytes, start: float, baudrate: int | None, own_rate: int) -> float:
        """Take what a host sends from ``start`` on; return when the last byte has arrived.

        What another line has sent before, and may have been cut since, arrives first.
        """
        if self._queue:
            start = max(start, self._queue[-1].end)
        byte_time = BITS_PER_BYTE / (baudrate or own_rate) if self.paced else 0.0
        stretch = Stretch(data, start, byte_time, baudrate)
        if data:
            self._queue.append(stretch)
        return stretch.end

    @property
    def first(self) -> Stretch | None:
        """What comes next, and may have come in part."""
        return self._queue[0] if self._queue else None

    def drop_taken(self) -> None:
        """Forget what has been dealt with."""
        while self._queue and self._queue[0].taken >= len(self._queue[0].data):
            self._queue.popleft()

    def forget(self) -> None:
        """Lose all that is on its way."""
        self._queue.clear()

    def next_byte_time(self) -> float:
        """Return when the next byte is complete; infinity when there is none."""
        first = self.first
        return float("inf") if first is None else first.time_of(first.taken)

    def next_heeded_time(self, own_rate: int, next_heeded: Callable[[bytes, int], int]) -> float:
        """Return when bytes arrive after which the program may have something to say.

        ``next_heeded`` is :meth:`~esploader.simulator.soc.program.Program.next_heeded`.
        """
        for stretch in self._queue:
            if not stretch.is_understood_at(own_rate):
                return stretch.end
            index = next_heeded(stretch.data, stretch.taken)
            if index >= 0:
                return stretch.time_of(index)
        return float("inf")
