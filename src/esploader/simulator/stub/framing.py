"""How the stub finds requests in what it receives.

Source: esp-flasher-stub, ``src/slip.c``, ``src/frame_buffer.c`` and ``src/transport.c``; the
consequences were seen in an emulator. An interrupt handler takes what has gathered in the
FIFO of the UART and decodes it into a buffer, if the main program has given it one: a frame
that starts while there is none is skipped, and what then passes for a frame may begin
with the END of one that was skipped.
"""

from __future__ import annotations

import enum
import re
from typing import Final, TypeAlias

import attrs

from esploader.classes import define

FRAME_BUFFER_SIZE: Final = 8 + 0x4000 + 0xFF
"""Bytes of the largest frame that is received."""

BATCH_SIZE: Final = 32
"""How many bytes in the FIFO raise an interrupt."""

BATCH_TIMEOUT: Final = 10
"""After how many byte times of silence fewer bytes raise one.

The handler writes 10 to the register, which counts bits on some chips and bytes on others;
the longer time loses more.
"""

END: Final = 0xC0
_ESC: Final = 0xDB
_ESCAPED: Final = b"\xdc\xdd"
# One at the end may still be completed by what follows.
_BROKEN_ESCAPE: Final = re.compile(rb"\xdb(?=[^\xdc\xdd])", re.DOTALL)


class FramingError(enum.Enum):
    """Why a frame is dropped."""

    UNUSABLE = enum.auto()
    """An escape is broken, or it is too large."""


FrameEvent: TypeAlias = "bytes | FramingError | None"


@define(eq=False)
class StubFrameDecoder:
    """The receiver, once it has a buffer: takes one frame from the stream."""

    _pieces: list[bytes] = attrs.field(factory=list, init=False)
    """Of the frame, as they were on the wire."""
    _size: int = attrs.field(default=0, init=False)
    """How many bytes of the buffer are taken."""
    _in_frame: bool = attrs.field(default=False, init=False)
    _escaped: bool = attrs.field(default=False, init=False)

    @property
    def in_frame(self) -> bool:
        """A frame has begun."""
        return self._in_frame

    def take(self, data: bytes, start: int) -> tuple[int, FrameEvent]:
        """Read ``data`` from ``start`` to the end of the first frame, or to its end.

        Returns where it stopped, and the frame's content; ``None`` when there was none yet.
        The END that ends an empty frame does not begin another.
        """
        position = start
        while position < len(data):
            if not self._in_frame:
                opening = data.find(END, position)
                if opening < 0:
                    return len(data), None
                self._in_frame = True
                position = opening + 1
            closing = data.find(END, position)
            unusable = self._extend(data, position, len(data) if closing < 0 else closing + 1)
            if unusable is not None:
                self._reset()
                return unusable, FramingError.UNUSABLE
            if closing < 0:
                break
            position = closing + 1
            frame = self._unescape()
            self._reset()
            if frame:
                return position, frame
        return len(data), None

    def _extend(self, data: bytes, start: int, end: int) -> int | None:
        """Add a piece to the frame, with the END that ends it.

        Returns the position after the byte that made the frame unusable.
        """
        piece = data[start:end]
        if not piece:
            return None
        if self._escaped and piece[0] not in _ESCAPED:
            return start + 1
        broken = _BROKEN_ESCAPE.search(piece)
        content = piece if broken is None else piece[: broken.start()]
        content = content.removesuffix(b"\xc0")
        size = len(content) - content.count(_ESC)
        if self._size + size > FRAME_BUFFER_SIZE:
            return start + _prefix_size(content, FRAME_BUFFER_SIZE - self._size)
        if broken is not None:
            return start + broken.start() + 2
        self._pieces.append(content)
        self._size += size
        self._escaped = piece[-1] == _ESC
        return None

    def _unescape(self) -> bytes:
        wire = b"".join(self._pieces)
        return wire.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")

    def _reset(self) -> None:
        self._pieces.clear()
        self._size = 0
        self._in_frame = False
        self._escaped = False


def _prefix_size(wire: bytes, capacity: int) -> int:
    """Return how many bytes it takes to have one more than fits."""
    decoded = 0
    for index, value in enumerate(wire):
        decoded += value != _ESC
        if decoded > capacity:
            return index + 1
    return len(wire)
