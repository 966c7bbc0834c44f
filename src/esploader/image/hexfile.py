"""Intel HEX files: bytes and where they belong, as text.

Read and written record by record, in pieces of the file: a flash of 16 MiB is 45 MB of text and a
million records. Nothing is used of a file in which anything is odd, and nothing in which programs
differ about where a byte belongs.

Source of the format: Intel, "Hexadecimal Object File Format Specification", revision A, 1988.
"""

from __future__ import annotations

import binascii
import io
import re
from typing import TYPE_CHECKING, Final

from esploader.errors import PlanError
from esploader.image.runs import FileKind, Gathering, Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from esploader.image.runs import Readable

SUFFIXES: Final = frozenset({".hex", ".ihex"})
"""How the name of such a file ends, in lower case."""

MAX_SIZE: Final = 256 * 1024 * 1024
"""No flash is larger, in bytes."""

MAX_TEXT_PER_BYTE: Final = 4
"""How much text there may be for each byte that is allowed: records of 16 bytes take three."""

MIN_TEXT_SIZE: Final = 1024 * 1024
"""So much text is read in any case, in bytes."""

READ_SIZE: Final = 1024 * 1024
"""How much of a file is held at once, in bytes."""

SAMPLE_SIZE: Final = 4096
"""How much of the beginning of a file tells what it is, in bytes."""

_END_OF_FILE: Final = b":00000001FF"

_DATA: Final = 0
_END: Final = 1
_SEGMENT_BASE: Final = 2
_LINEAR_BASE: Final = 4
_BASES: Final = frozenset({_SEGMENT_BASE, _LINEAR_BASE})
_BASE_SIZE: Final = 2
_STARTS: Final = frozenset({3, 5})
_START_SIZE: Final = 4
_RECORD_SIZE: Final = 5
"""Of a record without its data, in bytes."""

_FIRST_RECORD: Final = re.compile(rb"[\r\n]*:([0-9A-Fa-f]{2})((?:[0-9A-Fa-f]{2})+)(?:[\r\n]|\Z)")
_TEXT: Final = frozenset((*b"\t\n\f\r", *range(0x20, 0x7F)))

_MAX_LINE_SIZE: Final = 1 + 2 * (_RECORD_SIZE + 0xFF)

ADDRESS_LIMIT: Final = 1 << 32
"""Addresses are smaller."""

_SPAN: Final = 64 * 1024
"""What the address of a record reaches, in bytes."""

_ROW_SIZE: Final = 16
"""Data of each record that is written, in bytes, as everybody has it."""

_KIND: Final = FileKind("an Intel HEX file", "line")
_damaged: Final = _KIND.damaged


def is_hex(beginning: bytes) -> bool:
    """Tell whether what begins like that is an Intel HEX file, whatever its name.

    It is when its first line is a record of the size that it says, and the first
    :data:`SAMPLE_SIZE` bytes are nothing but text. A colon alone says nothing; a checksum that is
    wrong makes the file a damaged one, not another kind.
    """
    sample = beginning[:SAMPLE_SIZE]
    record = _FIRST_RECORD.match(sample)
    return (
        record is not None
        and len(record[2]) // 2 == _RECORD_SIZE - 1 + int(record[1], 16)
        and _TEXT.issuperset(sample)
    )


def read_segments(text: bytes, *, max_size: int = MAX_SIZE) -> tuple[Run, ...]:
    """Return what an Intel HEX file holds, in order of the addresses in it.

    Raises:
        PlanError: it is damaged, cut off or too large, or gives a byte twice.
    """
    return read_file(io.BytesIO(text), max_size=max_size)


def read_file(file: Readable, *, max_size: int = MAX_SIZE) -> tuple[Run, ...]:
    """Return what ``file`` holds, up to ``max_size`` bytes. Raises as :func:`read_segments`."""
    runs = Gathering(_KIND, max_size)
    bases = _Bases()
    is_ended = False
    blank = 0
    for number, line in enumerate(_lines(file, MIN_TEXT_SIZE + MAX_TEXT_PER_BYTE * max_size), 1):
        if not line or line.isspace():
            # Behind the end nobody looks.
            blank = blank or (number if line and not is_ended else 0)
            continue
        if is_ended:
            raise _damaged(number, "there is more behind the end record")
        kind, address, data = _record(number, line)
        if kind == _DATA:
            runs.add(number, bases.address_of(number, address, len(data)), data)
        elif kind == _END:
            # Others have an address here, or mean something else by it.
            if line.upper() != _END_OF_FILE:
                raise _damaged(number, f"an end record is {_END_OF_FILE.decode()} and nothing else")
            if blank:
                raise _damaged(blank, "it is blank, and not empty")
            is_ended = True
        else:
            bases.take_in(number, kind, address, data)
    if not is_ended:
        raise PlanError(
            f"the Intel HEX file is cut off, or none: it has no end record, {_END_OF_FILE.decode()}"
        )
    return runs.runs()


def _lines(file: Readable, max_size: int) -> Iterator[bytes]:
    """Yield the lines of ``file``, without their ends."""
    size = 0
    rest = b""
    while piece := file.read(READ_SIZE):
        size += len(piece)
        if size > max_size:
            raise PlanError(f"an Intel HEX file of more than {max_size} bytes is not read here")
        text = rest + piece
        # A carriage return at the very end may be half a line end.
        end = max(text.rfind(b"\n"), text.rfind(b"\r", 0, -1)) + 1
        rest = text[end:]
        if len(rest) > READ_SIZE:
            raise PlanError("the Intel HEX file is damaged, or none: its lines do not end")
        yield from text[:end].splitlines()
    yield from rest.splitlines()


def _record(number: int, line: bytes) -> tuple[int, int, bytes]:
    """Return the type, the address and the data of a record."""
    if not line.startswith(b":"):
        raise _damaged(number, "it does not begin with a colon")
    if len(line) > _MAX_LINE_SIZE:
        raise _damaged(number, "it is longer than it says")
    # : size u8 | address u16 | type u8 | data | checksum u8
    try:
        content = binascii.unhexlify(line[1:])
    except ValueError:
        raise _damaged(number, "behind the colon are pairs of hexadecimal digits alone") from None
    if len(content) < _RECORD_SIZE or len(content) != _RECORD_SIZE + content[0]:
        raise _damaged(number, "it is shorter or longer than it says")
    if sum(content) & 0xFF:
        raise _damaged(number, "its checksum is wrong")
    return content[3], content[1] << 8 | content[2], content[4:-1]


def _require_shape(number: int, address: int, data: bytes, size: int) -> None:
    if address or len(data) != size:
        raise _damaged(number, f"a record of this type has {size} bytes, and no address")


class _Bases:
    """What the addresses of data are counted from, as two readings of the format have it."""

    def __init__(self) -> None:
        self._segment = self._linear = self._last = 0
        self._is_started = False

    def take_in(self, number: int, kind: int, address: int, data: bytes) -> None:
        """Take over a base; refuse what is none, and no start of a program, which is not used."""
        if kind in _STARTS:
            _require_shape(number, address, data, _START_SIZE)
            if self._is_started:
                raise _damaged(number, "it says for the second time where a program starts")
            self._is_started = True
        elif kind in _BASES:
            _require_shape(number, address, data, _BASE_SIZE)
            value = int.from_bytes(data, "big")
            if kind == _SEGMENT_BASE:
                self._segment = self._last = value * 16
            else:
                self._linear = self._last = value * _SPAN
        else:
            raise _damaged(number, f"there are no records of type {kind}")

    def address_of(self, number: int, address: int, size: int) -> int:
        """Return where data belong; refuse those of which programs differ in that."""
        if not size:
            raise _damaged(number, "it has no data, which once meant the end")
        # Behind a segment base the rest belongs to the beginning of the segment, behind a linear
        # one it follows, and without either nobody says.
        if address + size > _SPAN:
            raise _damaged(number, "its data go on behind the last address of 64 KiB")
        # Some programs add both bases, others forget one when there is another.
        if self._last != self._segment + self._linear:
            raise _damaged(number, "its address is counted from two bases")
        return self._last + address


def written(runs: Sequence[Run]) -> Iterator[bytes]:
    """Yield a file that holds ``runs``, in pieces: those of each 64 KiB at once.

    The runs are in order and do not overlap; where one begins where another ends, the records go
    on. What is in no run is not in the file. The base of the addresses is given where there is
    more than one, and nobody is told where a program starts.
    """
    has_bases = bool(runs) and runs[-1].end > _SPAN
    base = -1
    for address, data in _spans(runs):
        if has_bases and address // _SPAN != base:
            base = address // _SPAN
            yield _row(0, _LINEAR_BASE, base.to_bytes(_BASE_SIZE, "big")).encode()
        start = address % _SPAN
        yield "".join(
            _row(start + at, _DATA, data[at : at + _ROW_SIZE])
            for at in range(0, len(data), _ROW_SIZE)
        ).encode()
    yield _END_OF_FILE + b"\n"


def _spans(runs: Sequence[Run]) -> Iterator[tuple[int, bytes]]:
    """Yield what has no gap, in parts that end where the address of a record does."""
    start, held = 0, bytearray()
    for run in runs:
        if held and start + len(held) != run.address:
            yield start, bytes(held)
            held.clear()
        at = 0
        while at < len(run.data):
            if not held:
                start = run.address + at
            part = run.data[at : at + _SPAN - (start + len(held)) % _SPAN]
            held += part
            at += len(part)
            if (start + len(held)) % _SPAN == 0:
                yield start, bytes(held)
                held.clear()
    if held:
        yield start, bytes(held)


def _row(address: int, kind: int, data: bytes) -> str:
    total = len(data) + (address >> 8) + address + kind + sum(data)
    return f":{len(data):02X}{address:04X}{kind:02X}{data.hex().upper()}{-total & 0xFF:02X}\n"
