"""Make UF2 files block by block, for the tests of those who read them.

Written from the specification of UF2; nothing is shared with what it tests.
"""

from __future__ import annotations

import hashlib
import struct

NOT_FLASH, CONTAINER, FAMILY, CHECKSUM, TAGS = 0x1, 0x1000, 0x2000, 0x4000, 0x8000
DATA_SIZE = 476


def checksum(address: int, data: bytes) -> bytes:
    """Return what says that ``data`` is to be at ``address``."""
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return struct.pack("<II", address, len(data)) + digest


def block(  # noqa: PLR0913 - a block has as many fields
    address: int,
    data: bytes,
    *,
    place: int = 0,
    count: int = 1,
    flags: int = FAMILY,
    family: int = 0xD42B_A06C,
    size: int | None = None,
    behind: bytes = b"",
    at_end: bytes = b"",
    filler: bytes = b"\0",
) -> bytes:
    """Return a block; ``behind`` stands behind its data, ``at_end`` at the end of the room."""
    room = (data + behind).ljust(DATA_SIZE, filler)
    room = room[: DATA_SIZE - len(at_end)] + at_end
    fields = (0x0A324655, 0x9E5D5157, flags, address, len(data) if size is None else size)
    return struct.pack("<8I", *fields, place, count, family) + room + struct.pack("<I", 0x0AB16F30)
