"""Intel HEX files: bytes and where they belong, as text.

Read with intelhex (extra ``[hex]``), which is loaded when there is such a file. It stops at the
first record that looks like an end, and counts on where the specification begins anew, or says
nothing; so what is around and between the records is looked at before, and nothing is used of a
file in which anything is odd.

Source of the format: Intel, "Hexadecimal Object File Format Specification", revision A, 1988.
"""

from __future__ import annotations

import binascii
import io
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from esploader.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

SUFFIXES: Final = frozenset({".hex", ".ihex"})
"""How the name of such a file ends, in lower case."""

MAX_TEXT_SIZE: Final = 16 * 1024 * 1024
"""In bytes, for about 6 MiB of data: reading takes some hundred bytes for each of data."""

MAX_SEGMENTS: Final = 4096
"""Linkers write a few; each becomes a region to be erased, written and compared."""

_END_OF_FILE: Final = b":00000001FF"

_DATA: Final = 0
_END: Final = 1
_SEGMENT_BASE: Final = 2
_BASES: Final = frozenset({_SEGMENT_BASE, 4})
_RECORD_SIZE: Final = 5
"""Of a record without its data, in bytes."""

_SPAN: Final = 64 * 1024
"""What the address of a record reaches, in bytes."""


@attrs.frozen
class HexSegment:
    """Bytes without a gap."""

    address: int = attrs.field(repr=hex)
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")


class _Memory(Protocol):
    """What is used of ``intelhex.IntelHex``, which has no types."""

    def segments(self) -> Sequence[tuple[int, int]]:
        """Return where data begin and end, in order of their addresses."""

    def tobinstr(self, start: int, *, size: int) -> bytes:
        """Return so many bytes from ``start`` on."""


def read_segments(text: bytes) -> tuple[HexSegment, ...]:
    """Return what an Intel HEX file holds, in order of the addresses in it.

    Raises:
        PlanError: it is damaged, cut off or too large, gives a byte twice, or intelhex is
            not installed.
    """
    if len(text) > MAX_TEXT_SIZE:
        raise PlanError(f"an Intel HEX file of more than {MAX_TEXT_SIZE} bytes is not read")
    lines = text.splitlines()
    _check(lines)
    memory = _load(lines)
    bounds = memory.segments()
    if len(bounds) > MAX_SEGMENTS:
        raise PlanError(f"an Intel HEX file in more than {MAX_SEGMENTS} pieces is not read")
    return tuple(
        HexSegment(start, memory.tobinstr(start, size=end - start)) for start, end in bounds
    )


def _check(lines: Sequence[bytes]) -> None:
    """Refuse what is more or less than records and one end, or reads in two ways.

    The checksums, what a record of a type has in it, and whether a byte is given twice is left
    to intelhex.
    """
    bases = _Bases()
    is_ended = False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if is_ended:
            raise _damaged(number, "there is more behind the end record")
        kind, address, data = _record(number, line)
        if kind == _DATA:
            bases.check(number, address, len(data))
        elif kind == _END:
            # Others have an address here, or mean something else by it.
            if line.upper() != _END_OF_FILE:
                raise _damaged(number, f"an end record is {_END_OF_FILE.decode()} and nothing else")
            is_ended = True
        elif kind in _BASES:
            bases.move(kind, int.from_bytes(data, "big"))
    if not is_ended:
        raise PlanError(
            f"the Intel HEX file is cut off, or none: it has no end record, {_END_OF_FILE.decode()}"
        )


def _record(number: int, line: bytes) -> tuple[int, int, bytes]:
    """Return the type, the address and the data of a record."""
    if not line.startswith(b":"):
        raise _damaged(number, "it does not begin with a colon")
    # : size u8 | address u16 | type u8 | data | checksum u8
    try:
        content = binascii.unhexlify(line[1:])
    except ValueError:
        raise _damaged(number, "behind the colon are pairs of hexadecimal digits alone") from None
    if len(content) < _RECORD_SIZE or len(content) != _RECORD_SIZE + content[0]:
        raise _damaged(number, "it is shorter or longer than it says")
    return content[3], int.from_bytes(content[1:3], "big"), content[4:-1]


@attrs.define
class _Bases:
    """What the addresses of data are counted from, as two readings of the format have it."""

    _segment: int = 0
    _linear: int = 0
    _last: int = 0

    def move(self, kind: int, value: int) -> None:
        """Take over a base."""
        if kind == _SEGMENT_BASE:
            self._segment = self._last = value * 16
        else:
            self._linear = self._last = value * _SPAN

    def check(self, number: int, address: int, size: int) -> None:
        """Refuse data of which programs differ in where they belong."""
        if not size:
            raise _damaged(number, "it has no data, which once meant the end")
        # Behind a segment base the rest belongs to the beginning of the segment, behind a linear
        # one it follows, and without either nobody says.
        if address + size > _SPAN:
            raise _damaged(number, "its data go on behind the last address of 64 KiB")
        # Some programs add both bases, others forget one when there is another.
        if self._last != self._segment + self._linear:
            raise _damaged(number, "its address is counted from two bases")


def _damaged(number: int, reason: str) -> PlanError:
    return PlanError(f"the Intel HEX file is damaged: line {number}: {reason}")


def _load(lines: Sequence[bytes]) -> _Memory:
    try:
        import intelhex
    except ImportError:
        raise PlanError(
            "Intel HEX files need the package intelhex: pip install 'esploader[hex]'"
        ) from None
    try:
        memory: _Memory = intelhex.IntelHex(io.StringIO(b"\n".join(lines).decode("ascii")))
    except (intelhex.IntelHexError, ValueError) as exc:
        raise PlanError(f"the Intel HEX file is damaged: {exc}") from exc
    return memory
