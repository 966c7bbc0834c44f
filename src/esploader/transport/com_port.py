"""The messages of the telnet COM-PORT-OPTION (RFC 2217).

A message is a sub-option of option 44: one code byte, then its value. A server's codes
are the client's plus 100. Nothing here does I/O, and both ends use all of it.
"""

from __future__ import annotations

import enum
from typing import Final, TypeAlias

from esploader.classes import frozen
from esploader.errors import ProtocolError
from esploader.transport.telnet_framing import Option, encode_subnegotiation

_SERVER_OFFSET: Final = 100


@enum.unique
class Code(enum.IntEnum):
    """The kinds of message, as the client numbers them."""

    SIGNATURE = 0
    SET_BAUDRATE = 1
    SET_DATASIZE = 2
    SET_PARITY = 3
    SET_STOPSIZE = 4
    SET_CONTROL = 5
    NOTIFY_LINESTATE = 6
    NOTIFY_MODEMSTATE = 7
    FLOWCONTROL_SUSPEND = 8
    FLOWCONTROL_RESUME = 9
    SET_LINESTATE_MASK = 10
    SET_MODEMSTATE_MASK = 11
    PURGE_DATA = 12


@enum.unique
class Control(enum.IntEnum):
    """Values of SET_CONTROL."""

    ASK_FLOW_CONTROL = 0
    NO_FLOW_CONTROL = 1
    XON_XOFF = 2
    RTS_CTS = 3
    ASK_BREAK = 4
    BREAK_ON = 5
    BREAK_OFF = 6
    ASK_DTR = 7
    DTR_ON = 8
    DTR_OFF = 9
    ASK_RTS = 10
    RTS_ON = 11
    RTS_OFF = 12
    ASK_INBOUND_FLOW_CONTROL = 13
    NO_INBOUND_FLOW_CONTROL = 14
    INBOUND_XON_XOFF = 15
    INBOUND_RTS = 16
    DCD = 17
    INBOUND_DTR = 18
    DSR = 19


@enum.unique
class Purge(enum.IntEnum):
    """Values of PURGE_DATA: which buffers to empty, seen from the port."""

    RECEIVE = 1
    TRANSMIT = 2
    BOTH = 3


ASK: Final = 0
"""The value that asks for a setting instead of making it, but for SET_CONTROL."""

DATASIZE_8: Final = 8
PARITY_NONE: Final = 1
STOPSIZE_1: Final = 1

_VALUE_SIZES: Final[dict[Code, int]] = {
    Code.SET_BAUDRATE: 4,
    Code.SET_DATASIZE: 1,
    Code.SET_PARITY: 1,
    Code.SET_STOPSIZE: 1,
    Code.SET_CONTROL: 1,
    Code.NOTIFY_LINESTATE: 1,
    Code.NOTIFY_MODEMSTATE: 1,
    Code.FLOWCONTROL_SUSPEND: 0,
    Code.FLOWCONTROL_RESUME: 0,
    Code.SET_LINESTATE_MASK: 1,
    Code.SET_MODEMSTATE_MASK: 1,
    Code.PURGE_DATA: 1,
}
"""Sizes of the big-endian values, in bytes; SIGNATURE carries text instead."""

_POLLED: Final = frozenset({Code.NOTIFY_LINESTATE, Code.NOTIFY_MODEMSTATE})
"""Without a value a client asks for the state instead of waiting to be told."""


@frozen
class Signature:
    """Who the sender is, in words of its own; empty text asks the other end."""

    text: bytes = b""


@frozen
class Setting:
    """A request to make a setting, or word of how it is set."""

    code: Code
    """Any but SIGNATURE."""

    value: int = 0
    """Unsigned; 0 where the message has no value."""


ComPortMessage: TypeAlias = Signature | Setting


def line_settings(*, dtr: bool | None, rts: bool | None) -> list[Setting]:
    """Return the requests that set lines, DTR first; ``None`` leaves one as it is."""
    settings: list[Setting] = []
    if dtr is not None:
        settings.append(Setting(Code.SET_CONTROL, Control.DTR_ON if dtr else Control.DTR_OFF))
    if rts is not None:
        settings.append(Setting(Code.SET_CONTROL, Control.RTS_ON if rts else Control.RTS_OFF))
    return settings


def encode(message: ComPortMessage, *, from_server: bool) -> bytes:
    """Return ``message`` as it travels, telnet framing included."""
    offset = _SERVER_OFFSET if from_server else 0
    if isinstance(message, Signature):
        payload = bytes((Code.SIGNATURE + offset,)) + message.text
    else:
        value = message.value.to_bytes(_VALUE_SIZES[message.code], "big")
        payload = bytes((message.code + offset,)) + value
    return encode_subnegotiation(Option.COM_PORT, payload)


def decode(payload: bytes, *, from_server: bool) -> ComPortMessage:
    """Return the message in the payload of a sub-option 44.

    Raises:
        ProtocolError: the code is unknown or not for this direction, or the value has
            the wrong size.
    """
    number = payload[0] - (_SERVER_OFFSET if from_server else 0) if payload else -1
    try:
        code = Code(number)
    except ValueError as exc:
        raise ProtocolError(f"unknown COM-PORT message {payload[:8].hex()!r}") from exc
    if code is Code.SIGNATURE:
        return Signature(payload[1:])
    value = payload[1:]
    if not value and code in _POLLED:
        return Setting(code)
    if len(value) != _VALUE_SIZES[code]:
        raise ProtocolError(
            f"{code.name} has a value of {len(value)} bytes instead of {_VALUE_SIZES[code]}"
        )
    return Setting(code, int.from_bytes(value, "big"))
