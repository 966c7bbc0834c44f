"""A stand-in for the encryption of flash.

Not AES: an XOR with a stream made of the key in the eFuses and the offset. It has what a
client can see of the real one: the same key, offset and data give the same bytes, and
anything else gives others. Applied twice it gives the data back.

What a loader refuses to encrypt is an assumption: no real loader was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from esploader.simulator.soc.program import Machine

_STREAM_UNIT: Final = 64
"""Bytes of a BLAKE2b digest."""


def can_encrypt(machine: Machine, offset: int, size: int = 0) -> bool:
    """Tell whether a download to ``offset``, or a part of one, can be encrypted."""
    chip = machine.chip
    unit = chip.encrypted_write_alignment
    if unit is None or machine.memory.extract(chip.manual_encrypt_disabled):
        return False
    return offset % unit == 0 and size % unit == 0


def encrypt(machine: Machine, offset: int, data: bytes) -> bytes:
    """Return what the flash holds at ``offset`` when ``data`` are encrypted."""
    import hashlib

    key = hashlib.blake2b(_key(machine)).digest()
    first = offset // _STREAM_UNIT
    count = (offset + len(data)) // _STREAM_UNIT - first + 1
    stream = b"".join(
        hashlib.blake2b(index.to_bytes(8, "little"), key=key).digest()
        for index in range(first, first + count)
    )
    start = offset - first * _STREAM_UNIT
    mask = int.from_bytes(stream[start : start + len(data)], "little")
    return (int.from_bytes(data, "little") ^ mask).to_bytes(len(data), "little")


def _key(machine: Machine) -> bytes:
    """Return the content of the key blocks that flash encryption uses."""
    chip = machine.chip
    if chip.fixed_flash_key is not None:
        blocks = [chip.fixed_flash_key.block]
    else:
        wanted = frozenset[int]().union(*chip.flash_key_purposes)
        used = {
            f"BLOCK_KEY{index}"
            for index, purpose in enumerate(chip.key_purposes)
            if machine.memory.extract(purpose) in wanted
        }
        blocks = [block for block in chip.efuse_blocks if block.name in used]
    return b"".join(
        machine.efuses[block.address + 4 * index].to_bytes(4, "little")
        for block in blocks
        for index in range(block.word_count)
    )
