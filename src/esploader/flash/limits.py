"""Up to where flash may be written and read: its size, and the reach of the loader.

Source: esptool documentation, "Flasher Stub" and "Flash size"; a command to the flash chip
has an address of three bytes, unless the loader knows those with four.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from esploader.errors import PlanError

if TYPE_CHECKING:
    from esploader.chips.model import Chip

REACH_OF_3_BYTES: Final = 16 * 1024 * 1024
"""Beyond this an address of three bytes would be one at the beginning of the flash."""

_SIZE_NAME: Final = re.compile(r"([0-9]{1,4})(KB|MB)(-c1)?")
_UNITS: Final = {"KB": 1 << 10, "MB": 1 << 20}


def check_reach(end: int, chip: Chip, *, through_stub: bool) -> None:
    """Refuse a region that ends at ``end`` where the loader cannot reach it.

    Raises:
        PlanError: it lies beyond 16 MiB, and the loader has only addresses of three bytes.
    """
    if end > REACH_OF_3_BYTES and not (through_stub and chip.supports_4_byte_addresses):
        loader = "a stub" if through_stub else "the ROM loader"
        raise PlanError(
            f"{loader} of the {chip.name} reaches {REACH_OF_3_BYTES:#x} bytes of flash, "
            f"and not up to {end:#x}"
        )


def usable_size(flash_size: int | None, size_name: str) -> int | None:
    """Return how many bytes of flash may be used; ``None`` where that is not known.

    ``size_name`` is what the bootloader is to be told, of a chip's table, or any other word
    where it is told nothing. What lies behind that it would not find.
    """
    match = _SIZE_NAME.fullmatch(size_name)
    if match is None:
        return flash_size
    named = int(match[1]) * _UNITS[match[2]]
    return named if flash_size is None else min(named, flash_size)
