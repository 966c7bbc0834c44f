"""The chips, as data: one module a chip, and the registry of them all.

Names are loaded when first used: most of what needs one fact does not need all chips.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esploader.chips.names import (
        CHIPS,
        BitField,
        Bits,
        Chip,
        Crystal,
        Field,
        Label,
        Quirk,
        When,
        chip_by_name,
        registered,
    )

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


# A type checker is to know the names above, and no others.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module("esploader.chips.names"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
