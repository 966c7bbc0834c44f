"""Decompression as the ROM does it: zlib streams, through a window of 32 KiB.

The ROM holds a copy of miniz, whose verdicts differ from those of :mod:`zlib` in form:
a broken stream and a wrong Adler-32 are different errors. Source: RFC 1950.

What comes out is put into the window over what an earlier stream left there.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

WINDOW_SIZE: Final = 32 * 1024

_HEADER_SIZE: Final = 2
_HEADER_MODULUS: Final = 31
_DEFLATE: Final = 8
_METHOD_MASK: Final = 0x0F
_MAX_WINDOW_CODE: Final = 7
_PRESET_DICTIONARY: Final = 0x20
_ADLER_SIZE: Final = 4


class InflateError(Exception):
    """The stream cannot be decompressed."""


class AdlerError(InflateError):
    """The checksum at the end of the stream is not that of what came out of it."""


def is_zlib_header(header: bytes | bytearray) -> bool:
    """Tell whether two bytes begin a stream that miniz decompresses."""
    method, flags = header
    return (
        (method * 256 + flags) % _HEADER_MODULUS == 0
        and method & _METHOD_MASK == _DEFLATE
        and method >> 4 <= _MAX_WINDOW_CODE
        and not flags & _PRESET_DICTIONARY
    )


@attrs.define(eq=False)
class Inflater:
    """Decompresses one stream, piece by piece."""

    _window: bytearray = attrs.field(factory=lambda: bytearray(WINDOW_SIZE))
    filled: int = attrs.field(default=0, init=False)
    """Bytes in the window that have come out since the last whole one."""
    ended: bool = attrs.field(default=False, init=False)
    """The stream is complete. More input changes nothing."""

    _header: bytearray = attrs.field(factory=bytearray, init=False)
    _trailer: bytearray = attrs.field(factory=bytearray, init=False)
    _raw: zlib._Decompress = attrs.field(factory=lambda: zlib.decompressobj(-15), init=False)
    _adler: int = attrs.field(default=1, init=False)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decompress ``data``; yield each window as it fills. What remains is kept in it.

        Raises:
            InflateError: that is no zlib stream.
            AdlerError: its checksum is wrong.
        """
        if self.ended:
            return
        missing = _HEADER_SIZE - len(self._header)
        if missing:
            self._header += data[:missing]
            data = data[missing:]
            if len(self._header) < _HEADER_SIZE:
                return
            if not is_zlib_header(self._header):
                raise InflateError
        if not self._raw.eof:
            yield from self._inflate(data)
            data = self._raw.unused_data
        if self._raw.eof:
            self._end(data)

    def take(self, size: int) -> bytes:
        """Return ``size`` bytes of the window, whatever they are, and fill it anew."""
        self.filled = 0
        return bytes(self._window[:size])

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        full = True
        # A full window may leave output behind for which no more input is needed.
        while full and not self._raw.eof:
            try:
                output = self._raw.decompress(data, WINDOW_SIZE - self.filled)
            except zlib.error as exc:
                raise InflateError from exc
            data = self._raw.unconsumed_tail
            self._window[self.filled : self.filled + len(output)] = output
            self.filled += len(output)
            self._adler = zlib.adler32(output, self._adler)
            full = self.filled == WINDOW_SIZE
            if full:
                yield self.take(WINDOW_SIZE)

    def _end(self, data: bytes) -> None:
        self._trailer += data[: _ADLER_SIZE - len(self._trailer)]
        if len(self._trailer) < _ADLER_SIZE:
            return
        if int.from_bytes(self._trailer[:_ADLER_SIZE], "big") != self._adler:
            raise AdlerError
        self.ended = True
