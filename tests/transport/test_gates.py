"""The messages of gates come back from the wire as they were sent, and damaged ones are none."""

from __future__ import annotations

import pytest

from esploader.errors import ProtocolError
from esploader.transport.gates import (
    MAX_PREFIX_SIZE,
    Arm,
    Armed,
    ClientMessage,
    Delay,
    Gate,
    GateFailed,
    PrefixRule,
    Reason,
    ResponseRule,
    Rule,
    ServerMessage,
    SizeRule,
    decode,
    encode,
)
from esploader.transport.telnet import Subnegotiation, TelnetDecoder


def over_the_wire(message: ClientMessage | ServerMessage) -> bytes:
    """Return the payload that arrives at the other end."""
    (event,) = TelnetDecoder().feed(encode(message))
    assert isinstance(event, Subnegotiation)
    return event.payload


@pytest.mark.parametrize(
    "message",
    [
        Arm(0xFFFF),
        Armed(0xFFFF),
        Delay(1.5),
        Gate(rule=ResponseRule(0x03), timeout=0.25, gate_id=7),
        Gate(rule=ResponseRule(0xFF, 4), timeout=600.0, count=0xFFFF, gate_id=0xFFFF),
        Gate(rule=SizeRule(0xFF00FF), timeout=0.0),
        Gate(rule=PrefixRule(b"\xff" * MAX_PREFIX_SIZE), timeout=1.0),
        GateFailed(epoch=2, gate_id=255, reason=Reason.PORT_LOST, matched=1),
    ],
    ids=repr,
)
def test_each_message_arrives_as_it_was_sent(message: ClientMessage | ServerMessage) -> None:
    assert decode(over_the_wire(message)) == message


@pytest.mark.parametrize(
    ("rule", "count", "reason"),
    [
        (SizeRule(4), 0, "a gate that waits for no frame"),
        (PrefixRule(b""), 1, "a prefix of 0 bytes"),
        (PrefixRule(bytes(MAX_PREFIX_SIZE + 1)), 1, "a prefix of 65 bytes"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(rule: Rule, count: int, reason: str) -> None:
    payload = over_the_wire(Gate(rule=rule, timeout=1.0, count=count))
    with pytest.raises(ProtocolError, match=f"malformed gate message .*: {reason}"):
        decode(payload)
