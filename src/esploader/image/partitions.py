"""A partition table: what its bytes say, what it may say, and which room it leaves.

Rows of 32 bytes, of which one may be the MD5 of those in front of it, and blank ones to the end.
:mod:`esploader.image.partition_csv` has the same as text.

Sources: ESP-IDF, "Partition Tables" (API guides); for what a table may say
``components/partition_table/gen_esp32part.py``, version 1.5; for what a bootloader takes
``components/bootloader_support/src/flash_partitions.c``.
"""

from __future__ import annotations

import difflib
import hashlib
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import attrs
from typing_extensions import override

from esploader.chips.model.chip import KIB
from esploader.errors import PartitionTableError
from esploader.image.partition import (
    APP_ALIGNMENT,
    COREDUMP,
    DATA,
    MAGIC,
    NVS,
    OTADATA,
    ROW_SIZE,
    SECTOR_SIZE,
    TABLE_SIZE,
    TEE_OTADATA,
    Partition,
    parse_row,
    printable,
    size_name,
)
from esploader.image.partition_csv import Surroundings, partitions_of, to_csv

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["DEFAULT_OFFSET", "Gap", "Partition", "PartitionTable", "parse_csv", "parse_table"]

DEFAULT_OFFSET: Final = 0x8000
"""Where the table is in flash, unless a project says otherwise (CONFIG_PARTITION_TABLE_OFFSET)."""

OTADATA_SIZE: Final = 2 * SECTOR_SIZE

_MAX_ROWS: Final = TABLE_SIZE // ROW_SIZE - 1
"""Behind them at least one blank row ends the table."""

_BLANK_ROW: Final = b"\xff" * ROW_SIZE
_MD5_MAGIC: Final = b"\xeb\xeb"
_MD5_ROW: Final = _MD5_MAGIC.ljust(ROW_SIZE // 2, b"\xff")
_MIN_NVS_SIZE: Final = 12 * KIB
"""Of what the application writes to."""
_ALWAYS_WRITTEN: Final = frozenset({OTADATA, COREDUMP})
_LARGEST_KIND: Final = 0xFE
"""Of types and subtypes: 0xFF is what is blank."""


@attrs.frozen(kw_only=True)
class Gap:
    """A part of the flash that no partition has."""

    offset: int = attrs.field(repr=hex)
    """Where it begins."""
    size: int = attrs.field(repr=hex)
    """Bytes of it."""


@attrs.frozen
class PartitionTable:
    """Which parts of the flash have names."""

    partitions: tuple[Partition, ...] = attrs.field(repr=lambda found: f"<{len(found)} partitions>")
    """In the order of the rows."""
    has_md5: bool = attrs.field(default=True, kw_only=True)
    """A row has the MD5 of the table; a bootloader from before ESP-IDF 3.1 takes none."""

    def __iter__(self) -> Iterator[Partition]:
        return iter(self.partitions)

    def __len__(self) -> int:
        return len(self.partitions)

    def __getitem__(self, name: str) -> Partition:
        """Return the partition of that name.

        Raises:
            PartitionTableError: there is none, or more than one.
        """
        found = [each for each in self.partitions if each.name == name]
        if len(found) > 1:
            raise PartitionTableError(f"{len(found)} partitions are called {printable(name)}")
        if not found:
            shown = printable(str(name))
            raise PartitionTableError(
                f"there is no partition {shown}{_near(shown, self)}; there are: "
                f"{', '.join(each.shown_name for each in self.partitions) or 'none'}"
            )
        return found[0]

    def of_type(self, kind: int, subtype: int) -> Partition | None:
        """Return the first partition of that type and subtype; ``None`` where there is none."""
        return next((each for each in self if (each.type, each.subtype) == (kind, subtype)), None)

    def to_bytes(self) -> bytes:
        """Return the table as it is in flash, 0xC00 bytes.

        Raises:
            PartitionTableError: it has too many partitions, or one that no row can hold.
        """
        rows = b"".join(each.to_bytes() for each in self.partitions)
        if self.has_md5:
            rows += _MD5_ROW + hashlib.md5(rows, usedforsecurity=False).digest()
        if len(rows) > _MAX_ROWS * ROW_SIZE:
            possible = _MAX_ROWS - self.has_md5
            raise PartitionTableError(
                f"it has {len(self.partitions)} partitions; {possible} are possible"
            )
        return rows.ljust(TABLE_SIZE, b"\xff")

    def to_csv(self) -> str:
        """Return the table as ESP-IDF's tools read it, every offset said.

        Raises:
            PartitionTableError: it has a name that such a file cannot hold.
        """
        return to_csv(self)

    def problems(
        self, *, table_offset: int = DEFAULT_OFFSET, flash_size: int | None = None
    ) -> tuple[str, ...]:
        """Return what ESP-IDF's tools would refuse of it, a sentence each.

        ``flash_size`` is in bytes; ``None`` leaves out whether all is within the flash.
        """
        return (
            *(problem for each in self for problem in _problems(each, table_offset, flash_size)),
            *self._doubles(),
            *(
                f"{second} begins before the end of {first}"
                for first, second in pairwise(sorted(self, key=lambda each: each.offset))
                if second.offset < first.end
            ),
        )

    def _doubles(self) -> Iterator[str]:
        names = [each.name for each in self]
        for name in dict.fromkeys(names):
            if names.count(name) > 1:
                yield f"{names.count(name)} partitions are called {printable(name)}"
        for subtype, what in ((OTADATA, "otadata"), (TEE_OTADATA, "otadata for the TEE")):
            found = [each for each in self if (each.type, each.subtype) == (DATA, subtype)]
            if len(found) > 1:
                yield f"there are {len(found)} partitions with {what}, and one is possible"
            for each in found:
                if each.size != OTADATA_SIZE:
                    yield f"{each}, and {what} has {OTADATA_SIZE:#x}"

    def check(self, *, table_offset: int = DEFAULT_OFFSET, flash_size: int | None = None) -> None:
        """Refuse what ESP-IDF's tools would refuse (:meth:`problems`).

        Raises:
            PartitionTableError: they would; the first reason is told.
        """
        for problem in self.problems(table_offset=table_offset, flash_size=flash_size):
            raise PartitionTableError(problem)

    def overlapping(self, partition: Partition) -> tuple[Partition, ...]:
        """Return which others share bytes with ``partition``."""
        return tuple(
            each
            for each in self
            if each != partition and each.offset < partition.end and partition.offset < each.end
        )

    def gaps(self, flash_size: int, *, table_offset: int = DEFAULT_OFFSET) -> tuple[Gap, ...]:
        """Return what is free behind the table, of a flash of ``flash_size`` bytes."""
        found: list[Gap] = []
        position = table_offset + SECTOR_SIZE
        for each in sorted(self, key=lambda each: each.offset):
            if position < min(each.offset, flash_size):
                end = min(each.offset, flash_size)
                found.append(Gap(offset=position, size=end - position))
            position = max(position, each.end)
        if position < flash_size:
            found.append(Gap(offset=position, size=flash_size - position))
        return tuple(found)

    @override
    def __str__(self) -> str:
        return "\n".join(table_lines(self))


def parse_table(data: bytes | bytearray | memoryview) -> PartitionTable:
    """Return the table that ``data`` begin with, as they are in flash.

    What follows its first blank row is not of it. What its partitions say is not judged:
    :meth:`PartitionTable.problems`.

    Raises:
        PartitionTableError: there is none, it is cut off, or its MD5 is another one.
    """
    # Many a caller has another kind of bytes, or all of a flash.
    data = bytes(data[:TABLE_SIZE])
    partitions: list[Partition] = []
    has_md5 = False
    for start in range(0, (_MAX_ROWS + 1) * ROW_SIZE, ROW_SIZE):
        row = data[start : start + ROW_SIZE]
        number = start // ROW_SIZE + 1
        if len(row) < ROW_SIZE:
            raise PartitionTableError(f"it is cut off in row {number}: no blank row ends it")
        if row == _BLANK_ROW:
            if not start:
                raise PartitionTableError("it is blank")
            return PartitionTable(tuple(partitions), has_md5=has_md5)
        if row.startswith(_MD5_MAGIC):
            if has_md5:
                raise PartitionTableError(f"row {number} is a second MD5")
            _check_md5(data[:start], row)
            has_md5 = True
        elif row.startswith(MAGIC):
            if has_md5:
                raise PartitionTableError(f"row {number} follows the MD5, which is the last")
            partitions.append(parse_row(row))
        else:
            found, expected = row[:2].hex(), MAGIC.hex()
            raise PartitionTableError(f"row {number} begins with {found} instead of {expected}")
    raise PartitionTableError(f"no blank row ends it within {TABLE_SIZE:#x} bytes")


def is_table(data: bytes) -> bool:
    """Tell whether ``data`` begin like a table, and not like its text."""
    return data.startswith(MAGIC)


def parse_csv(
    text: str,
    *,
    table_offset: int = DEFAULT_OFFSET,
    bootloader_offset: int | None = None,
    recovery_offset: int | None = None,
) -> PartitionTable:
    """Return the table that ``text`` describes, checked as ESP-IDF's tools check it.

    ``bootloader_offset`` and ``recovery_offset`` are needed where a row is for a bootloader: they
    depend on the chip (:attr:`Chip.bootloader_offset`) and on the project.

    Raises:
        PartitionTableError: it describes none, or one that cannot be.
    """
    surroundings = Surroundings(
        table_offset=table_offset, bootloader=bootloader_offset, recovery=recovery_offset
    )
    table = PartitionTable(tuple(partitions_of(text, surroundings)))
    table.check(table_offset=table_offset)
    return table


def table_lines(table: Iterable[Partition]) -> list[str]:
    """Return a table for people: a line for what the columns are, and one for each partition."""
    rows = [("Name", "Type", "SubType", "Offset", "Size", "Flags")]
    rows += [
        (
            each.shown_name,
            each.type_name,
            each.subtype_name,
            f"{each.offset:#x}",
            size_name(each.size),
            ":".join(filter(None, (*each.flag_names, _hex(each.unknown_flags)))),
        )
        for each in table
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _hex(number: int) -> str:
    return f"{number:#x}" if number else ""


def _check_md5(rows: bytes, row: bytes) -> None:
    stored = row[ROW_SIZE // 2 :]
    computed = hashlib.md5(rows, usedforsecurity=False).digest()
    if stored != computed:
        raise PartitionTableError(f"its MD5 is {stored.hex()} and should be {computed.hex()}")


def _problems(partition: Partition, table_offset: int, flash_size: int | None) -> Iterator[str]:
    alignment = APP_ALIGNMENT if partition.is_app else SECTOR_SIZE
    if partition.offset % alignment:
        yield f"{partition}, and no multiple of {alignment:#x}"
    if partition.size == 0:
        yield f"{partition.shown_name} has no bytes"
    if partition.is_app and partition.size % SECTOR_SIZE:
        yield f"{partition}: the size of an app is a multiple of {SECTOR_SIZE:#x}"
    first = table_offset + SECTOR_SIZE
    if partition.offset < first and not partition.is_primary:
        yield f"{partition}, and the table is in front of {first:#x}"
    if flash_size is not None and partition.end > flash_size:
        yield f"{partition}: it ends beyond the flash of {flash_size:#x} bytes"
    if partition.type == DATA:
        if partition.is_read_only and partition.subtype in _ALWAYS_WRITTEN:
            yield f"{partition.shown_name} cannot be readonly: {partition.subtype_name} is written"
        is_small = partition.size < _MIN_NVS_SIZE
        if partition.subtype == NVS and is_small and not partition.is_read_only:
            yield f"{partition}: one with NVS has {_MIN_NVS_SIZE:#x}, unless it is readonly"
    if max(partition.type, partition.subtype) > _LARGEST_KIND:
        yield f"{partition.shown_name}: types and subtypes end at {_LARGEST_KIND}"


def _near(name: str, table: PartitionTable) -> str:
    found = difflib.get_close_matches(name, [each.shown_name for each in table], n=2)
    return f" (did you mean {' or '.join(found)}?)" if found else ""
