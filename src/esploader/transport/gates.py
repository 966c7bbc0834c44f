"""The messages of gates: what lets a client send a whole job ahead.

``docs/gates.md`` says what they mean. They travel as sub-options of telnet's
COM-PORT-OPTION, under codes that RFC 2217 leaves alone. Nothing here does I/O, and both
ends use all of it.
"""

from __future__ import annotations

import enum
import re
import struct
from typing import Final, TypeAlias

import attrs

from esploader.classes import frozen
from esploader.errors import ProtocolError, TransportError
from esploader.transport.telnet_framing import Option, encode_subnegotiation

VERSION: Final = 1
"""The version of ``docs/gates.md``."""

MAX_GATE_TIMEOUT: Final = 600.0
"""The longest time of a gate, in seconds."""

MAX_DELAY: Final = 60.0
"""The longest delay, in seconds."""

MAX_PREFIX_SIZE: Final = 64
"""The longest beginning of a frame that a rule may state, in bytes."""

MIN_QUEUE_SIZE: Final = 65536
"""A server has room for that much at least, in bytes."""

_NO_STATUS: Final = 0xFFFF
_TOKEN: Final = re.compile(rb"(?<!\S)slip-gate=1;buf=([0-9]{1,9})(?!\S)")
_USB_IDS: Final = re.compile(rb"(?<!\S)usb=([0-9a-fA-F]{4}):([0-9a-fA-F]{4})(?!\S)")

_EPOCH: Final = struct.Struct(">H")
_DELAY: Final = struct.Struct(">I")
_GATE: Final = struct.Struct(">HIHB")
_RESPONSE_RULE: Final = struct.Struct(">BH")
_SIZE_RULE: Final = struct.Struct(">I")
_GATE_FAILED: Final = struct.Struct(">HHBH")


@enum.unique
class GateCode(enum.IntEnum):
    """The kinds of message; the last two come from the server."""

    ARM = 64
    GATE = 65
    DELAY = 66
    ARMED = 164
    GATE_FAILED = 165


@enum.unique
class _Kind(enum.IntEnum):
    """The kinds of rule."""

    RESPONSE = 1
    SIZE = 2
    PREFIX = 3


@enum.unique
class Reason(enum.IntEnum):
    """Why a gate failed."""

    TIMEOUT = 1
    STATUS = 2
    PORT_LOST = 3
    MALFORMED = 4


@frozen
class ResponseRule:
    """Matches the response to a command."""

    opcode: int = attrs.field(repr=hex)
    status_offset: int | None = None
    """Where the status is, behind the header of 8 bytes; ``None`` not to look."""


@frozen
class SizeRule:
    """Matches a frame of exactly that many bytes."""

    size: int


@frozen
class PrefixRule:
    """Matches a frame that begins with these bytes."""

    prefix: bytes


Rule: TypeAlias = ResponseRule | SizeRule | PrefixRule


@frozen
class Arm:
    """Begin anew: forget what came, obey gates from now on."""

    epoch: int


@frozen(kw_only=True)
class Gate:
    """Hold back what is behind until ``count`` frames have come that match."""

    rule: Rule
    timeout: float
    """In seconds, on the server's clock, once everything in front has left the port."""
    count: int = 1
    gate_id: int = 0
    """Comes back when the gate fails."""


@frozen
class Delay:
    """Hold back what is behind for a time, once everything in front has left the port."""

    seconds: float


@frozen
class Armed:
    """The server has begun anew: what came before is out of date."""

    epoch: int


@frozen(kw_only=True)
class GateFailed:
    """A gate stayed shut, and the server has thrown away everything behind it."""

    epoch: int
    gate_id: int
    reason: Reason
    matched: int
    """How many frames did match."""


_EXPLANATIONS: Final = {
    Reason.TIMEOUT: "the response that was waited for did not come",
    Reason.STATUS: "the loader refused",
    Reason.PORT_LOST: "the server lost the port",
    Reason.MALFORMED: "the server did not understand a message",
}


class GateFailedError(TransportError):
    """A gate stayed shut: nothing that was sent behind it has reached the chip.

    Whoever sends ahead handles it. Where no gate was sent (while a loader is looked for) it
    can only say that the server lost the port or its bearings, and counts as any failure of
    the port.
    """

    failure: GateFailed
    """What the server says of it."""

    @classmethod
    def of(cls, port: str, failure: GateFailed) -> GateFailedError:
        """Return the error for what the server of ``port`` says."""
        return cls(port, _EXPLANATIONS[failure.reason], failure)


ClientMessage: TypeAlias = Arm | Gate | Delay
ServerMessage: TypeAlias = Armed | GateFailed


def token(queue_size: int) -> bytes:
    """Return the word by which a server says in its SIGNATURE that it obeys gates."""
    return b"slip-gate=%d;buf=%d" % (VERSION, queue_size)


def queue_size_from(signature: bytes) -> int | None:
    """Return the size of the queue that a SIGNATURE promises; ``None`` without gates."""
    match = _TOKEN.search(signature)
    if match is None or int(match[1]) < MIN_QUEUE_SIZE:
        return None
    return int(match[1])


def usb_token(vid: int, pid: int) -> bytes:
    """Return the word by which a server says in its SIGNATURE which USB device the port is."""
    return b"usb=%04x:%04x" % (vid, pid)


def usb_ids_from(signature: bytes) -> tuple[int, int] | None:
    """Return vendor and product that a SIGNATURE names; ``None`` where it names none."""
    match = _USB_IDS.search(signature)
    return None if match is None else (int(match[1], 16), int(match[2], 16))


def encode(message: ClientMessage | ServerMessage) -> bytes:
    """Return ``message`` as it travels, telnet framing included."""
    return encode_subnegotiation(Option.COM_PORT, _payload(message))


def is_gate_message(payload: bytes) -> bool:
    """Tell whether the payload of a sub-option 44 is one of these messages."""
    return bool(payload) and payload[0] in set(GateCode)


def decode(payload: bytes) -> ClientMessage | ServerMessage:
    """Return the message in the payload of a sub-option 44.

    Raises:
        ProtocolError: the code is none of these, or the value is not as specified.
    """
    try:
        code = GateCode(payload[0])
        value = payload[1:]
        match code:
            case GateCode.ARM:
                return Arm(*_EPOCH.unpack(value))
            case GateCode.ARMED:
                return Armed(*_EPOCH.unpack(value))
            case GateCode.DELAY:
                return Delay(_seconds(_DELAY.unpack(value)[0], MAX_DELAY))
            case GateCode.GATE:
                return _decode_gate(value)
            case GateCode.GATE_FAILED:
                epoch, gate_id, reason, matched = _GATE_FAILED.unpack(value)
                return GateFailed(
                    epoch=epoch, gate_id=gate_id, reason=Reason(reason), matched=matched
                )
    except (struct.error, ValueError, IndexError) as exc:
        raise ProtocolError(f"malformed gate message {payload[:16].hex()!r}: {exc}") from exc


def _payload(message: ClientMessage | ServerMessage) -> bytes:
    match message:
        case Arm(epoch):
            return bytes((GateCode.ARM,)) + _EPOCH.pack(epoch)
        case Armed(epoch):
            return bytes((GateCode.ARMED,)) + _EPOCH.pack(epoch)
        case Delay(seconds):
            return bytes((GateCode.DELAY,)) + _DELAY.pack(_milliseconds(seconds))
        case Gate():
            kind, rule = _encode_rule(message.rule)
            head = _GATE.pack(message.gate_id, _milliseconds(message.timeout), message.count, kind)
            return bytes((GateCode.GATE,)) + head + rule
        case GateFailed():
            return bytes((GateCode.GATE_FAILED,)) + _GATE_FAILED.pack(
                message.epoch, message.gate_id, message.reason, message.matched
            )


def _decode_gate(value: bytes) -> Gate:
    gate_id, timeout, count, kind = _GATE.unpack_from(value)
    if not count:
        raise ValueError("a gate that waits for no frame")
    return Gate(
        rule=_decode_rule(_Kind(kind), value[_GATE.size :]),
        timeout=_seconds(timeout, MAX_GATE_TIMEOUT),
        count=count,
        gate_id=gate_id,
    )


def _encode_rule(rule: Rule) -> tuple[_Kind, bytes]:
    match rule:
        case ResponseRule(opcode, status_offset):
            offset = _NO_STATUS if status_offset is None else status_offset
            return _Kind.RESPONSE, _RESPONSE_RULE.pack(opcode, offset)
        case SizeRule(size):
            return _Kind.SIZE, _SIZE_RULE.pack(size)
        case PrefixRule(prefix):
            return _Kind.PREFIX, prefix


def _decode_rule(kind: _Kind, value: bytes) -> Rule:
    match kind:
        case _Kind.RESPONSE:
            opcode, offset = _RESPONSE_RULE.unpack(value)
            return ResponseRule(opcode, None if offset == _NO_STATUS else offset)
        case _Kind.SIZE:
            return SizeRule(*_SIZE_RULE.unpack(value))
        case _Kind.PREFIX:
            if not 0 < len(value) <= MAX_PREFIX_SIZE:
                raise ValueError(f"a prefix of {len(value)} bytes")
            return PrefixRule(value)


def _milliseconds(seconds: float) -> int:
    # Up: a gate of half a millisecond must not be one of none.
    return -int(-seconds * 1000 // 1)


def _seconds(milliseconds: int, limit: float) -> float:
    seconds = milliseconds / 1000
    if seconds > limit:
        raise ValueError(f"{seconds} s is more than {limit} s")
    return seconds
