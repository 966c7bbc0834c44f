"""What many chips have alike.

Sources: the eFuse controller of the ESP32-S2 and its successors: Technical Reference Manuals,
"eFuse Controller", register summary; protection: what espefuse 5.6.0 says of every bit of
WR_DIS and RD_DIS. SPI1 of the same chips: ESP-IDF, ``spi_mem_reg.h``. Codes of sizes and modes:
esptool documentation, "Firmware Image Format".
"""

from __future__ import annotations

from typing import Final

from esploader.chips.model.bits import BitField, Bits
from esploader.chips.model.efuse_layout import EfuseBlock, EfuseProtection, EfuseSpan
from esploader.chips.model.flash_bus import SpiRegisters

FLASH_SIZES: Final = (
    ("1MB", 0x0),
    ("2MB", 0x1),
    ("4MB", 0x2),
    ("8MB", 0x3),
    ("16MB", 0x4),
    ("32MB", 0x5),
    ("64MB", 0x6),
    ("128MB", 0x7),
)
"""Codes in the header of images of the ESP32 and all after it."""

FLASH_MODES: Final = (("qio", 0), ("qout", 1), ("dio", 2), ("dout", 3))
"""Codes in the header of images of all chips."""


LOCKS_OF_BLOCKS: Final = (
    (20, EfuseSpan("BLOCK1", 0, 192)),
    (21, EfuseSpan("BLOCK2", 0, 256)),
    (22, EfuseSpan("BLOCK3", 0, 256)),
    (23, EfuseSpan("BLOCK_KEY0", 0, 256)),
    (24, EfuseSpan("BLOCK_KEY1", 0, 256)),
    (25, EfuseSpan("BLOCK_KEY2", 0, 256)),
    (26, EfuseSpan("BLOCK_KEY3", 0, 256)),
    (27, EfuseSpan("BLOCK_KEY4", 0, 256)),
    (28, EfuseSpan("BLOCK_KEY5", 0, 256)),
    (29, EfuseSpan("BLOCK10", 0, 256)),
)
"""Which bit of WR_DIS locks which of :func:`eleven_efuse_blocks`."""


def eleven_efuse_blocks(base: int) -> tuple[EfuseBlock, ...]:
    """Return the blocks of an eFuse controller whose registers begin at ``base``."""
    return (
        EfuseBlock("BLOCK0", base + 0x2C, 6),
        EfuseBlock("BLOCK1", base + 0x44, 6),
        EfuseBlock("BLOCK2", base + 0x5C, 8),
        EfuseBlock("BLOCK3", base + 0x7C, 8),
        EfuseBlock("BLOCK_KEY0", base + 0x9C, 8),
        EfuseBlock("BLOCK_KEY1", base + 0xBC, 8),
        EfuseBlock("BLOCK_KEY2", base + 0xDC, 8),
        EfuseBlock("BLOCK_KEY3", base + 0xFC, 8),
        EfuseBlock("BLOCK_KEY4", base + 0x11C, 8),
        EfuseBlock("BLOCK_KEY5", base + 0x13C, 8),
        EfuseBlock("BLOCK10", base + 0x15C, 8),
    )


def read_protection_of_keys(base: int) -> EfuseProtection:
    """Return what hides the keys, and BLOCK10, of :func:`eleven_efuse_blocks`."""
    return EfuseProtection(
        BitField(Bits(base + 0x30, 0, 7)),
        covers=(
            (0, EfuseSpan("BLOCK_KEY0", 0, 256)),
            (1, EfuseSpan("BLOCK_KEY1", 0, 256)),
            (2, EfuseSpan("BLOCK_KEY2", 0, 256)),
            (3, EfuseSpan("BLOCK_KEY3", 0, 256)),
            (4, EfuseSpan("BLOCK_KEY4", 0, 256)),
            (5, EfuseSpan("BLOCK_KEY5", 0, 256)),
            (6, EfuseSpan("BLOCK10", 0, 256)),
        ),
    )


def six_key_purposes(base: int) -> tuple[BitField, ...]:
    """Return the purposes of six keys, of four bits each, in BLOCK0."""
    return (
        BitField(Bits(base + 0x34, 24, 4)),
        BitField(Bits(base + 0x34, 28, 4)),
        BitField(Bits(base + 0x38, 0, 4)),
        BitField(Bits(base + 0x38, 4, 4)),
        BitField(Bits(base + 0x38, 8, 4)),
        BitField(Bits(base + 0x38, 12, 4)),
    )


def spi_memory_registers(base: int) -> SpiRegisters:
    """Return the registers of a peripheral of the kind of SPI1 on the ESP32-S2."""
    return SpiRegisters(
        base=base,
        cmd=0x00,
        addr=0x04,
        usr=0x18,
        usr1=0x1C,
        usr2=0x20,
        mosi_dlen=0x24,
        miso_dlen=0x28,
        w0=0x58,
        addr_is_msb_aligned=False,
    )
