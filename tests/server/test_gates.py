"""What a relay does for a client that sends ahead is what ``docs/gates.md`` says."""

from __future__ import annotations

import struct
from typing import TypeAlias

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.protocol import slip
from esploader.server.gatekeeper import Gatekeeper
from esploader.server.peers import ComPortPeer
from esploader.server.relay import SILENCE, Relay
from esploader.server.request_queue import MAX_QUEUE_SIZE, Malformed, Request
from esploader.server.served_port import serve_transport
from esploader.transport.com_port import Code, Control, Purge, Setting
from esploader.transport.gates import (
    Arm,
    Armed,
    Delay,
    Gate,
    GateCode,
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
from esploader.transport.telnet import Data, Subnegotiation, TelnetDecoder, Verb, encode_negotiation
from esploader.transport.telnet_framing import Option, encode_subnegotiation
from relays import FakePeer, Heard, TimedTransport, run

WRITE, READ = 0x03, 0x0A
"""Two opcodes."""

ACK = struct.Struct("<BBHI")


def response(opcode: int, *, status: int = 0, data: bytes = b"") -> bytes:
    """Return a response of a chip, framed."""
    body = data + bytes((status, 0))
    return slip.encode(ACK.pack(1, opcode, len(body), 0) + body)


def block(number: int) -> bytes:
    """Return what the client sends as its n-th block."""
    return b"<%04d>" % number


BLOCK_SIZE = len(block(0))

Answers: TypeAlias = list[tuple[float, bytes]]
"""What a chip says to a block, and after how long."""


@attrs.define
class Chip:
    """A chip with an answer ready for every block."""

    answers: list[Answers]
    received: bytearray = attrs.field(factory=bytearray)

    def respond(self, data: bytes) -> Answers:
        answers: Answers = []
        for byte in data:
            self.received.append(byte)
            if len(self.received) % BLOCK_SIZE == 0:
                number = int(self.received[-BLOCK_SIZE + 1 : -1])
                answers += self.answers[number] if number < len(self.answers) else []
        return answers


def served(chip: Chip) -> tuple[Relay, FakePeer, TimedTransport]:
    port = TimedTransport(chip.respond, paced=False)
    relay, peer = Relay(serve_transport(port)), FakePeer()
    relay.attach(peer)
    return relay, peer, port


# The model: the document read aloud, item by item, with time as a number.


@attrs.define
class Model:
    """What has to come of a stream of items."""

    answers: list[Answers]
    written: bytearray = attrs.field(factory=bytearray)
    words: list[tuple[float, ServerMessage]] = attrs.field(factory=list)
    said: list[tuple[float, bytes]] = attrs.field(factory=list)
    """What the chip says, and when."""

    now: float = 0.0
    _frames: list[tuple[float, bytes]] = attrs.field(factory=list)
    _epoch: int | None = None
    _is_discarding: bool = False

    def carry_out(self, items: list[Request], until: float = float("inf")) -> None:
        """Carry out items in order, as far as they are done by a certain moment."""
        for item in items:
            if self.now <= until and (isinstance(item, Arm) or not self._is_discarding):
                self._carry_out(item, until)

    def _carry_out(self, item: Request, until: float) -> None:
        match item:
            case bytes():
                self._write(item)
            case Arm(epoch):
                self._epoch = epoch
                self._is_discarding = False
                self._forget()
                self.words.append((self.now, Armed(epoch)))
            case Setting():
                self._forget()
            case _ if self._epoch is None:
                pass
            case Delay(seconds):
                self.now += seconds
            case Gate():
                self._wait_at(item, until)
            case Malformed(gate_id):
                self._fail(gate_id, Reason.MALFORMED, 0)

    def discard(self, moment: float) -> None:
        """Abort at a certain moment."""
        self.now = moment
        self._is_discarding = True

    def heard(self) -> list[Heard]:
        """Return what the client hears: bytes as they come, words between them."""
        events: list[tuple[float, int, bytes | ServerMessage]] = [
            *((moment, 0, data) for moment, data in self.said),
            *((moment, 1, word) for moment, word in self.words),
        ]
        heard: list[Heard] = []
        for _, _, event in sorted(events, key=lambda each: each[:2]):
            if isinstance(event, bytes) and heard and isinstance(heard[-1], bytes):
                heard[-1] += event
            else:
                heard.append(event)
        return heard

    def _write(self, data: bytes) -> None:
        self.written += data
        for delay, said in self.answers[int(data[1:-1])]:
            self.said.append((self.now + delay, said))
            self.said.sort(key=lambda each: each[0])
            if said[:1] == slip.END:
                frame = said.strip(slip.END)
                self._frames.append((self.now + delay, frame))
                self._frames.sort(key=lambda each: each[0])

    def _forget(self) -> None:
        self._frames = [each for each in self._frames if each[0] > self.now]

    def _wait_at(self, gate: Gate, until: float) -> None:
        deadline = self.now + gate.timeout
        matched = 0
        while matched < gate.count:
            moment, frame = self._frames[0] if self._frames else (float("inf"), b"")
            if min(moment, deadline) > until:
                self.now = float("inf")
                return
            if moment > deadline:
                self.now = deadline
                self._fail(gate.gate_id, Reason.TIMEOUT, matched)
                return
            del self._frames[0]
            self.now = max(self.now, moment)
            if matches(gate.rule, frame):
                if is_refusal(gate.rule, frame):
                    self._fail(gate.gate_id, Reason.STATUS, matched)
                    return
                matched += 1

    def _fail(self, gate_id: int, reason: Reason, matched: int) -> None:
        word = GateFailed(epoch=self._epoch or 0, gate_id=gate_id, reason=reason, matched=matched)
        self.words.append((self.now, word))
        self._is_discarding = True


def matches(rule: Rule, frame: bytes) -> bool:
    match rule:
        case ResponseRule(opcode):
            return (
                len(frame) >= 8
                and frame[:2] == bytes((1, opcode))
                and frame[2] | frame[3] << 8 == len(frame) - 8
            )
        case SizeRule(size):
            return len(frame) == size
        case PrefixRule(prefix):
            return frame[: len(prefix)] == prefix


def is_refusal(rule: Rule, frame: bytes) -> bool:
    if not isinstance(rule, ResponseRule) or rule.status_offset is None:
        return False
    rest = frame[8 + rule.status_offset :] or frame[8:]
    return bool(rest) and rest[0] != 0


SAYINGS = st.sampled_from(
    [
        response(WRITE),
        response(WRITE, status=1),
        response(READ, data=b"abcd"),
        response(READ, status=1),
        response(READ, status=5, data=b"abcd"),
        slip.encode(b"OHAI"),
        b"boot log\r\n",
    ]
)
ANSWERS = st.lists(st.tuples(st.sampled_from([0.001, 0.011, 0.11, 1.1, 5.1]), SAYINGS), max_size=3)
RULES = st.sampled_from(
    [
        ResponseRule(WRITE, 0),
        ResponseRule(WRITE, None),
        ResponseRule(READ, 4),
        SizeRule(10),
        PrefixRule(b"OHAI"),
    ]
)
# No time-out ends when an answer comes: who is first is not what this is about.
GATES = st.builds(
    Gate,
    rule=RULES,
    timeout=st.sampled_from([0.0503, 0.7007, 3.0013]),
    count=st.sampled_from([1, 1, 1, 2, 3]),
    gate_id=st.integers(1, 9),
)
OTHERS = st.one_of(
    st.builds(Delay, st.sampled_from([0.0, 0.0207, 2.0003])),
    st.builds(Arm, st.integers(1, 0xFFFF)),
    st.just(Setting(Code.SET_CONTROL, Control.RTS_OFF)),
    st.just(Malformed(77)),
)


@st.composite
def streams(draw: st.DrawFn) -> list[Request]:
    """Return a stream of a client, its blocks numbered from 0, mostly with gates behind."""
    items: list[Request] = [Arm(1)] if draw(st.booleans()) else []
    number = 0
    for _ in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(["block", "block and gate", "block and gate", "gate", "other"]))
        if kind.startswith("block"):
            items.append(block(number))
            number += 1
        if kind.endswith("gate"):
            items.append(draw(GATES))
        if kind == "other":
            items.append(draw(OTHERS))
    return items


def heard_by(peer: FakePeer) -> list[Heard]:
    """Return what a peer heard, without nudges and answers to settings."""
    heard: list[Heard] = []
    for each in peer.heard:
        if each is None or isinstance(each, Setting):
            continue
        if isinstance(each, bytes) and heard and isinstance(heard[-1], bytes):
            heard[-1] += each
        else:
            heard.append(each)
    return heard


@given(items=streams(), answers=st.lists(ANSWERS, min_size=12, max_size=12))
def test_a_stream_is_carried_out_as_the_document_says(
    items: list[Request], answers: list[Answers]
) -> None:
    chip, model = Chip(answers), Model(answers)
    relay, peer, port = served(chip)
    model.carry_out(items)

    relay.request(*items)
    run(relay, port.virtual_clock)
    assert chip.received == model.written
    assert heard_by(peer) == model.heard()


@given(
    before=streams(),
    after=streams(),
    answers=st.lists(ANSWERS, min_size=12, max_size=12),
    moment=st.sampled_from([0.0001, 0.0055, 0.0555, 0.9, 4.0]),
)
def test_an_abort_takes_back_all_that_has_not_reached_the_chip(
    before: list[Request], after: list[Request], answers: list[Answers], moment: float
) -> None:
    chip, model = Chip(answers), Model(answers)
    relay, peer, port = served(chip)
    before = [Arm(99), *before]
    model.carry_out(before, until=moment)
    model.discard(moment)
    model.carry_out(after)

    relay.request(*before)
    run(relay, port.virtual_clock, until=moment)
    relay.request(Setting(Code.PURGE_DATA, Purge.TRANSMIT), *after)
    run(relay, port.virtual_clock)
    assert chip.received == model.written
    assert heard_by(peer) == model.heard()


@pytest.mark.parametrize("reason", [Reason.STATUS, Reason.TIMEOUT, Reason.MALFORMED])
def test_nothing_behind_a_failure_reaches_the_chip_wherever_it_is(reason: Reason) -> None:
    for position in range(20):
        chip, peer = after_a_failure(reason, position)
        assert chip.received == b"".join(map(block, range(position + 1)))
        assert peer.words == [
            Armed(1),
            GateFailed(epoch=1, gate_id=position, reason=reason, matched=0),
        ]


def after_a_failure(reason: Reason, position: int) -> tuple[Chip, FakePeer]:
    """Return a chip, and who has sent it 20 blocks, of which the gate of one fails."""
    good: Answers = [(0.01, response(WRITE))]
    bad: Answers = [(0.01, response(WRITE, status=1))] if reason is Reason.STATUS else []
    answers = [good] * 20
    if reason is not Reason.MALFORMED:
        answers[position] = bad
    items: list[Request] = [Arm(1)]
    for number in range(20):
        gate = Gate(rule=ResponseRule(WRITE, 0), timeout=1.0, gate_id=number)
        is_bad = reason is Reason.MALFORMED and number == position
        items += [block(number), Malformed(number) if is_bad else gate]
    chip = Chip(answers)
    relay, peer, port = served(chip)
    relay.request(*items)
    run(relay, port.virtual_clock)
    return chip, peer


def test_a_frame_that_came_before_an_arm_opens_nothing_behind_it() -> None:
    chip = Chip([[(0.01, response(WRITE) * 5)]])
    relay, peer, port = served(chip)
    gate = Gate(rule=ResponseRule(WRITE, 0), timeout=1.0, gate_id=3)
    relay.request(Arm(1), block(0), Delay(0.1), Arm(2), gate, block(1))
    run(relay, port.virtual_clock)

    assert chip.received == block(0)
    assert peer.heard == [
        Armed(1),
        response(WRITE) * 5,
        Armed(2),
        GateFailed(epoch=2, gate_id=3, reason=Reason.TIMEOUT, matched=0),
    ]


@pytest.mark.parametrize(
    "forgetful",
    [
        Arm(2),
        Setting(Code.SET_BAUDRATE, 9600),
        Setting(Code.SET_CONTROL, Control.RTS_OFF),
        Setting(Code.PURGE_DATA, Purge.RECEIVE),
    ],
)
def test_half_a_frame_is_forgotten_with_the_rest(forgetful: Request) -> None:
    whole = response(WRITE)
    chip = Chip([[(0.01, whole[:5])], [(0.01, whole[5:] + whole)]])
    relay, peer, port = served(chip)
    gate = Gate(rule=ResponseRule(WRITE, 0), timeout=1.0)
    relay.request(Arm(1), block(0), Delay(0.1), forgetful, block(1), gate, gate, block(2))
    run(relay, port.virtual_clock)

    assert isinstance(peer.words[-1], GateFailed)
    assert chip.received == block(0) + block(1)


def test_the_time_of_a_gate_begins_when_everything_in_front_is_on_the_wire() -> None:
    port = TimedTransport()
    relay, peer = Relay(serve_transport(port)), FakePeer()
    relay.attach(peer)
    relay.request(Arm(1), bytes(11520), Gate(rule=SizeRule(1), timeout=0.5))
    run(relay, port.virtual_clock)

    assert port.virtual_clock.now() == pytest.approx(1.5)
    assert peer.words[-1] == GateFailed(epoch=1, gate_id=0, reason=Reason.TIMEOUT, matched=0)


def test_a_delay_begins_when_everything_in_front_is_on_the_wire() -> None:
    port = TimedTransport()
    relay = Relay(serve_transport(port))
    relay.attach(FakePeer())
    relay.request(Arm(1), bytes(11520), Delay(0.5), b"x")
    run(relay, port.virtual_clock)

    moment, _, what = port.happened[-1]
    assert what == b"x"
    assert moment == pytest.approx(1.5)


def test_the_time_of_a_gate_stands_still_while_the_client_takes_nothing() -> None:
    chip = Chip([[(0.01, response(WRITE))]])
    relay, peer, port = served(chip)
    gate = Gate(rule=ResponseRule(WRITE, 0), timeout=1.0)
    relay.request(Arm(1), block(0), gate, block(1))
    relay.pump()
    peer.suspended = True
    run(relay, port.virtual_clock, until=30.0)
    assert chip.received == block(0)

    peer.suspended = False
    run(relay, port.virtual_clock)
    assert chip.received == block(0) + block(1)
    assert peer.words == [Armed(1)]


def test_a_client_that_waits_hears_something_every_two_seconds() -> None:
    relay, peer, port = served(Chip([]))
    relay.request(Arm(1), Gate(rule=SizeRule(1), timeout=60.0))
    port.say(b"x", at=10.0)
    run(relay, port.virtual_clock)

    nudges = [each for each in peer.heard if each is None]
    assert len(nudges) == pytest.approx(60 / SILENCE, abs=2)


def test_a_client_that_waits_for_nothing_is_left_in_peace() -> None:
    relay, peer, port = served(Chip([]))
    relay.request(Arm(1))
    run(relay, port.virtual_clock, until=60.0)

    assert peer.heard == [Armed(1)]


def test_a_lost_port_fails_the_gate_and_an_arm_waits_until_it_is_back() -> None:
    relay, peer, port = served(Chip([[]]))
    gate = Gate(rule=ResponseRule(WRITE, 0), timeout=10.0, gate_id=4)
    relay.request(Arm(1), block(0), gate, block(1))
    relay.pump()
    port.is_gone = True
    relay.port_lost()
    lost = GateFailed(epoch=1, gate_id=4, reason=Reason.PORT_LOST, matched=0)
    assert peer.words == [Armed(1), lost]
    relay.request(b"lost", Arm(2), b"<0002>")
    relay.pump()

    back = TimedTransport()
    relay.port_back(serve_transport(back))
    run(relay, back.virtual_clock)
    assert peer.words == [Armed(1), lost, Armed(2)]
    assert back.written == b"<0002>"


def test_before_the_first_arm_gates_and_delays_mean_nothing() -> None:
    chip = Chip([])
    relay, peer, port = served(chip)
    relay.request(Gate(rule=SizeRule(1), timeout=60.0), Delay(60.0), Malformed(1), block(0))
    run(relay, port.virtual_clock)

    assert chip.received == block(0)
    assert peer.heard == []
    assert port.virtual_clock.now() < 1


def test_a_first_arm_that_is_malformed_fails_and_lets_nothing_through() -> None:
    chip = Chip([])
    relay, peer, port = served(chip)
    relay.request(block(0), Malformed(is_arm=True), block(1), Setting(Code.SET_BAUDRATE, 9600))
    run(relay, port.virtual_clock)
    relay.request(block(2), Arm(2), block(3))
    run(relay, port.virtual_clock)

    assert chip.received == block(0) + block(3)
    assert peer.heard == [
        GateFailed(epoch=0, gate_id=0, reason=Reason.MALFORMED, matched=0),
        Armed(2),
    ]


def test_a_port_lost_before_the_first_arm_keeps_the_arm_and_all_behind_it() -> None:
    relay, peer, _ = served(Chip([]))
    gate = Gate(rule=ResponseRule(WRITE, 0), timeout=10.0, gate_id=4)
    relay.request(block(0), Arm(1), block(1), gate, block(2))
    relay.port_lost()
    assert peer.heard == []

    chip = Chip([[], [(0.01, response(WRITE))]])
    back = TimedTransport(chip.respond, paced=False)
    relay.port_back(serve_transport(back))
    run(relay, back.virtual_clock)
    assert chip.received == block(1) + block(2)
    assert peer.words == [Armed(1)]


def test_a_client_whose_first_arm_waits_for_the_port_hears_something() -> None:
    relay, peer, port = served(Chip([]))
    relay.request(Arm(1))
    relay.port_lost()
    run(relay, port.virtual_clock, until=10.0)

    assert len(peer.heard) == pytest.approx(10 / SILENCE, abs=1)
    assert set(peer.heard) == {None}


def test_an_armed_client_sets_the_lines_itself_and_at_once() -> None:
    port = TimedTransport()
    relay, peer = Relay(serve_transport(port)), FakePeer()
    relay.attach(peer)
    relay.request(
        Arm(1),
        Setting(Code.SET_CONTROL, Control.RTS_ON),
        Delay(0.1),
        Setting(Code.SET_CONTROL, Control.RTS_OFF),
    )
    run(relay, port.virtual_clock)

    lines = [(moment, what) for moment, kind, what in port.happened if kind == "lines"]
    assert lines == [(0.0, (None, True)), (pytest.approx(0.1), (None, False))]


def test_the_resets_of_an_armed_client_are_counted() -> None:
    port = TimedTransport()
    relay = Relay(serve_transport(port))
    relay.attach(FakePeer())
    on, off = Control.RTS_ON, Control.RTS_OFF
    dtr_on, dtr_off = Control.DTR_ON, Control.DTR_OFF
    download = [dtr_off, on, dtr_on, off, dtr_off]
    restart, neutral = [on, off], [dtr_on, on, off, dtr_off]
    relay.request(
        Arm(1),
        *[Setting(Code.SET_CONTROL, each) for each in (*download, *neutral, *restart)],
    )
    run(relay, port.virtual_clock)

    assert relay.traffic.resets == 2


@given(
    st.lists(
        st.tuples(st.sampled_from([64, 65, 66, 164, 165, 67]), st.binary(max_size=80)),
        max_size=8,
    )
)
def test_garbage_ends_in_a_failure_and_in_nothing_worse(
    messages: list[tuple[int, bytes]],
) -> None:
    port = TimedTransport()
    relay, peer = Relay(serve_transport(port)), ComPortPeer("hostile", "timed")
    relay.attach(peer)
    relay.take_in(encode_negotiation(Verb.WILL, Option.COM_PORT) + encode(Arm(1)))
    relay.take_in(
        b"".join(
            encode_subnegotiation(Option.COM_PORT, bytes((code,)) + value)
            for code, value in messages
        )
    )
    run(relay, port.virtual_clock)
    relay.take_in(encode_subnegotiation(Option.COM_PORT, b"\x0c\x02") + encode(Arm(7)) + b"alive")
    run(relay, port.virtual_clock)

    words = [
        decode(event.payload)
        for event in TelnetDecoder().feed(peer.take_output())
        if isinstance(event, Subnegotiation) and event.payload[0] in set(GateCode)
    ]
    assert words[0] == Armed(1)
    assert words[-1] == Armed(7)
    assert all(isinstance(each, (Armed, GateFailed)) for each in words)
    assert port.written == b"alive"


@pytest.mark.parametrize(
    "hostile",
    [
        b"x" * 5000,
        encode(Gate(rule=SizeRule(1), timeout=600.0)) * 250,
        encode_subnegotiation(Option.COM_PORT, b"\x01\x00\x00\x25\x80") * 500,
        encode_subnegotiation(Option.COM_PORT, b"\x00") * 100,
        b"\xff\xfd\x63" * 100,
        b"\xff\xfa\x2c" + b"x" * 900,
        encode_subnegotiation(Option.COM_PORT, b"\x63") * 30,
    ],
)
def test_a_client_that_sends_without_end_and_never_reads_is_bounded(hostile: bytes) -> None:
    port = TimedTransport()
    relay, peer = Relay(serve_transport(port)), ComPortPeer("hostile", "timed")
    relay.attach(peer)
    relay.take_in(encode_negotiation(Verb.WILL, Option.COM_PORT) + encode(Arm(1)))
    # Most of the queue is taken: the rest is full, or is not, after a few rounds.
    taken = bytes(MAX_QUEUE_SIZE * 7 // 8)
    relay.request(Gate(rule=SizeRule(1), timeout=600.0), taken)
    for _ in range(300):
        if not relay.wants_client:
            break
        relay.take_in(hostile)
        relay.pump()
    else:
        assert relay.queue_size < len(taken) + len(hostile), "of this nothing is kept"
    assert len(peer.output) < 512 * 1024
    assert relay.queue_size <= MAX_QUEUE_SIZE + len(hostile)


def test_what_comes_back_from_the_port_stays_between_the_words() -> None:
    chip = Chip([[(0.01, response(WRITE)), (0.02, b"\xff")]])
    port = TimedTransport(chip.respond)
    relay, peer = Relay(serve_transport(port)), ComPortPeer("client", "timed")
    relay.attach(peer)
    peer.take_output()
    relay.take_in(encode(Arm(1)) + block(0) + encode(Delay(0.1)) + encode(Arm(2)))
    run(relay, port.virtual_clock)

    events = TelnetDecoder().feed(peer.take_output())
    datas = [each.data for each in events if isinstance(each, Data)]
    assert b"".join(datas) == response(WRITE) + b"\xff"
    assert isinstance(events[-1], Subnegotiation)


OHAI = PrefixRule(b"OHAI")


@pytest.mark.parametrize(
    ("rule", "frame", "verdict"),
    [
        (OHAI, b"OHAI!", True),
        (OHAI, b"OHA", False),
        (OHAI, b" OHAI", False),
        (SizeRule(2), b"OK", True),
        (SizeRule(2), b"", False),
        # Of a response that is shorter than expected the status comes first.
        (ResponseRule(WRITE, 4), ACK.pack(1, WRITE, 6, 0) + b"data\0\0", True),
        (ResponseRule(WRITE, 4), ACK.pack(1, WRITE, 2, 0) + b"\0\0", True),
        (ResponseRule(WRITE, 4), ACK.pack(1, WRITE, 2, 0) + b"\1\5", Reason.STATUS),
        (ResponseRule(WRITE, 4), ACK.pack(1, WRITE, 6, 0) + b"data\1\5", Reason.STATUS),
        (ResponseRule(WRITE, 4), ACK.pack(1, WRITE, 0, 0), True),
        (ResponseRule(READ, 4), ACK.pack(1, WRITE, 2, 0) + b"\1\5", False),
    ],
    ids=repr,
)
def test_a_frame_opens_a_gate_or_does_not(rule: Rule, frame: bytes, verdict: object) -> None:
    keeper = Gatekeeper()
    keeper.arm(1)
    keeper.close(Gate(rule=rule, timeout=1.0, gate_id=7), 1.0)
    keeper.receive(slip.encode(frame))
    found = keeper.check(0.5)
    assert (found.reason if isinstance(found, GateFailed) else found) is verdict
    if found is True:
        # Behind it nothing is closed any more, however late it is.
        assert keeper.deadline is None
        assert keeper.check(2.0) is True
