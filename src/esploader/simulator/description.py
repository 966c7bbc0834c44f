"""Requests and responses in words, for those who read a trace or a recording.

The fields are those of the serial protocol document; what is too short for them is only
named, and so is what the document does not know.
"""

from __future__ import annotations

import struct
from typing import Final

from esploader.protocol.opcodes import Opcode
from esploader.protocol.slip import Frame, Noise, SlipDecoder

MAX_TEXT_SIZE: Final = 200
"""How much of what is no frame is shown, in characters."""

# direction u8 | opcode u8 | size u16 | checksum or value u32
_HEADER: Final = struct.Struct("<BBHI")
_RESPONSE: Final = 1

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


def describe_request(payload: bytes) -> str:
    """Return the name of a request and its main fields."""
    if len(payload) == _ACKNOWLEDGEMENT_SIZE:
        return f"acknowledgement of {int.from_bytes(payload, 'little')} bytes"
    if len(payload) < _HEADER.size:
        return f"{len(payload)} bytes that are no request"
    _, code, _, _ = _HEADER.unpack_from(payload)
    body = payload[_HEADER.size :]
    names = _FIELDS.get(code, ())[: len(body) // 4]
    values = struct.unpack_from(f"<{len(names)}I", body)
    return " ".join((_name(code), *map(_field, names, values)))


def describe_response(payload: bytes, *, status_size: int) -> str:
    """Return the name of a response and its outcome.

    ``status_size`` is how many status bytes the loader sends.
    """
    if len(payload) < _HEADER.size + 2 or payload[0] != _RESPONSE:
        return f"{len(payload)} bytes of data"
    _, code, _, value = _HEADER.unpack_from(payload)
    data = payload[_HEADER.size : -status_size]
    status, error = payload[-status_size], payload[1 - status_size]
    words = [_name(code)]
    if code == Opcode.READ_REG:
        words.append(_field("value", value))
    if data:
        words.append(f"data={len(data)} bytes")
    words.append(f"refused: {status:02x} {error:02x}" if status else "done")
    return " ".join(words)


def describe_sent(data: bytes) -> str:
    """Return what bytes of the host are: requests, and what is between them."""
    words = [
        describe_request(event.payload) if isinstance(event, Frame) else show_noise(event)
        for event in SlipDecoder().feed(data)
    ]
    return ", ".join(words) or show_noise(Noise(data))


def show_noise(noise: Noise) -> str:
    """Return bytes that are no frame as text, on one line."""
    text = noise.data[:MAX_TEXT_SIZE].decode("latin-1").encode("unicode_escape").decode("ascii")
    more = (
        "" if len(noise.data) <= MAX_TEXT_SIZE else f" and {len(noise.data) - MAX_TEXT_SIZE} more"
    )
    return f'"{text}"{more}'


def _name(code: int) -> str:
    try:
        return Opcode(code).name
    except ValueError:
        return f"opcode {code:#04x}"


def _field(name: str, value: int) -> str:
    return f"{name}={value:#x}" if name in _HEXADECIMAL else f"{name}={value}"
