"""What a client says over the wire becomes requests, and answers go back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.errors import ProtocolError
from esploader.server.peers import MAX_BACKLOG, MAX_EARLY_SIZE, ComPortPeer, RawPeer
from esploader.server.request_queue import MAX_QUEUE_SIZE, Malformed, Request
from esploader.transport import gates
from esploader.transport.com_port import (
    Code,
    ComPortMessage,
    Setting,
    Signature,
    decode,
    encode,
)
from esploader.transport.gates import Arm, Armed, Delay, Gate, ResponseRule
from esploader.transport.telnet import (
    Command,
    Data,
    Negotiation,
    Subnegotiation,
    TelnetDecoder,
    TelnetEvent,
    Verb,
    encode_negotiation,
)
from esploader.transport.telnet_framing import Option, encode_subnegotiation
from esploader.transport.turns import Accept, Offered, Waiting
from esploader.transport.turns import encode as encode_turn
from esploader.version import __version__

RATE = Setting(Code.SET_BAUDRATE, 9600)
HELLO = encode_negotiation(Verb.WILL, Option.COM_PORT)
ASKS_MODEM_STATE = Setting(Code.NOTIFY_MODEMSTATE)


class Conversation:
    """A client that talks to a peer."""

    def __init__(self) -> None:
        self.peer = ComPortPeer("somebody", "sim://test")
        self._decoder = TelnetDecoder()

    def say(self, *parts: bytes | ComPortMessage) -> list[Request]:
        """Say something and return what the peer makes of it."""
        return self.peer.feed(
            b"".join(
                part if isinstance(part, bytes) else encode(part, from_server=False)
                for part in parts
            )
        )

    def heard(self) -> list[TelnetEvent]:
        """Return what the server has said since the last time."""
        return self._decoder.feed(self.peer.take_output())

    def messages(self) -> list[ComPortMessage]:
        """Return the COM-PORT messages among it."""
        return [
            decode(event.payload, from_server=True)
            for event in self.heard()
            if isinstance(event, Subnegotiation)
        ]


@pytest.fixture
def talk() -> Conversation:
    """Return a conversation past its first message."""
    begun = Conversation()
    begun.say(HELLO, RATE)
    begun.heard()
    return begun


def test_a_new_client_is_greeted_with_all_that_it_may_use() -> None:
    said = Conversation().heard()

    assert {each.option for each in said if isinstance(each, Negotiation)} == {0, 3, 44}
    assert {each.verb for each in said if isinstance(each, Negotiation)} == {Verb.DO, Verb.WILL}


def test_bytes_and_settings_come_out_in_order(talk: Conversation) -> None:
    assert talk.say(b"a\xff\xffb", RATE, b"c") == [b"a\xffb", RATE, b"c"]


def test_data_and_answers_are_escaped_on_their_way_back(talk: Conversation) -> None:
    talk.peer.send(b"\xff\x01")
    talk.peer.answer(Setting(Code.SET_BAUDRATE, 0xFF))

    data, answer = talk.heard()
    assert data == Data(b"\xff\x01")
    assert isinstance(answer, Subnegotiation)
    assert decode(answer.payload, from_server=True) == Setting(Code.SET_BAUDRATE, 0xFF)


def test_the_input_lines_are_asked_for_once() -> None:
    talk = Conversation()
    assert talk.say(RATE, RATE) == [ASKS_MODEM_STATE, RATE, RATE]
    assert talk.say(RATE) == [RATE]


def test_who_it_is_is_told_when_asked_with_the_word_that_offers_gates(talk: Conversation) -> None:
    assert talk.say(Signature(), Signature(b"me")) == []
    (signature,) = talk.messages()
    assert isinstance(signature, Signature)
    assert signature.text.startswith(f"esploader {__version__} sim://test ".encode())
    assert gates.queue_size_from(signature.text) == MAX_QUEUE_SIZE
    assert gates.usb_ids_from(signature.text) is None


def test_the_usb_device_is_named_where_it_is_known() -> None:
    peer = ComPortPeer("somebody", "/dev/ttyACM0", (0x303A, 0x1001))
    peer.take_output()
    peer.feed(encode(Signature(), from_server=False))
    (event,) = TelnetDecoder().feed(peer.take_output())
    assert isinstance(event, Subnegotiation)
    assert gates.usb_ids_from(event.payload[1:]) == (0x303A, 0x1001)


def test_the_messages_of_gates_keep_their_place(talk: Conversation) -> None:
    gate = Gate(rule=ResponseRule(8, 0), timeout=1.0, count=2, gate_id=7)
    said = [Arm(3), b"x", gate, RATE, Delay(0.5), b"y"]
    wire = (gates.encode(Arm(3)), b"x", gates.encode(gate), RATE, gates.encode(Delay(0.5)), b"y")
    assert talk.say(*wire) == said


def test_what_the_server_says_of_gates_stands_between_the_bytes(talk: Conversation) -> None:
    talk.peer.send(b"before")
    talk.peer.notify(Armed(5))
    talk.peer.send(b"after")
    talk.peer.nudge()

    before, armed, after, nudge = talk.heard()
    assert (before, after) == (Data(b"before"), Data(b"after"))
    assert isinstance(armed, Subnegotiation)
    assert gates.decode(armed.payload) == Armed(5)
    assert nudge == Command(0xF1)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (bytes((65, 1, 2)), [Malformed(0x0102)]),
        (bytes((65, 1)), [Malformed(0)]),
        (bytes((64, 1)), [Malformed(0, is_arm=True)]),
        (bytes((66, 255, 255, 255, 255)), [Malformed(0)]),
        (bytes((164, 0, 1)), []),  # the server's own words make no sense from a client
        (bytes((67,)), []),
        (bytes((65, 1, 2)) + bytes(1100), [Malformed(0x0102)]),
        (bytes((65, 255, 255)) + b"\xff" * 600, [Malformed(0xFFFF)]),
        (bytes((64,)) + bytes(1100), [Malformed(0, is_arm=True)]),
        (bytes((5,)) + bytes(1100), []),
    ],
)
def test_a_malformed_message_of_gates_takes_its_turn(
    talk: Conversation, payload: bytes, expected: list[Request]
) -> None:
    assert talk.say(encode_subnegotiation(Option.COM_PORT, payload)) == expected


def test_a_client_may_ask_for_silence(talk: Conversation) -> None:
    assert talk.say(Setting(Code.FLOWCONTROL_SUSPEND)) == []
    assert not talk.peer.can_take
    assert talk.peer.can_be_read
    assert talk.say(Setting(Code.FLOWCONTROL_RESUME)) == []
    assert talk.peer.can_take


def test_a_client_may_ask_whether_the_server_is_there(talk: Conversation) -> None:
    assert talk.say(b"\xff\xf6") == []
    assert talk.heard() == [Command(0xF1)]


def test_what_is_no_message_is_passed_over(talk: Conversation) -> None:
    assert talk.say(b"\xff\xfa\x2c\x01\xff\xf0\xff\xfa\x2c\x63\xff\xf0ok") == [b"ok"]
    assert talk.peer.ignored_count == 2


def test_nothing_reaches_the_port_before_a_word_of_telnet() -> None:
    talk = Conversation()
    assert talk.say(b"early ") == []
    assert not talk.peer.is_introduced
    assert talk.say(HELLO, b"bird") == [b"early ", b"bird"]
    assert talk.peer.is_introduced


def test_who_talks_much_without_a_word_of_telnet_is_no_client() -> None:
    talk = Conversation()
    talk.say(bytes(MAX_EARLY_SIZE))
    with pytest.raises(ProtocolError, match="does not speak telnet"):
        talk.say(b"x")


@pytest.mark.parametrize("peer", [RawPeer("x"), ComPortPeer("x", "y")], ids=["raw", "rfc2217"])
def test_what_a_client_does_not_take_is_bounded(peer: RawPeer | ComPortPeer) -> None:
    sent = 0
    while peer.can_take:
        peer.send(bytes(65536))
        sent += 65536
    assert not peer.can_be_read
    assert sent <= MAX_BACKLOG + 65536
    assert len(peer.take_output()) >= sent
    assert peer.can_take


def test_a_raw_client_gets_and_gives_the_bytes_as_they_are() -> None:
    peer = RawPeer("somebody")
    assert peer.feed(b"\xff\xfa") == [b"\xff\xfa"]
    peer.send(b"\xff")
    peer.answer(RATE)
    peer.notify(Armed(1))
    peer.nudge()
    assert peer.take_output() == b"\xff"


@given(
    st.lists(
        st.sampled_from(b"\xff\xfa\xf0\xfd\x2c\x01\x05\x40\x41") | st.integers(0, 255), max_size=99
    )
)
def test_nothing_that_a_client_says_upsets_the_server(said: list[int]) -> None:
    talk = Conversation()
    talk.say(bytes(said))
    # A command ends whatever was left open.
    assert talk.say(b"\xff\xf1\xff\xf1", RATE)[-1] == RATE


def test_a_client_that_does_not_read_is_told_no_more_of_its_turn_than_is_kept_for_it() -> None:
    peer = ComPortPeer("client", "bench 1")
    for place in range(20_000):
        peer.mention(Waiting(place, "10.0.0.7:41234"))
    assert len(peer.output) < MAX_BACKLOG + 100
    # What it has to know is said all the same.
    peer.offer("bench 1", None)
    assert peer.output.endswith(encode_turn(Offered(1)))


def test_what_was_said_before_an_offer_was_accepted_is_thrown_away() -> None:
    peer = ComPortPeer("client", "bench 1")
    assert peer.feed(HELLO + b"served") == [b"served"]
    peer.lend()
    assert peer.feed(b"while it listens") == []
    peer.offer("bench 1", None)
    assert peer.feed(b"late" + encode_turn(Accept(7)) + b"late, too") == []
    peer.offer("bench 1", None)
    late, mine = encode_turn(Accept(1)), encode_turn(Accept(2))
    assert peer.feed(late + b"of the offer before" + mine + b"now") == [b"now"]
    assert peer.has_accepted
    assert peer.feed(encode_turn(Accept(2)) + b"and later") == [b"and later"]
