"""Decompression as the ROM does it: zlib streams, through a window of 32 KiB.

The ROM holds a copy of miniz, whose verdicts differ from those of :mod:`zlib` in form:
a broken stream and a wrong Adler-32 are different errors. Sources: RFC 1950; recorded answers
(``tests/vectors/sequences``); miniz 1.15, ``tinfl.c``: a stream that failed fails for ever, and
where the input is said to be the last, zeros follow it, except within a stored block.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define

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

_ZEROS: Final = bytes(4096)

# No Huffman code of a stream stands for itself in both: codes are read backwards.
_PROBES: Final = (b"\x53", b"\x8e")


class InflateError(Exception):
    """The stream cannot be decompressed."""


class AdlerError(InflateError):
    """The checksum at the end of the stream is not that of what came out of it."""


class EndlessError(Exception):
    """The ROM goes round and round: nothing takes the bytes behind the end of the stream."""


def is_zlib_header(header: bytes | bytearray) -> bool:
    """Tell whether two bytes begin a stream that miniz decompresses."""
    method, flags = header
    return (
        (method * 256 + flags) % _HEADER_MODULUS == 0
        and method & _METHOD_MASK == _DEFLATE
        and method >> 4 <= _MAX_WINDOW_CODE
        and not flags & _PRESET_DICTIONARY
    )


@define(eq=False)
class Inflater:
    """Decompresses one stream, piece by piece."""

    window: bytearray = attrs.field(factory=lambda: bytearray(WINDOW_SIZE), repr=False)
    """Where it puts what comes out. It outlives the stream, and keeps what nobody wrote over."""

    ended: bool = attrs.field(default=False, init=False)
    """The stream is complete."""

    filled: int = attrs.field(default=0, init=False)
    """Bytes in the window that have come out since the last whole one."""
    _header: bytearray = attrs.field(factory=bytearray, init=False)
    _trailer: bytearray = attrs.field(factory=bytearray, init=False)
    _raw: zlib._Decompress = attrs.field(factory=lambda: zlib.decompressobj(-15), init=False)
    _adler: int = attrs.field(default=1, init=False)
    _failure: type[InflateError] | None = attrs.field(default=None, init=False)

    def feed(self, data: bytes, *, is_last: bool = False) -> Iterator[bytes]:
        """Decompress ``data``; yield each window as it fills. What remains is kept.

        Where that is said to be the last piece of a stream that it does not end, zeros take the
        place of what is missing, until the stream ends or fails or a window is full. Bytes that
        are stored as they are cannot be missing.

        Raises:
            InflateError: that is no zlib stream. Nor is anything that follows.
            AdlerError: its checksum is wrong.
            EndlessError: something follows the stream.
        """
        if not data:
            return
        if self._failure is not None:
            raise self._failure
        try:
            yield from self._feed(data)
            if is_last and not self.ended:
                yield from self._feed_zeros()
        except InflateError as error:
            self._failure = type(error)
            raise

    def take(self, size: int) -> bytes:
        """Return ``size`` bytes of the window, whatever they are, and fill it anew."""
        self.filled = 0
        return bytes(self.window[:size])

    def _feed_zeros(self) -> Iterator[bytes]:
        if self._is_in_stored_block():
            raise InflateError
        while not self.ended:
            for window in self._feed(_ZEROS, until_full=True):
                yield window
                return

    def _is_in_stored_block(self) -> bool:
        try:
            return all(self._raw.copy().decompress(probe) == probe for probe in _PROBES)
        except zlib.error:
            return False

    def _feed(self, data: bytes, *, until_full: bool = False) -> Iterator[bytes]:
        missing = _HEADER_SIZE - len(self._header)
        if missing:
            self._header += data[:missing]
            data = data[missing:]
            if len(self._header) < _HEADER_SIZE:
                return
            if not is_zlib_header(self._header):
                raise InflateError
        if not self._raw.eof:
            for window in self._inflate(data):
                yield window
                if until_full:
                    return
            data = self._raw.unused_data
        if self._raw.eof:
            self._end(data, ignores_rest=until_full)

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        full = True
        # A full window may leave output behind for which no more input is needed.
        while full and not self._raw.eof:
            try:
                output = self._raw.decompress(data, WINDOW_SIZE - self.filled)
            except zlib.error as exc:
                raise InflateError from exc
            data = self._raw.unconsumed_tail
            self.window[self.filled : self.filled + len(output)] = output
            self.filled += len(output)
            self._adler = zlib.adler32(output, self._adler)
            full = self.filled == WINDOW_SIZE
            if full:
                yield self.take(WINDOW_SIZE)

    def _end(self, data: bytes, *, ignores_rest: bool) -> None:
        if self.ended:
            raise EndlessError
        missing = _ADLER_SIZE - len(self._trailer)
        self._trailer += data[:missing]
        if len(self._trailer) < _ADLER_SIZE:
            return
        if int.from_bytes(self._trailer, "big") != self._adler:
            raise AdlerError
        self.ended = True
        if len(data) > missing and not ignores_rest:
            raise EndlessError
