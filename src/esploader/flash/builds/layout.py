"""What the files of a build say themselves: which chip they are for, and where partitions are.

Sources: ESP-IDF, "Partition Tables" (API guides) and ``esp_flash_partitions.h``; for the entry of
``otadata`` ``esp_ota_select_entry_t`` there.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from esploader.chips.registry import chip_by_image_id, chip_by_name
from esploader.errors import PlanError
from esploader.image.header import MAGIC, MAX_HEADER_SIZE
from esploader.image.suitability import Suitability, check_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEFAULT_TABLE_OFFSET: Final = 0x8000
"""Where the partition table is, unless a project says otherwise."""
DEFAULT_APP_OFFSET: Final = 0x1_0000

_MAX_TABLE_SIZE: Final = 0xC00
_MAX_IMAGE_SIZE: Final = 16 * 1024 * 1024

# magic u16 | type u8 | subtype u8 | offset u32 | size u32 | label 16 bytes | flags u32
_ROW: Final = struct.Struct("<HBBII16sI")
_ROW_MAGIC: Final = 0x50AA
_APP: Final = 0x00
_DATA: Final = 0x01
_OTADATA: Final = 0x00
_FACTORY: Final = 0x00

_CHIP_ID: Final = slice(12, 14)

_SECTOR_SIZE: Final = 0x1000

# sequence number u32 | label 20 bytes, not used | state u32 | CRC32 of the sequence number u32
_ENTRY: Final = struct.pack("<I20sII", 1, b"\xff" * 20, 0xFFFF_FFFF, 0x4743_989A)

FIRST_SLOT: Final = _ENTRY.ljust(2 * _SECTOR_SIZE, b"\xff")
"""What ``otadata`` holds where the application in the first slot is to boot; the cores for Arduino
write it as ``boot_app0.bin``."""

NO_SLOT: Final = b"\xff" * len(FIRST_SLOT)
"""What it holds where that in the partition ``factory`` is."""


class Partition(NamedTuple):
    """A row of a partition table."""

    name: str
    offset: int
    is_app: bool
    is_otadata: bool
    is_factory: bool
    """It has an application that boots where ``otadata`` is blank."""


def read_table(path: Path) -> list[Partition]:
    """Return the partitions of a table, in order of the rows; none where it is no table.

    Raises:
        PlanError: it cannot be read.
    """
    return list(_rows(beginning(path, _MAX_TABLE_SIZE)))


def _rows(data: bytes) -> Iterator[Partition]:
    for start in range(0, len(data) - _ROW.size + 1, _ROW.size):
        magic, kind, subtype, offset, _, label, _ = _ROW.unpack_from(data, start)
        if magic != _ROW_MAGIC:
            return
        yield Partition(
            name=label.partition(b"\0")[0].decode("utf-8", "backslashreplace"),
            offset=offset,
            is_app=kind == _APP,
            is_otadata=(kind, subtype) == (_DATA, _OTADATA),
            is_factory=(kind, subtype) == (_APP, _FACTORY),
        )


def chip_of(path: Path) -> str | None:
    """Return the name of the chip that an image is for; ``None`` where it is no image that says it.

    Raises:
        PlanError: it cannot be read.
    """
    data = beginning(path, MAX_HEADER_SIZE)
    if len(data) < MAX_HEADER_SIZE or data[0] != MAGIC:
        return None
    chip = chip_by_image_id(int.from_bytes(data[_CHIP_ID], "little"))
    return None if chip is None else chip.name


def is_image_with_chip(path: Path) -> bool:
    """Tell whether a file is an intact image that says which chip it is for.

    Raises:
        PlanError: it cannot be read.
    """
    name = chip_of(path)
    if name is None:
        return False
    verdict = check_image(beginning(path, _MAX_IMAGE_SIZE), chip_by_name(name), None)
    return verdict.suitability is Suitability.SUITABLE


def beginning(path: Path, size: int) -> bytes:
    """Return up to ``size`` bytes that a file begins with.

    Raises:
        PlanError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as exc:
        raise PlanError(f"{path} cannot be read: {exc.strerror or exc}") from exc
