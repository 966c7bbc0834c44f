"""How options and their payloads travel in a telnet stream (RFC 854, 855).

Apart from what reads such a stream: who only sends pays for no more.
"""

from __future__ import annotations

import enum
from typing import Final

IAC: Final = b"\xff"
_SE: Final = 0xF0
_SB: Final = 0xFA
_IAC: Final = 0xFF


@enum.unique
class Option(enum.IntEnum):
    """The telnet options that a port server needs."""

    BINARY = 0
    """RFC 856: bytes pass unchanged, CR included."""

    SUPPRESS_GO_AHEAD = 3
    """RFC 858: both ends may send at any time."""

    COM_PORT = 44
    """RFC 2217: settings and lines of a serial port."""


def escape(data: bytes) -> bytes:
    """Return ``data`` as it travels."""
    return data.replace(IAC, IAC + IAC)


def encode_subnegotiation(option: int, payload: bytes) -> bytes:
    """Return a sub-option as it travels."""
    return bytes((_IAC, _SB, option)) + escape(payload) + bytes((_IAC, _SE))
