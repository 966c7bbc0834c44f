"""Decompression as the ROM does it: zlib streams, through a window of 32 KiB.

The ROM holds a copy of miniz, whose verdicts differ from those of :mod:`zlib` in form:
a broken stream and a wrong Adler-32 are different errors. Source: RFC 1950.
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

    ended: bool = attrs.field(default=False, init=False)
    """The stream is complete. More input changes nothing."""

    _header: bytearray = attrs.field(factory=bytearray, init=False)
    _trailer: bytearray = attrs.field(factory=bytearray, init=False)
    _window: bytearray = attrs.field(factory=bytearray, init=False)
    _raw: zlib._Decompress = attrs.field(factory=lambda: zlib.decompressobj(-15), init=False)
    _adler: int = attrs.field(default=1, init=False)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decompress ``data``; yield each window as it fills. What remains is kept.

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

    def take_rest(self) -> bytes:
        """Return what has been decompressed since the last whole window, and forget it."""
        rest = bytes(self._window)
        self._window.clear()
        return rest

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        full = True
        # A full window may leave output behind for which no more input is needed.
        while full and not self._raw.eof:
            try:
                output = self._raw.decompress(data, WINDOW_SIZE - len(self._window))
            except zlib.error as exc:
                raise InflateError from exc
            data = self._raw.unconsumed_tail
            self._window += output
            self._adler = zlib.adler32(output, self._adler)
            full = len(self._window) == WINDOW_SIZE
            if full:
                yield self.take_rest()

    def _end(self, data: bytes) -> None:
        self._trailer += data[: _ADLER_SIZE - len(self._trailer)]
        if len(self._trailer) < _ADLER_SIZE:
            return
        if int.from_bytes(self._trailer[:_ADLER_SIZE], "big") != self._adler:
            raise AdlerError
        self.ended = True
