"""Requests in words, for those who read a trace or a recording.

The fields are those of the serial protocol document; what is too short for them is only
named, and so is what the document does not know.
"""

from __future__ import annotations

import struct
from typing import Final

from esploader.protocol.opcodes import Opcode
from esploader.protocol.slip import Frame, SlipDecoder
from esploader.simulator.history import name_of

# direction u8 | opcode u8 | size u16 | checksum u32
_HEADER_SIZE: Final = 8
_ACKNOWLEDGEMENT_SIZE: Final = 4

_FIELDS: Final[dict[int, tuple[str, ...]]] = {
    Opcode.FLASH_BEGIN: ("size", "blocks", "block_size", "offset"),
    Opcode.FLASH_DATA: ("size", "sequence"),
    Opcode.FLASH_END: ("stay",),
    Opcode.MEM_BEGIN: ("size", "blocks", "block_size", "address"),
    Opcode.MEM_DATA: ("size", "sequence"),
    Opcode.MEM_END: ("stay", "entry"),
    Opcode.WRITE_REG: ("address", "value", "mask", "delay"),
    Opcode.READ_REG: ("address",),
    Opcode.SPI_SET_PARAMS: ("id", "size"),
    Opcode.SPI_ATTACH: ("pins",),
    Opcode.READ_FLASH_SLOW: ("offset", "size"),
    Opcode.CHANGE_BAUDRATE: ("baudrate", "old"),
    Opcode.FLASH_DEFL_BEGIN: ("size", "blocks", "block_size", "offset"),
    Opcode.FLASH_DEFL_DATA: ("size", "sequence"),
    Opcode.FLASH_DEFL_END: ("stay",),
    Opcode.SPI_FLASH_MD5: ("offset", "size"),
    Opcode.ERASE_REGION: ("offset", "size"),
    Opcode.READ_FLASH: ("offset", "size", "block_size", "window"),
}

# Of these a person thinks in powers of two, of the others in tens.
_HEXADECIMAL: Final = frozenset(
    {"address", "block_size", "entry", "id", "mask", "offset", "pins", "size", "value"}
)


def describe_command(code: int, body: bytes) -> str:
    """Return the name of an opcode and the main fields at the beginning of its body."""
    names = _FIELDS.get(code, ())[: len(body) // 4]
    values = struct.unpack_from(f"<{len(names)}I", body)
    return " ".join((name_of(code), *map(_field, names, values)))


def describe_sent(data: bytes) -> str:
    """Return what bytes of the host are: requests, and what is between them."""
    words = [
        _describe_frame(event.payload) if isinstance(event, Frame) else _size(event.data)
        for event in SlipDecoder().feed(data)
    ]
    return ", ".join(words) or _size(data)


def _describe_frame(payload: bytes) -> str:
    if len(payload) == _ACKNOWLEDGEMENT_SIZE:
        return f"acknowledgement of {int.from_bytes(payload, 'little')} bytes"
    if len(payload) < _HEADER_SIZE:
        return _size(payload)
    return describe_command(payload[1], payload[_HEADER_SIZE:])


def _size(data: bytes) -> str:
    return f"{len(data)} bytes that are no request"


def _field(name: str, value: int) -> str:
    return f"{name}={value:#x}" if name in _HEXADECIMAL else f"{name}={value}"
