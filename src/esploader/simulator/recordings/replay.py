"""A recording as a device: it answers what it was recorded to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, override
from esploader.errors import TransportClosedError, TransportError
from esploader.simulator.recordings.recording import RELEASED, LineChange
from esploader.transport.base import DEFAULT_BAUDRATE, Capabilities, Transport
from esploader.transport.clock import Clock, VirtualClock

if TYPE_CHECKING:
    from esploader.simulator.recordings.recording import Recording

MAX_UNKNOWN_SIZE: Final = 64 * 1024
"""How much of what the recording does not answer is kept in order to find a row, in bytes."""

_CAPABILITIES: Final = Capabilities(set_lines=True, set_lines_at_once=True, set_baudrate=True)

_END: Final = 0xC0


@define(eq=False, repr=False)
class ReplayTransport(Transport):
    """Answers with the rows of a recording, at once, whatever the baud rate.

    It goes on from row to row as long as the host does what was done then. Otherwise it
    takes the next row that fits, from the beginning again if need be; to what is in no row
    it does not answer. Of the lines only resets count, and whether the boot strap was low.
    """

    recording: Recording
    """What it answers from."""
    _clock: Clock = attrs.field(factory=VirtualClock, kw_only=True)
    _resets: tuple[bool | None, ...] = attrs.field(init=False)
    _position: int = attrs.field(default=0, init=False)
    """Of the row that is expected next."""
    _input: bytearray = attrs.field(factory=bytearray, init=False)
    _output: bytearray = attrs.field(factory=bytearray, init=False)
    _lines: LineChange = attrs.field(default=RELEASED, init=False)
    _baudrate: int = attrs.field(default=DEFAULT_BAUDRATE, init=False)
    _closed: bool = attrs.field(default=False, init=False)
    unanswered: list[bytes] = attrs.field(factory=list, init=False)
    """What was sent and is in no row."""

    def __attrs_post_init__(self) -> None:
        self._resets = find_resets(self.recording)

    @property
    @override
    def name(self) -> str:
        return f"recording of {self.recording.chip.name}"

    @property
    @override
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    @property
    @override
    def clock(self) -> Clock:
        return self._clock

    @property
    @override
    def baudrate(self) -> int:
        return self._baudrate

    @property
    def drained_at(self) -> float:
        """The moment at which all that was written has arrived: it takes no time."""
        return float("-inf")

    def next_event(self) -> float | None:
        """Return when there is something to read; ``None`` when only a request changes that."""
        return self._clock.now() if self._output else None

    @override
    def read(self, deadline: float) -> bytes:
        self._check_open()
        if not self._output:
            if deadline == float("inf"):
                raise TransportError(self.name, "waiting without end for a recording that is over")
            self._clock.sleep(deadline - self._clock.now())
        return self.discard_input()

    @override
    def write(self, data: bytes) -> None:
        self._check_open()
        self._input += data
        while self._input and self._answer():
            pass

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self._check_open()
        before, self._lines = self._lines, self._lines.followed_by(dtr=dtr, rts=rts)
        if before.holds_reset and not self._lines.holds_reset:
            self._reset(downloads=self._lines.pulls_strap)

    @override
    def set_baudrate(self, baudrate: int) -> None:
        self._check_open()
        self._baudrate = baudrate

    @override
    def discard_input(self) -> bytes:
        self._check_open()
        data = bytes(self._output)
        self._output.clear()
        return data

    @override
    def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise TransportClosedError(self.name, "the port is closed")

    def _reset(self, *, downloads: bool) -> None:
        self._input.clear()
        self._output.clear()
        for index in self._order():
            if self._resets[index] is downloads:
                self._play(index)
                return

    def _answer(self) -> bool:
        """Answer with the row that fits; tell whether there may be more to answer."""
        data = bytes(self._input)
        is_begun = False
        for index in self._order():
            sent = self.recording.rows[index].sent
            if sent and data.startswith(sent):
                del self._input[: len(sent)]
                self._play(index)
                return True
            is_begun = is_begun or sent.startswith(data)
        if is_begun:
            return False
        # Nobody has sent that before: skip a frame, or what is in front of the first one.
        end = data.find(_END, 1)
        if end < 0 and len(data) < MAX_UNKNOWN_SIZE:
            return False
        size = len(data) if end < 0 else end + (data[0] == _END)
        self.unanswered.append(data[:size])
        del self._input[:size]
        return True

    def _order(self) -> list[int]:
        """Return the rows from the expected one on, and then those before it."""
        count = len(self.recording.rows)
        return [*range(self._position, count), *range(min(self._position, count))]

    def _play(self, index: int) -> None:
        row = self.recording.rows[index]
        self._output += row.received
        self._position = index + 1


def find_resets(recording: Recording) -> tuple[bool | None, ...]:
    """Tell of every row whether it resets the chip into download mode; ``None``: no reset."""
    resets: list[bool | None] = []
    before = RELEASED
    for row in recording.rows:
        mode = None
        for after in row.lines:
            if before.holds_reset and not after.holds_reset:
                mode = after.pulls_strap
            before = after
        resets.append(mode)
    return tuple(resets)
