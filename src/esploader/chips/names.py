"""The public names of the package, in one place; it is loaded when one is used."""

from __future__ import annotations

from esploader.chips.model.bits import BitField, Bits
from esploader.chips.model.chip import Chip
from esploader.chips.model.crystals import Crystal
from esploader.chips.model.labels import Field, Label, When
from esploader.chips.model.quirks import Quirk
from esploader.chips.registry import CHIPS, chip_by_name, registered

__all__ = [
    "CHIPS",
    "BitField",
    "Bits",
    "Chip",
    "Crystal",
    "Field",
    "Label",
    "Quirk",
    "When",
    "chip_by_name",
    "registered",
]
