"""The chips this library knows, and how to find one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c2 import ESP32_C2
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32c5 import ESP32_C5
from esploader.chips.esp32c6 import ESP32_C6
from esploader.chips.esp32c61 import ESP32_C61
from esploader.chips.esp32e22 import ESP32_E22
from esploader.chips.esp32h2 import ESP32_H2
from esploader.chips.esp32h4 import ESP32_H4
from esploader.chips.esp32h21 import ESP32_H21
from esploader.chips.esp32p4 import ESP32_P4
from esploader.chips.esp32s2 import ESP32_S2
from esploader.chips.esp32s3 import ESP32_S3
from esploader.chips.esp32s31 import ESP32_S31
from esploader.chips.esp8266 import ESP8266
from esploader.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esploader.chips.model.chip import Chip

_IGNORED: Final = str.maketrans("", "", "-()")


def registered(*chips: Chip) -> tuple[Chip, ...]:
    """Return ``chips``, made sure that each can be told from the others.

    Raises :exc:`ValueError` when two share a name, a chip id or a magic word.
    """
    for values in (
        [chip.key for chip in chips],
        [chip.image_chip_id for chip in chips if chip.image_chip_id is not None],
        [chip.magic for chip in chips if chip.magic is not None],
    ):
        if len(set(values)) != len(values):
            raise ValueError(f"two chips share one of {values}")
    return chips


CHIPS: Final[tuple[Chip, ...]] = registered(
    ESP8266,
    ESP32,
    ESP32_S2,
    ESP32_S3,
    ESP32_C3,
    ESP32_C2,
    ESP32_C6,
    ESP32_H2,
    ESP32_P4,
    ESP32_C61,
    ESP32_C5,
    ESP32_H21,
    ESP32_H4,
    ESP32_E22,
    ESP32_S31,
)
"""All chips: those told apart by a magic word, the others roughly as they came out."""


def chip_by_name(name: str, chips: Iterable[Chip] = CHIPS) -> Chip:
    """Return that of ``chips`` with that name; case, ``-``, ``(`` and ``)`` do not matter.

    Raises :exc:`~esploader.errors.UnsupportedError`, which lists the names, when no chip
    has it.
    """
    key = name.lower().translate(_IGNORED)
    by_key = {chip.key: chip for chip in chips}
    if key not in by_key:
        raise UnsupportedError(f"chip {name!r}", f"it is not known; these are: {', '.join(by_key)}")
    return by_key[key]


def chip_by_image_id(image_chip_id: int, chips: Iterable[Chip] = CHIPS) -> Chip | None:
    """Return the chip with that id in images and in GET_SECURITY_INFO, if there is one."""
    return next((chip for chip in chips if chip.image_chip_id == image_chip_id), None)


def chip_by_magic(magic: int, chips: Iterable[Chip] = CHIPS) -> Chip | None:
    """Return the chip with that word at 0x4000_1000, if there is one."""
    return next((chip for chip in chips if chip.magic == magic), None)
