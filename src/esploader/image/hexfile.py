"""Intel HEX files: bytes and where they belong, as text.

Read with intelhex (extra ``[hex]``), which is loaded when there is such a file.
Source of the format: Intel, "Hexadecimal Object File Format Specification", revision A, 1988.
"""

from __future__ import annotations

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
    # What follows an end would be passed over, and a file that is cut off looks complete.
    whole = text.rstrip().upper()
    if not whole.endswith(_END_OF_FILE) or whole.count(_END_OF_FILE) > 1:
        raise PlanError("an Intel HEX file has :00000001FF at its end, and nowhere else")
    memory = _load(text)
    bounds = memory.segments()
    if len(bounds) > MAX_SEGMENTS:
        raise PlanError(f"an Intel HEX file in more than {MAX_SEGMENTS} pieces is not read")
    return tuple(
        HexSegment(start, memory.tobinstr(start, size=end - start)) for start, end in bounds
    )


def _load(text: bytes) -> _Memory:
    try:
        import intelhex  # noqa: PLC0415 - an extra
    except ImportError:
        raise PlanError(
            "Intel HEX files need the package intelhex: pip install 'esploader[hex]'"
        ) from None
    try:
        memory: _Memory = intelhex.IntelHex(io.StringIO(text.decode("ascii")))
    except (intelhex.IntelHexError, ValueError) as exc:
        raise PlanError(f"the Intel HEX file is damaged: {exc}") from exc
    return memory
