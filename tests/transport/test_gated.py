"""A client of a server with gates sends ahead, begins anew, and learns what failed where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.errors import TransportError, TransportTimeoutError
from esploader.transport import com_port, gates, reset
from esploader.transport.com_port import Code, Control, Purge, Setting, Signature
from esploader.transport.gated import (
    GATED_TURNAROUND,
    SILENCE_TIMEOUT,
    SetBaudrate,
    as_gated,
)
from esploader.transport.gates import (
    Arm,
    Armed,
    Delay,
    Gate,
    GateFailed,
    GateFailedError,
    Reason,
    ResponseRule,
    SizeRule,
)
from esploader.transport.rfc2217 import Rfc2217Transport
from esploader.transport.steps import SetLines, Wait
from esploader.transport.telnet import Data, Subnegotiation, Verb, encode_negotiation
from esploader.transport.telnet_framing import Option
from scripted_pipe import ScriptedPipe

if TYPE_CHECKING:
    from esploader.transport.telnet import TelnetEvent

QUEUE_SIZE = 65536
SIGNATURE = b"a server " + gates.token(QUEUE_SIZE)
GATE = Gate(rule=ResponseRule(0x0A, 0), timeout=3.0, gate_id=1)
ABORT = Setting(Code.PURGE_DATA, Purge.TRANSMIT)


@attrs.define
class Server:
    """Says yes to everything; arms when told to unless it is ``slow``."""

    signature: bytes | None = SIGNATURE
    slow: bool = False
    real_rate: int | None = None

    def __call__(self, event: TelnetEvent) -> bytes:
        if not isinstance(event, Subnegotiation):
            return b""
        if gates.is_gate_message(event.payload):
            order = gates.decode(event.payload)
            if isinstance(order, Arm) and not self.slow:
                return gates.encode(Armed(order.epoch))
            return b""
        message = com_port.decode(event.payload, from_server=False)
        if isinstance(message, Setting):
            if message.code is Code.SET_BAUDRATE and self.real_rate is not None:
                message = Setting(Code.SET_BAUDRATE, self.real_rate)
            return com_port.encode(message, from_server=True)
        if self.signature is None:
            return b""
        return com_port.encode(Signature(self.signature), from_server=True)


def connected(server: Server | None = None) -> tuple[Rfc2217Transport, ScriptedPipe]:
    pipe = ScriptedPipe(server or Server())
    pipe.say(encode_negotiation(Verb.DO, Option.COM_PORT))
    transport = Rfc2217Transport.over(pipe)
    pipe.flights.clear()
    pipe.received.clear()
    return transport, pipe


def said(pipe: ScriptedPipe) -> list[object]:
    """Return what the client said, decoded."""
    messages: list[object] = []
    for event in pipe.received:
        if isinstance(event, Data):
            messages.append(event.data)
        elif isinstance(event, Subnegotiation):
            is_gate = gates.is_gate_message(event.payload)
            messages.append(
                gates.decode(event.payload)
                if is_gate
                else com_port.decode(event.payload, from_server=False)
            )
    return messages


def failure(epoch: int, gate_id: int = 1) -> bytes:
    return gates.encode(GateFailed(epoch=epoch, gate_id=gate_id, reason=Reason.TIMEOUT, matched=0))


def test_a_signature_with_the_word_makes_the_link_gated() -> None:
    transport, _ = connected()
    assert transport.capabilities.gated
    assert transport.queue_size == QUEUE_SIZE
    assert transport.turnaround == GATED_TURNAROUND
    assert as_gated(transport) is transport


@pytest.mark.parametrize("signature", [None, b"", b"slip-gate=2;buf=65536", b"slip-gate=1;buf=9"])
def test_without_the_word_there_are_no_gates_and_nothing_is_waited_for(
    signature: bytes | None,
) -> None:
    transport, pipe = connected(Server(signature))
    assert not transport.capabilities.gated
    assert as_gated(transport) is None
    assert transport.turnaround == transport.round_trip
    assert pipe.clock.now() == 0


def test_the_signature_may_name_the_usb_device() -> None:
    transport, _ = connected(Server(SIGNATURE + b" " + gates.usb_token(0x303A, 0x1001)))
    assert (transport.capabilities.usb_vid, transport.capabilities.usb_pid) == (0x303A, 0x1001)


def test_items_go_out_in_order_in_one_flight_behind_the_first_arm() -> None:
    transport, pipe = connected()
    size = transport.send_ahead([b"a\xffb", GATE, Wait(0.5), SetLines(rts=True), SetBaudrate(9600)])
    assert said(pipe) == [
        ABORT,
        Arm(1),
        b"a\xffb",
        GATE,
        Delay(0.5),
        Setting(Code.SET_CONTROL, Control.RTS_ON),
        Setting(Code.SET_BAUDRATE, 9600),
    ]
    assert len(pipe.flights) == 2
    assert size == len(pipe.flights[-1])
    assert transport.baudrate == 9600


def test_a_plain_client_never_arms() -> None:
    transport, pipe = connected()
    transport.write(b"x")
    transport.set_lines(dtr=True)
    transport.discard_input()
    assert not any(isinstance(message, Arm) for message in said(pipe))


def test_what_comes_in_front_of_armed_is_thrown_away_and_kept_apart() -> None:
    transport, pipe = connected(Server(slow=True))
    pipe.say(b"old ")
    assert transport.read(1.0) == b"old "
    pipe.say(b"older")
    transport.arm()
    pipe.say(b" stale" + gates.encode(Armed(7)) + b"r" + gates.encode(Armed(1)) + b"new")
    assert transport.read(1.0) == b"new"
    assert transport.arm() == b"older staler"


def test_beginning_anew_twice_without_a_word_between_is_once() -> None:
    transport, pipe = connected(Server(slow=True))
    transport.arm()
    transport.arm()
    assert said(pipe) == [ABORT, Arm(1)]
    transport.send_ahead([b"x"])
    transport.arm()
    assert said(pipe)[-2:] == [ABORT, Arm(2)]


def test_a_failure_shows_behind_the_bytes_in_front_of_it_until_the_next_arm() -> None:
    transport, pipe = connected()
    transport.send_ahead([b"x", GATE])
    pipe.say(b"answer" + failure(epoch=1, gate_id=7))
    assert transport.read(1.0) == b"answer"
    for _ in range(2):
        with pytest.raises(GateFailedError, match="did not come") as caught:
            transport.read(1.0)
        assert caught.value.failure.gate_id == 7
    transport.arm()
    assert transport.read(0) == b""


def test_a_failure_of_another_epoch_is_no_news() -> None:
    transport, pipe = connected()
    transport.send_ahead([b"x", GATE])
    transport.arm()
    pipe.say(failure(epoch=1) + b"fresh")
    assert transport.read(1.0) == b"fresh"


def test_a_rate_that_was_never_set_is_taken_back() -> None:
    transport, pipe = connected()

    def drop_rates(event: TelnetEvent) -> bytes:
        is_rate = isinstance(event, Subnegotiation) and event.payload[0] == Code.SET_BAUDRATE
        return b"" if is_rate else Server()(event)

    pipe.answer = drop_rates
    transport.send_ahead([b"x", GATE, SetBaudrate(460800)])
    assert transport.baudrate == 460800
    transport.arm()
    assert transport.baudrate == 115200
    assert said(pipe)[-2:] == [Arm(2), Setting(Code.SET_BAUDRATE, 115200)]


def test_a_rate_that_was_set_stays() -> None:
    transport, pipe = connected()
    transport.send_ahead([SetBaudrate(460800)])
    assert transport.read(1.0) == b""
    transport.arm()
    assert transport.baudrate == 460800
    assert said(pipe)[-1] == Arm(2)


def test_a_rate_that_the_port_cannot_do_is_an_error() -> None:
    transport, pipe = connected()
    pipe.answer = Server(real_rate=300)
    transport.send_ahead([SetBaudrate(460800)])
    with pytest.raises(TransportError, match="set 300 baud instead of 460800"):
        transport.read(1.0)
    assert transport.baudrate == 300


def test_signs_of_life_are_waited_for_and_silence_is_not() -> None:
    transport, pipe = connected()
    transport.send_ahead([b"x", GATE])
    start = pipe.clock.now()
    for number in range(1, 10):
        pipe.say(b"\xff\xf1", after=9.0 * number)
    pipe.say(b"late", after=85.0)
    assert transport.receive_ahead(start + 90.0) == b"late"
    with pytest.raises(TransportTimeoutError, match="said nothing for 10 s"):
        transport.receive_ahead(start + 200.0)
    assert pipe.clock.now() == start + 85.0 + SILENCE_TIMEOUT


def test_signs_of_life_count_up_to_the_deadline() -> None:
    transport, pipe = connected()
    transport.send_ahead([b"x", GATE])
    start = pipe.clock.now()
    for number in range(1, 100):
        pipe.say(b"\xff\xf1", after=1.0 * number)
    with pytest.raises(TransportTimeoutError, match="keeps a gate shut for longer"):
        transport.receive_ahead(start + 30.5)
    assert pipe.clock.now() == start + 30.5


def test_a_reset_is_one_flight_and_over_when_it_is_acknowledged() -> None:
    transport, pipe = connected()
    reset.play((SetLines(rts=True), Wait(0.1), SetLines(rts=False)), transport)
    assert said(pipe)[2:] == [
        Setting(Code.SET_CONTROL, Control.RTS_ON),
        Delay(0.1),
        Setting(Code.SET_CONTROL, Control.RTS_OFF),
    ]
    assert pipe.clock.now() == 0  # This server has acknowledged before it was time.
    assert reset.begin((Wait(0.5), SetLines(dtr=True), Wait(0.25)), transport) == 0.75


@given(st.lists(st.binary(min_size=1, max_size=8), max_size=20), st.data())
def test_whatever_the_cut_exactly_what_stands_behind_armed_comes_through(
    pieces: list[bytes], data: st.DataObject
) -> None:
    transport, pipe = connected(Server(slow=True))
    transport.send_ahead([b"x", Gate(rule=SizeRule(4), timeout=1.0)])
    position = data.draw(st.integers(0, len(pieces)))
    escaped = [piece.replace(b"\xff", b"\xff\xff") for piece in pieces]
    stream = b"".join(
        [*escaped[:position], gates.encode(Armed(1)), *escaped[position:], failure(1)]
    )
    start = 0
    while start < len(stream):
        size = data.draw(st.integers(1, len(stream) - start))
        pipe.say(stream[start : start + size])
        start += size
    received = bytearray()

    def read_on() -> None:
        while True:
            received.extend(transport.read(1.0))

    with pytest.raises(GateFailedError):
        read_on()
    assert received == b"".join(pieces[position:])
