"""Record what passes between a host and a device."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, override
from esploader.protocol.opcodes import Opcode
from esploader.protocol.slip import Frame, SlipDecoder
from esploader.simulator.description import describe_sent
from esploader.simulator.recordings.recording import (
    MAX_FILE_SIZE,
    RELEASED,
    LineChange,
    Recording,
    Row,
)
from esploader.transport.wrapping import WrappingTransport

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

_LOG: Final = logging.getLogger(__name__)

MAX_RECORDED_SIZE: Final = MAX_FILE_SIZE // 3
"""What comes after so many bytes is not recorded. Each takes two characters in a file, and a
third is left for all that is not bytes."""

MAX_NAME_SIZE: Final = 300
"""In characters."""

_SYNC_VALUE_OF_STUB: Final = 0

# Direction and opcode are never escaped.
_FRAME: Final = re.compile(rb"\xc0[^\xc0]+\xc0")

# A row without bytes takes space, too.
_ROW_SIZE: Final = 100


@define(eq=False, repr=False)
class RecordingTransport(WrappingTransport):
    """A transport that remembers what passes, in front of the one that does the work.

    It counts as received what has arrived when the host does the next thing, read or not.
    """

    _first_baudrate: int = attrs.field(init=False)
    _rows: list[Row] = attrs.field(factory=list, init=False, repr=False)
    _baudrate: int | None = attrs.field(default=None, init=False)
    _lines: list[LineChange] = attrs.field(factory=list, init=False)
    _sent: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _received: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _unread: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _is_over: bool = attrs.field(default=False, init=False)
    """The host has waited for an answer for as long as it wanted."""
    _changed_at: float = attrs.field(default=0.0, init=False)
    """When a line was set."""
    _last_lines: LineChange = attrs.field(default=RELEASED, init=False)
    _recorded_size: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._first_baudrate = self.baudrate

    def recording(self, chip: Chip, *, source: str = "") -> Recording:
        """Return what has been recorded; ``source`` says in words where.

        The loader at the beginning is the one that the answer to the first SYNC shows, or
        else the ROM loader.
        """
        rows = self._rows if self._is_blank else [*self._rows, *split(self._row())]
        values = (value for row in rows for value in _sync_values(row.received))
        loader = "stub" if next(values, None) == _SYNC_VALUE_OF_STUB else "rom"
        return Recording(
            chip=chip,
            loader=loader,
            source=source,
            baudrate=self._first_baudrate,
            rows=tuple(rows),
        )

    @override
    def read(self, deadline: float) -> bytes:
        if self._unread:
            data = bytes(self._unread)
            self._unread.clear()
            return data
        data = self.inner.read(deadline)
        self._received += data
        self._is_over = not data
        return data

    @override
    def write(self, data: bytes) -> None:
        self._look()
        if self._received or self._is_over or not self._sent:
            self._end_row()
        self._sent += data
        self.inner.write(data)

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self._look()
        if self._received or not self._lines:
            self._end_row()
        now = self.clock.now()
        seconds = now - self._changed_at if self._lines else 0.0
        self._changed_at = now
        self._last_lines = self._last_lines.followed_by(dtr=dtr, rts=rts, seconds=seconds)
        self._lines.append(self._last_lines)
        self.inner.set_lines(dtr=dtr, rts=rts)

    @override
    def set_baudrate(self, baudrate: int) -> None:
        self._look()
        self._end_row()
        self._baudrate = baudrate
        self.inner.set_baudrate(baudrate)

    @override
    def discard_input(self) -> bytes:
        data = self.inner.discard_input()
        self._received += data
        discarded = bytes(self._unread) + data
        self._unread.clear()
        return discarded

    @property
    def _is_blank(self) -> bool:
        return not (self._sent or self._received or self._lines or self._baudrate is not None)

    def _look(self) -> None:
        """Take what has arrived, before the host does something else."""
        data = self.inner.read(self.clock.now())
        self._received += data
        self._unread += data

    def _row(self) -> Row:
        other = "lines" if self._lines else "baud rate" if self._baudrate else "nothing"
        return Row(
            name=_name(describe_sent(bytes(self._sent))) if self._sent else other,
            baudrate=self._baudrate,
            lines=tuple(self._lines),
            sent=bytes(self._sent),
            received=bytes(self._received),
        )

    def _end_row(self) -> None:
        if self._is_blank:
            return
        was_full = self._recorded_size >= MAX_RECORDED_SIZE
        size = len(self._sent) + len(self._received) + _ROW_SIZE * (1 + len(self._lines))
        self._recorded_size += size
        if self._recorded_size < MAX_RECORDED_SIZE:
            self._rows += split(self._row())
        elif not was_full:
            _LOG.warning("%s: the recording ends here: it is long enough", self.name)
        self._sent.clear()
        self._received.clear()
        self._lines.clear()
        self._baudrate = None
        self._is_over = False


def split(row: Row) -> list[Row]:
    """Return a row for each of several requests that were sent at once, if that can be told.

    Others may send the same ones one by one. It can be told where every request has one
    response, to its opcode.
    """
    requests, responses = _FRAME.findall(row.sent), _FRAME.findall(row.received)
    are_whole = (b"".join(requests), b"".join(responses)) == (row.sent, row.received)
    opcodes = [[frame[2:3] for frame in frames] for frames in (requests, responses)]
    if len(requests) < 2 or not are_whole or opcodes[0] != opcodes[1]:  # noqa: PLR2004 - one is a row
        return [row]
    return [
        attrs.evolve(
            row,
            name=_name(describe_sent(request)),
            sent=request,
            received=response,
            baudrate=None if index else row.baudrate,
            lines=() if index else row.lines,
        )
        for index, (request, response) in enumerate(zip(requests, responses, strict=True))
    ]


def _name(text: str) -> str:
    return text[:MAX_NAME_SIZE]


def _sync_values(received: bytes) -> list[int]:
    """Return the value words of responses to SYNC."""
    return [
        int.from_bytes(event.payload[4:8], "little")
        for event in SlipDecoder().feed(received)
        if isinstance(event, Frame) and event.payload[:2] == bytes((1, Opcode.SYNC))
    ]
