"""How a ROM loader finds requests in what it receives.

Not how the client frames: the ROM is less forgiving. Source: recorded answers
(``tests/vectors/README.md``) and disassembly of the ESP32-C3's ROM: outside a frame
everything but END is skipped, frames cannot share an END, and an escape that is neither
of the two defined ones is fatal.
"""

from __future__ import annotations

import enum
from typing import Final, TypeAlias

import attrs

from esploader.classes import define

FRAME_BUFFER_SIZE: Final = 0x2000
"""Bytes of a frame that are kept; the rest is dropped."""

_END: Final = 0xC0
_ESC: Final = 0xDB
_UNESCAPED: Final = {0xDC: b"\xc0", 0xDD: b"\xdb"}


class FramingError(enum.Enum):
    """What ends the ROM loader."""

    BROKEN_ESCAPE = enum.auto()


FrameEvent: TypeAlias = "bytes | FramingError | None"


def encode_frame(payload: bytes) -> bytes:
    """Return what the ROM sends for ``payload``."""
    escaped = payload.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return b"\xc0" + escaped + b"\xc0"


@define(eq=False)
class RomFrameDecoder:
    """The ROM's receiver, which takes one frame at a time from the stream."""

    _frame: bytearray = attrs.field(factory=bytearray, init=False)
    _in_frame: bool = attrs.field(default=False, init=False)
    _escaped: bool = attrs.field(default=False, init=False)

    def take(self, data: bytes, start: int) -> tuple[int, FrameEvent]:
        """Read ``data`` from ``start`` to the end of the first frame, or to its end.

        Returns where it stopped, and the frame's content; ``None`` when there was none yet.
        """
        position = start
        if not self._in_frame:
            opening = data.find(_END, position)
            if opening < 0:
                return len(data), None
            self._in_frame = True
            position = opening + 1
        # END with nothing before it: the frame opens only now.
        while not self._frame and not self._escaped and data[position : position + 1] == b"\xc0":
            position += 1
        closing = data.find(_END, position)
        end = len(data) if closing < 0 else closing
        broken = self._extend(data, position, end)
        if broken is not None:
            self.reset()
            return broken, FramingError.BROKEN_ESCAPE
        if closing < 0:
            return end, None
        if self._escaped:
            self.reset()
            return closing + 1, FramingError.BROKEN_ESCAPE
        frame = bytes(self._frame)
        self.reset()
        return closing + 1, frame

    def is_broken_by(self, value: int) -> bool:
        """Tell whether that byte, if it is the next one, breaks an escape."""
        return self._escaped and value not in _UNESCAPED

    def reset(self) -> None:
        """Forget a frame that has begun."""
        self._frame.clear()
        self._in_frame = False
        self._escaped = False

    def _extend(self, data: bytes, start: int, end: int) -> int | None:
        """Unescape into the frame; return the position after a broken escape."""
        position = start
        while position < end:
            if self._escaped:
                unescaped = _UNESCAPED.get(data[position])
                position += 1
                if unescaped is None:
                    return position
                self._append(unescaped)
                self._escaped = False
                continue
            escape = data.find(_ESC, position, end)
            plain_end = end if escape < 0 else escape
            self._append(data[position:plain_end])
            self._escaped = escape >= 0
            position = plain_end + 1
        return None

    def _append(self, content: bytes) -> None:
        self._frame += content[: FRAME_BUFFER_SIZE - len(self._frame)]
