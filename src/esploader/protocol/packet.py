"""Packets: what a frame carries.

Source: Espressif, "Serial Protocol" (esptool documentation), "Command Packet" and
"Response Packet". All words are little-endian.
"""

from __future__ import annotations

import struct
from typing import Final

import attrs

from esploader.classes import frozen
from esploader.errors import ProtocolError

# direction u8 | opcode u8 | body size u16 | checksum u32 (request) or value u32 (response)
_HEADER: Final = struct.Struct("<BBHI")

_REQUEST: Final = 0x00
_RESPONSE: Final = 0x01

HEADER_SIZE: Final = _HEADER.size

CHECKSUM_SEED: Final = 0xEF


def checksum(data: bytes | memoryview) -> int:
    """Return the XOR of all bytes of ``data`` and the seed."""
    # Folding halves is as fast as C and needs no loop over bytes.
    size = 1 << max(len(data) - 1, 0).bit_length()
    folded = int.from_bytes(data, "little")
    while size > 1:
        size //= 2
        folded = (folded >> (8 * size)) ^ (folded & ((1 << (8 * size)) - 1))
    return folded ^ CHECKSUM_SEED


@frozen
class Request:
    """A packet from the host to the device."""

    opcode: int = attrs.field(repr=hex)
    body: bytes
    checksum: int = attrs.field(default=0, repr=hex)

    def encode(self) -> bytes:
        """Return the bytes of the packet, not yet framed."""
        return _HEADER.pack(_REQUEST, self.opcode, len(self.body), self.checksum) + self.body


@frozen
class Response:
    """A packet from the device to the host."""

    opcode: int = attrs.field(repr=hex)
    value: int = attrs.field(repr=hex)
    body: bytes
    """Data and status bytes as received; without the status once that has been judged."""

    @classmethod
    def decode(cls, payload: bytes) -> Response:
        """Return the response in the payload of a frame.

        Raises:
            ProtocolError: it is no response, or its size field is wrong.
        """
        if len(payload) < HEADER_SIZE:
            raise ProtocolError(f"a response has {len(payload)} bytes, fewer than its header")
        direction, opcode, size, value = _HEADER.unpack_from(payload)
        if direction != _RESPONSE:
            raise ProtocolError(f"a response has the direction byte {direction:#04x}")
        body = payload[HEADER_SIZE:]
        if len(body) != size:
            raise ProtocolError(f"a response announces {size} bytes and has {len(body)}")
        return cls(opcode, value, body)
