"""Up to where flash may be written and read: its size, and the reach of the loader.

Source: esptool documentation, "Flasher Stub" and "Flash size"; a command to the flash chip
has an address of three bytes, unless the loader knows those with four. What a ROM loader takes
the flash for: the same, and espressif/esp-idf issue 10959, where one in Secure Download Mode
refused what lay beyond 2 MiB, until it was told the size.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from esploader.errors import ImageError, PlanError
from esploader.flash.jedec import name_of_size
from esploader.image.header import MAX_HEADER_SIZE, parse_header
from esploader.loader.stub_folders import remedy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esploader.chips.model.chip import Chip
    from esploader.chips.reading.security_state import SecurityState
    from esploader.flash.plan import Piece

_log: Final = logging.getLogger(__name__)

REACH_OF_3_BYTES: Final = 16 * 1024 * 1024
"""Beyond this an address of three bytes would be one at the beginning of the flash."""

ASSUMED_SIZE: Final = 2 * 1024 * 1024
"""What the ROM loaders take for the size of the flash until they are told, in bytes."""

_SIZE_NAME: Final = re.compile(r"([0-9]{1,4})(KB|MB)(-c1)?")
_UNITS: Final = {"KB": 1 << 10, "MB": 1 << 20}


def check_reach(end: int, chip: Chip, *, through_stub: bool) -> None:
    """Refuse a region that ends at ``end`` where the loader cannot reach it.

    Raises:
        PlanError: it lies beyond 16 MiB, and the loader has only addresses of three bytes.
    """
    if end > reach_of(chip, end, through_stub=through_stub):
        loader = "a stub" if through_stub else "the ROM loader"
        stub_does = not through_stub and chip.supports_4_byte_addresses
        raise PlanError(
            f"{loader} of the {chip.name} reaches {REACH_OF_3_BYTES:#x} bytes of flash, "
            f"and not up to {end:#x}{f'; a stub does{remedy()}' if stub_does else ''}"
        )


def reach_of(chip: Chip, end: int, *, through_stub: bool) -> int:
    """Return how far the loader reaches of what ends at ``end``."""
    has_long_addresses = through_stub and end > REACH_OF_3_BYTES and chip.supports_4_byte_addresses
    return end if has_long_addresses else min(end, REACH_OF_3_BYTES)


def usable_size(flash_size: int | None, size_name: str) -> int | None:
    """Return how many bytes of flash may be used; ``None`` where that is not known.

    ``size_name`` is what the bootloader is to be told, of a chip's table, or any other word
    where it is told nothing. What lies behind that it would not find.
    """
    named = named_size(size_name)
    if named is None:
        return flash_size
    return named if flash_size is None else min(named, flash_size)


def named_size(size_name: str) -> int | None:
    """Return how many bytes a name such as ``4MB`` stands for; ``None`` for any other word."""
    match = _SIZE_NAME.fullmatch(size_name)
    return None if match is None else int(match[1]) * _UNITS[match[2]]


def warn_of_size(
    regions: Iterable[Piece],
    chip: Chip,
    security: SecurityState,
    *,
    named: str,
    size: int | None,
) -> None:
    """Say so where more flash is promised than the ``size`` bytes that there are.

    By the header of the bootloader, as ``regions`` have it, or else by the name of a size that
    the caller gave, whether or not it goes anywhere.
    """
    if size is None:
        return
    said, by = named_size(named), "what was given as its size is"
    for region in regions:
        inside = chip.bootloader_offset - region.offset
        is_opaque = security.flash_encryption and not region.encrypted
        if not is_opaque and 0 <= inside < len(region.data):
            in_header = _size_in_header(region.data[inside : inside + MAX_HEADER_SIZE], chip)
            if in_header is not None:
                said, by = in_header, "the header of the bootloader says"
    if said is not None and said > size:
        _log.warning(
            "the flash has %s, and %s %s: what it does not have cannot be used "
            "(--flash-size detect puts in what it has)",
            name_of_size(size),
            by,
            name_of_size(said),
        )


def _size_in_header(image: bytes | memoryview, chip: Chip) -> int | None:
    """Return how much flash an image expects, in bytes; ``None`` where it does not say."""
    try:
        code = parse_header(image, chip).flash_size
    except ImageError:
        return None
    names = {code: name for name, code in chip.flash_sizes}
    return named_size(names[code]) if code in names else None


def check_assumed_size(end: int) -> None:
    """Refuse a region that ends at ``end`` where no loader was told the size of the flash.

    Raises:
        PlanError: it reaches beyond :data:`ASSUMED_SIZE`.
    """
    if end > ASSUMED_SIZE:
        raise PlanError(
            "in Secure Download Mode the size of the flash cannot be found out, and the ROM "
            f"loader takes it for {ASSUMED_SIZE:#x} bytes: {end:#x} is beyond that, unless you "
            "say how large the flash is (--flash-size)"
        )
