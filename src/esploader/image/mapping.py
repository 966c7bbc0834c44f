"""Which regions of a chip an address is in, and what becomes of bytes that belong there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

_SEEN_THROUGH_CACHE: Final = frozenset({"drom", "irom", "extram"})
"""Regions that a bootloader maps, page by page, in place of copying anything there."""


def regions_of(address: int, chip: Chip) -> frozenset[str]:
    """Return the names of the regions of ``chip`` that ``address`` is in."""
    return frozenset(region.name for region in chip.memory if region.start <= address < region.end)


def is_mapped(address: int, chip: Chip) -> bool:
    """Tell whether what belongs to ``address`` stays in the flash, and is mapped from there."""
    return not _SEEN_THROUGH_CACHE.isdisjoint(regions_of(address, chip))
