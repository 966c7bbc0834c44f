"""Who made a flash chip, which one it is, and how large: the JEDEC id.

Sources: JEDEC JEP106 (manufacturers, bank 1 and what the makers of flash use without
continuation codes); data sheets of the parts named, as collected in flashrom's
``include/flashchips.h``; capacity codes as in the data sheets of the W25Q, GD25Q, XM25Q
and MX25U series, of the AT25 series for Adesto.
"""

from __future__ import annotations

from typing import Final

import attrs

from esploader.chips.model.chip import KIB, MIB
from esploader.classes import frozen
from esploader.errors import PlanError

_ADESTO: Final = 0x1F
_ADESTO_DENSITY_MASK: Final = 0x1F

_MANUFACTURERS: Final[dict[int, str]] = {
    0x01: "Infineon (Spansion)",
    0x0B: "XTX",
    0x1C: "EON",
    0x1F: "Adesto (Atmel)",
    0x20: "XMC",
    0x5E: "Zbit",
    0x68: "Boya",
    0x85: "Puya",
    0x8C: "ESMT",
    0x9D: "ISSI",
    0xA1: "Fudan",
    0xBA: "Zetta",
    0xBF: "Microchip (SST)",
    0xC2: "Macronix",
    0xC8: "GigaDevice",
    0xEF: "Winbond",
}

_DEVICES: Final[dict[tuple[int, int], str]] = {
    (0x0B, 0x4014): "XT25F08",
    (0x0B, 0x4015): "XT25F16",
    (0x0B, 0x4016): "XT25F32",
    (0x0B, 0x4017): "XT25F64",
    (0x0B, 0x4018): "XT25F128",
    (0x1C, 0x3013): "EN25Q40",
    (0x1C, 0x3014): "EN25Q80",
    (0x1C, 0x3015): "EN25Q16",
    (0x1C, 0x3016): "EN25Q32",
    (0x1C, 0x3017): "EN25Q64",
    (0x1C, 0x7016): "EN25QH32",
    (0x20, 0x4015): "XM25QH16",
    (0x20, 0x4016): "XM25QH32",
    (0x20, 0x4017): "XM25QH64",
    (0x20, 0x4018): "XM25QH128",
    (0x20, 0x4019): "XM25QH256",
    (0x5E, 0x4014): "ZB25VQ80",
    (0x5E, 0x4015): "ZB25VQ16",
    (0x5E, 0x4016): "ZB25VQ32",
    (0x68, 0x4014): "BY25Q80",
    (0x68, 0x4015): "BY25Q16",
    (0x68, 0x4016): "BY25Q32",
    (0x68, 0x4017): "BY25Q64",
    (0x68, 0x4018): "BY25Q128",
    (0x85, 0x6013): "P25Q40H",
    (0x85, 0x6014): "P25Q80H",
    (0x85, 0x6015): "P25Q16H",
    (0x85, 0x6016): "P25Q32H",
    (0x85, 0x6017): "P25Q64H",
    (0x9D, 0x6014): "IS25LP080",
    (0x9D, 0x6015): "IS25LP016",
    (0x9D, 0x6016): "IS25LP032",
    (0x9D, 0x6017): "IS25LP064",
    (0x9D, 0x6018): "IS25LP128",
    (0x9D, 0x7016): "IS25WP032",
    (0x9D, 0x7017): "IS25WP064",
    (0x9D, 0x7018): "IS25WP128",
    (0xA1, 0x4016): "FM25Q32",
    (0xA1, 0x4017): "FM25Q64",
    (0xA1, 0x4018): "FM25Q128",
    (0xC2, 0x2013): "MX25L4006",
    (0xC2, 0x2014): "MX25L8006",
    (0xC2, 0x2015): "MX25L1606",
    (0xC2, 0x2016): "MX25L3233",
    (0xC2, 0x2017): "MX25L6433",
    (0xC2, 0x2018): "MX25L12833",
    (0xC8, 0x4013): "GD25Q40",
    (0xC8, 0x4014): "GD25Q80",
    (0xC8, 0x4015): "GD25Q16",
    (0xC8, 0x4016): "GD25Q32",
    (0xC8, 0x4017): "GD25Q64",
    (0xC8, 0x4018): "GD25Q128",
    (0xC8, 0x4019): "GD25Q256",
    (0xC8, 0x6016): "GD25LQ32",
    (0xC8, 0x6017): "GD25LQ64",
    (0xC8, 0x6018): "GD25LQ128",
    (0xEF, 0x4013): "W25Q40",
    (0xEF, 0x4014): "W25Q80",
    (0xEF, 0x4015): "W25Q16",
    (0xEF, 0x4016): "W25Q32",
    (0xEF, 0x4017): "W25Q64",
    (0xEF, 0x4018): "W25Q128",
    (0xEF, 0x4019): "W25Q256",
    (0xEF, 0x6016): "W25Q32 (1.8 V)",
    (0xEF, 0x6017): "W25Q64 (1.8 V)",
    (0xEF, 0x6018): "W25Q128 (1.8 V)",
    (0xEF, 0x7016): "W25Q32JV-DTR",
    (0xEF, 0x7017): "W25Q64JV-DTR",
    (0xEF, 0x7018): "W25Q128JV-DTR",
}

_SIZES: Final[dict[int, int]] = {
    **{code: 1 << code for code in range(0x12, 0x1A)},
    **{0x1A + n: (64 * MIB) << n for n in range(3)},
    **{0x20 + n: (64 * MIB) << n for n in range(3)},
    **{0x32 + n: (256 * KIB) << n for n in range(9)},
}
"""The third byte of the id and the size in bytes."""

_ADESTO_SIZES: Final[dict[int, int]] = {0x04 + n: (512 * KIB) << n for n in range(6)}

# All zeros, all ones, and what esptool 5.6.0 doubts besides.
_NOTHING_THERE: Final = frozenset({0x000000, 0xFFFFFF, 0xFFFF3F})


@frozen
class FlashId:
    """What a flash chip answers to the command READ ID (9Fh)."""

    jedec_id: int = attrs.field(repr=hex)
    """Three bytes, the manufacturer in the lowest."""

    @property
    def manufacturer(self) -> int:
        """The JEDEC number of the maker."""
        return self.jedec_id & 0xFF

    @property
    def device(self) -> int:
        """Type and capacity, as they are written: type first."""
        return int.from_bytes(self.jedec_id.to_bytes(3, "little")[1:], "big")

    @property
    def size(self) -> int | None:
        """Bytes of flash; ``None`` where the id does not say."""
        if self.manufacturer == _ADESTO:
            return _ADESTO_SIZES.get(self.device >> 8 & _ADESTO_DENSITY_MASK)
        return _SIZES.get(self.device & 0xFF)

    @property
    def manufacturer_name(self) -> str | None:
        """The maker's name, where it is known."""
        return _MANUFACTURERS.get(self.manufacturer)

    @property
    def device_name(self) -> str | None:
        """The part's name without package and grade, where it is known."""
        return _DEVICES.get((self.manufacturer, self.device))

    @property
    def is_plausible(self) -> bool:
        """A flash chip answered: an empty socket reads as all zeros or all ones."""
        return self.jedec_id not in _NOTHING_THERE


def name_of_size(size: int) -> str:
    """Return what a flash of ``size`` bytes is called, such as ``4MB``."""
    return f"{size // KIB}KB" if size % MIB else f"{size // MIB}MB"


def check_presence(flash: FlashId) -> None:
    """Refuse to do anything with a flash that is not there.

    Raises:
        PlanError: no flash chip answered when it was asked for its id.
    """
    if not flash.is_plausible:
        raise PlanError(
            f"no flash answers: its id reads as {flash.jedec_id:06x}, which no flash chip has"
        )
