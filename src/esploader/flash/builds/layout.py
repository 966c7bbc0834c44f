"""What the files of a build say themselves: which chip they are for, and where partitions are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.chips.registry import chip_by_image_id, chip_by_name
from esploader.errors import PartitionTableError, PlanError
from esploader.image.header import MAGIC, MAX_HEADER_SIZE
from esploader.image.otadata import OtaEntry
from esploader.image.partition import SECTOR_SIZE, TABLE_SIZE
from esploader.image.partitions import parse_table
from esploader.image.suitability import Suitability, check_image

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.chips.model.chip import Chip
    from esploader.image.partitions import PartitionTable

DEFAULT_APP_OFFSET: Final = 0x1_0000

_MAX_IMAGE_SIZE: Final = 16 * 1024 * 1024

_CHIP_ID: Final = slice(12, 14)

FIRST_SLOT: Final = OtaEntry.of(1).to_bytes().ljust(2 * SECTOR_SIZE, b"\xff")
"""What ``otadata`` holds where the application in the first slot is to boot; the cores for Arduino
write it as ``boot_app0.bin``."""

NO_SLOT: Final = b"\xff" * len(FIRST_SLOT)
"""What it holds where that in the partition ``factory`` is."""


def read_table(path: Path) -> PartitionTable:
    """Return a partition table.

    Raises:
        PlanError: it cannot be read, or is none.
    """
    try:
        return parse_table(beginning(path, TABLE_SIZE))
    except PartitionTableError as exc:
        raise PlanError(f"{path} is no partition table: {exc.reason}") from exc


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


def damage_of(path: Path, chip: Chip) -> str | None:
    """Return why what begins like an image for ``chip`` is none; ``None`` where all is right.

    Raises:
        PlanError: it cannot be read.
    """
    verdict = check_image(beginning(path, _MAX_IMAGE_SIZE), chip, None)
    return verdict.reason if verdict.suitability is Suitability.INVALID else None


def size_of(path: Path) -> int:
    """Return how many bytes a file has.

    Raises:
        PlanError: it is not there any more.
    """
    try:
        return path.stat().st_size
    except OSError as exc:
        raise PlanError(f"{path} cannot be read: {exc.strerror or exc}") from exc


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
