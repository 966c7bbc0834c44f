"""The table that says which compilation unit of a program is at an address.

Source: DWARF Debugging Information Format, version 4, "Lookup by Address".
"""

from __future__ import annotations

import bisect
import struct
from typing import TYPE_CHECKING, Final

from esploader.classes import define
from esploader.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

# size u32 | version u16 | offset of the unit u32 | size of an address u8 | of a segment u8
_HEADER: Final = struct.Struct("<IHIBB")
_SIZE_FIELD: Final = 4
_TUPLES: Final = {4: struct.Struct("<II"), 8: struct.Struct("<QQ")}


@define(eq=False, repr=False)
class AddressTable:
    """Ranges of addresses and their units, in the order of the addresses."""

    _ranges: list[tuple[int, int, int]]
    """First address, that behind the last, and the offset of the unit."""

    @classmethod
    def parse(cls, data: bytes) -> AddressTable:
        """Read a section ``.debug_aranges``, of 32-bit DWARF, least significant byte first.

        Raises:
            ProtocolError: it is damaged.
        """
        return cls(sorted(_ranges(data)))

    def unit_at(self, address: int) -> int | None:
        """Return the offset of the unit that has an address; ``None`` where none has."""
        index = bisect.bisect_right(self._ranges, address, key=lambda each: each[0]) - 1
        if index < 0 or address >= self._ranges[index][1]:
            return None
        return self._ranges[index][2]


def _ranges(data: bytes) -> Iterator[tuple[int, int, int]]:
    offset = 0
    while offset < len(data):
        if offset + _HEADER.size > len(data):
            raise ProtocolError("the table of addresses ends within a header")
        size, _, unit, address_size, _ = _HEADER.unpack_from(data, offset)
        row = _TUPLES.get(address_size)
        end = offset + _SIZE_FIELD + size
        if row is None or end > len(data) or end < offset + _HEADER.size:
            raise ProtocolError("the table of addresses is of no such form")
        # The first row is aligned as rows are.
        start = offset - (-_HEADER.size // row.size) * row.size
        for position in range(start, end - row.size + 1, row.size):
            first, count = row.unpack_from(data, position)
            if count:
                yield first, first + count, unit
        offset = end
