"""The serial line of a simulated device: bytes with times, and what a wrong rate makes of them."""

from __future__ import annotations

from collections import deque
from typing import Final

import attrs

BITS_PER_BYTE: Final = 10
"""Start bit, eight data bits, stop bit."""

RATE_TOLERANCE: Final = 0.03
"""Two rates that differ by no more than this understand each other."""

# What an adapter hands over at once, at most.
_PIECE_SIZE: Final = 512

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


@attrs.define(eq=False)
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

    @property
    def end(self) -> float:
        """When the last byte is complete."""
        return self.time_of(len(self.data) - 1)

    def time_of(self, index: int) -> float:
        """Return when the byte at ``index`` is complete."""
        return self.start + (index + 1) * self.byte_time

    def complete_count(self, now: float) -> int:
        """Return how many of the bytes are complete at ``now``."""
        if self.byte_time == 0:
            return len(self.data) if self.start <= now else 0
        size = len(self.data)
        count = min(max(int((now - self.start) / self.byte_time), 0), size)
        # Division and multiplication round differently: time_of() has the last word.
        while count < size and self.time_of(count) <= now:
            count += 1
        while count > 0 and self.time_of(count - 1) > now:
            count -= 1
        return count

    def cut_off(self, moment: float) -> None:
        """Lose what is not complete at ``moment``."""
        self.data = self.data[: max(self.complete_count(moment), self.taken)]


@attrs.define(eq=False)
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
        for start in range(0, len(data), _PIECE_SIZE):
            piece = data[start : start + _PIECE_SIZE]
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

    def take(self, until: float, baudrate: int | None) -> bytes:
        """Return what a host that listens at ``baudrate`` has got by ``until``."""
        received = bytearray()
        while self._queue:
            stretch = self._queue[0]
            count = stretch.complete_count(until)
            whole = count == len(stretch.data)
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
