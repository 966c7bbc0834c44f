"""Decompression as the stub does it: with the ROM's copy of miniz, called block by block.

Source: esp-flasher-stub, ``src/command_handler.c``; miniz, ``miniz_tinfl.c``. Only the call
for the block with number 0 is told that the stream has a zlib header, so only a stream that
ends within that call, trailer and all, is held against its Adler-32.
"""

from __future__ import annotations

import zlib
from typing import Final

import attrs

from esploader.classes import define
from esploader.simulator.rom.inflater import InflateError, is_zlib_header

WINDOW_SIZE: Final = 32 * 1024

_HEADER_SIZE: Final = 2
_ADLER_SIZE: Final = 4


@define(eq=False)
class StubInflater:
    """Decompresses one stream through a window, which its user empties."""

    window: bytearray = attrs.field(factory=bytearray, init=False)
    """What came out and has not been written. It outlives a :meth:`restart`."""
    ended: bool = attrs.field(default=False, init=False)
    """The stream is complete. More input changes nothing."""

    _raw: zlib._Decompress = attrs.field(factory=lambda: zlib.decompressobj(-15), init=False)
    _header: bytearray = attrs.field(factory=bytearray, init=False)
    _missing_header_size: int | None = attrs.field(default=None, init=False)
    """``None`` before the first input says whether there is a header."""
    _missing_trailer_size: int = attrs.field(default=0, init=False)
    _failed: bool = attrs.field(default=False, init=False)

    @property
    def is_full(self) -> bool:
        """The window has to be emptied before anything more comes out."""
        return len(self.window) >= WINDOW_SIZE

    def restart(self) -> None:
        """Expect a new stream."""
        self.ended = False
        self._raw = zlib.decompressobj(-15)
        self._header.clear()
        self._missing_header_size = None
        self._missing_trailer_size = 0
        self._failed = False

    def take(self, data: bytes, *, has_header: bool) -> tuple[bytes, int]:
        """Decompress until the input, the stream or the window is at its end.

        Returns the input that is left and how many bytes came out.

        Raises:
            InflateError: that cannot be decompressed, nor anything that follows.
        """
        if self._failed:
            raise InflateError
        try:
            return self._take(data, has_header=has_header)
        except (InflateError, zlib.error) as exc:
            self._failed = True
            raise InflateError from exc

    def _take(self, data: bytes, *, has_header: bool) -> tuple[bytes, int]:
        if self._missing_trailer_size:
            return self._skip_trailer(data), 0
        if self._missing_header_size is None:
            self._missing_header_size = _HEADER_SIZE if has_header else 0
        if self._missing_header_size:
            data = self._take_header(data)
            if self._missing_header_size:
                return b"", 0
        room = WINDOW_SIZE - len(self.window)
        # No room would mean no limit.
        output = self._raw.decompress(data, room) if room else b""
        self.window += output
        if not self._raw.eof:
            return self._raw.unconsumed_tail if room else data, len(output)
        rest = self._raw.unused_data
        if has_header and len(rest) < _ADLER_SIZE:
            self._missing_trailer_size = _ADLER_SIZE
            return self._skip_trailer(rest), len(output)
        if has_header:
            self._check_adler(rest[:_ADLER_SIZE])
            rest = rest[_ADLER_SIZE:]
        self.ended = True
        return rest, len(output)

    def _take_header(self, data: bytes) -> bytes:
        part = data[: self._missing_header_size]
        self._header += part
        self._missing_header_size = _HEADER_SIZE - len(self._header)
        if not self._missing_header_size and not is_zlib_header(self._header):
            raise InflateError
        return data[len(part) :]

    def _skip_trailer(self, data: bytes) -> bytes:
        """Wait for the rest of an Adler-32 of which nobody makes use once it is in parts."""
        size = min(self._missing_trailer_size, len(data))
        self._missing_trailer_size -= size
        self.ended = self._missing_trailer_size == 0
        return data[size:]

    def _check_adler(self, trailer: bytes) -> None:
        # What ends here began in the same call, so the window holds all of it.
        if trailer != zlib.adler32(self.window).to_bytes(_ADLER_SIZE, "big"):
            raise InflateError
