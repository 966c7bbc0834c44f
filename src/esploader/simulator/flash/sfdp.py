"""The table in which a flash part describes itself.

Source: JEDEC JESD216B, "Serial Flash Discoverable Parameters": header, one parameter
header, and the basic flash parameter table of 16 words.
"""

from __future__ import annotations

import struct
from typing import Final

_SIGNATURE: Final = 0x5044_4653
_REVISION_MINOR: Final = 6
_REVISION_MAJOR: Final = 1
_TABLE_OFFSET: Final = 0x30
_TABLE_WORDS: Final = 16

_HEADER: Final = struct.Struct("<IBBBB")
_PARAMETER_HEADER: Final = struct.Struct("<BBBBI")
_BASIC_PARAMETER_ID: Final = 0x00
_MANDATORY: Final = 0xFF

# The largest density that is given as a number of bits; above it is a power of two.
_MAX_PLAIN_BITS: Final = 1 << 31

SFDP_SIZE: Final = _TABLE_OFFSET + 4 * _TABLE_WORDS


def _density_word(flash_size: int) -> int:
    bits = flash_size * 8
    if bits <= _MAX_PLAIN_BITS:
        return bits - 1
    return 0x8000_0000 | (bits.bit_length() - 1)


def build_sfdp(flash_size: int, manufacturer: int) -> bytes:
    """Return the table of a part of ``flash_size`` bytes: :data:`SFDP_SIZE` bytes.

    Behind the one parameter header is where a second one would have the ``manufacturer``.
    """
    words = (
        0xFFF1_20E5,  # 4 KiB erase by 0x20; 1-1-2, 1-2-2, 1-1-4, 1-4-4 reads; 3-byte addresses
        _density_word(flash_size),
        0x6B08_EB44,  # 1-4-4 by 0xEB, 1-1-4 by 0x6B
        0xBB42_3B08,  # 1-1-2 by 0x3B, 1-2-2 by 0xBB
        0xFFFF_FFFE,  # no 2-2-2, no 4-4-4
        0xFF00_FFFF,
        0xFF00_FFFF,
        0x520F_200C,  # erases: 4 KiB by 0x20, 32 KiB by 0x52
        0xFF00_D810,  # erases: 64 KiB by 0xD8
        0x00A6_4A2B,  # typical erase times
        0x00CE_EA81,  # 256 B pages, typical program and chip erase times
        0x33C7_6C44,  # suspend and resume
        0x757A_757A,
        0x5CD5_B1F7,  # deep power-down by 0xB9, release by 0xAB
        0x4A78_FF06,
        0xF086_4508,  # reset by 0x66, 0x99
    )
    header = _HEADER.pack(_SIGNATURE, _REVISION_MINOR, _REVISION_MAJOR, 0, 0xFF)
    parameters = _PARAMETER_HEADER.pack(
        _BASIC_PARAMETER_ID,
        _REVISION_MINOR,
        _REVISION_MAJOR,
        _TABLE_WORDS,
        _TABLE_OFFSET | (_MANDATORY << 24),
    )
    table = struct.pack(f"<{_TABLE_WORDS}I", *words)
    headers = header + parameters + bytes((manufacturer,))
    return headers.ljust(_TABLE_OFFSET, b"\xff") + table
