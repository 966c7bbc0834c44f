"""What a bootloader makes of otadata: written down here once more, from what ESP-IDF does.

Sources: ESP-IDF, ``components/bootloader_support/src/bootloader_utility.c`` and
``bootloader_common_loader.c`` beside it. Nothing is shared with what it is compared with.
"""

from __future__ import annotations

SECTOR = 0x1000
FACTORY = -1


def crc32(data: bytes) -> int:
    """Return the CRC32 that the ROM computes when it is told to begin with all bits set."""
    register = 0
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xEDB8_8320 if register & 1 else 0)
    return register ^ 0xFFFF_FFFF


def entry(sequence: int, state: int = 0xFFFF_FFFF, crc: int | None = None) -> bytes:
    """Return an entry of otadata, 32 bytes."""
    number = sequence.to_bytes(4, "little")
    check = crc32(number) if crc is None else crc
    return number + b"\xff" * 20 + state.to_bytes(4, "little") + check.to_bytes(4, "little")


def otadata(first: bytes = b"", second: bytes = b"") -> bytes:
    """Return both sectors, each of which begins as given and is blank behind that."""
    return first.ljust(SECTOR, b"\xff") + second.ljust(SECTOR, b"\xff")


def chosen(content: bytes, slot_count: int, *, has_factory: bool) -> int:
    """Return the slot that boots, or :data:`FACTORY`, where all of them hold applications."""
    best = None
    for start in (0, SECTOR):
        sequence, state, crc = (
            int.from_bytes(content[start + place : start + place + 4], "little")
            for place in (0, 24, 28)
        )
        is_given_up = state in {3, 4}
        if sequence == 0xFFFF_FFFF or is_given_up or crc != crc32(content[start : start + 4]):
            continue
        if best is None or sequence > best:
            best = sequence
    if best is None or not slot_count:
        return FACTORY if has_factory else 0
    return (best - 1) % 2**32 % slot_count
