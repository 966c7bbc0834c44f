"""What a client says over the wire becomes requests, and answers go back."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.server.clients import MAX_BACKLOG, ClientGoneError, ComPortClient, TcpClient
from esploader.server.port_settings import MODEM_STATE
from esploader.transport.com_port import Code, Setting, Signature, decode, encode
from esploader.transport.telnet import Data, Negotiation, Subnegotiation, TelnetDecoder, Verb
from esploader.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.transport.com_port import ComPortMessage
    from esploader.transport.telnet import TelnetEvent

RATE = Setting(Code.SET_BAUDRATE, 9600)


class Wire:
    """A client of the server, and the other end of its connection."""

    def __init__(self) -> None:
        end, self._peer = socket.socketpair()
        end.settimeout(0)
        self._peer.settimeout(10)
        self._decoder = TelnetDecoder()
        self.client = ComPortClient(end, "sim://test")

    def say(self, *parts: bytes | ComPortMessage) -> list[bytes | Setting]:
        """Send something and return what the client of the server makes of it."""
        for part in parts:
            if isinstance(part, bytes):
                self._peer.sendall(part)
            else:
                self._peer.sendall(encode(part, from_server=False))
        return self.client.receive()

    def heard(self) -> list[TelnetEvent]:
        """Return what the server has sent so far."""
        return self._decoder.feed(self._peer.recv(65536))

    def messages(self) -> list[ComPortMessage]:
        """Return the COM-PORT messages that the server has sent so far."""
        return [
            decode(event.payload, from_server=True)
            for event in self.heard()
            if isinstance(event, Subnegotiation)
        ]

    def hang_up(self) -> None:
        self._peer.close()

    def close(self) -> None:
        self.client.close()
        self._peer.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    opened = Wire()
    yield opened
    opened.close()


def test_a_new_client_is_greeted_with_all_that_it_may_use(wire: Wire) -> None:
    said = wire.heard()

    assert {each.option for each in said if isinstance(each, Negotiation)} == {0, 3, 44}
    assert {each.verb for each in said if isinstance(each, Negotiation)} == {Verb.DO, Verb.WILL}


def test_bytes_and_settings_come_out_in_order(wire: Wire) -> None:
    assert wire.say(b"a\xff\xffb", RATE, b"c") == [b"a\xffb", RATE, b"c"]


def test_data_and_answers_are_escaped_on_their_way_back(wire: Wire) -> None:
    wire.heard()
    wire.client.send(b"\xff\x01")
    wire.client.answer(Setting(Code.SET_BAUDRATE, 0xFF))

    data, answer = wire.heard()
    assert data == Data(b"\xff\x01")
    assert isinstance(answer, Subnegotiation)
    assert decode(answer.payload, from_server=True) == Setting(Code.SET_BAUDRATE, 0xFF)


def test_the_input_lines_are_told_once(wire: Wire) -> None:
    wire.heard()
    wire.say(RATE, RATE)
    assert wire.messages() == [Setting(Code.NOTIFY_MODEMSTATE, MODEM_STATE)]
    wire.say(RATE)
    wire.client.answer(RATE)
    assert wire.messages() == [RATE]


def test_who_it_is_is_told_when_asked(wire: Wire) -> None:
    wire.heard()
    assert wire.say(Signature(), Signature(b"me")) == []
    (_, signature) = wire.messages()
    assert signature == Signature(f"esploader {__version__} sim://test".encode())


def test_a_client_may_ask_for_silence(wire: Wire) -> None:
    assert wire.say(Setting(Code.FLOWCONTROL_SUSPEND)) == []
    assert not wire.client.can_take
    assert wire.say(Setting(Code.FLOWCONTROL_RESUME)) == []
    assert wire.client.can_take


def test_what_is_no_message_is_passed_over(wire: Wire) -> None:
    assert wire.say(b"\xff\xfa\x2c\x01\xff\xf0\xff\xfa\x2c\x63\xff\xf0ok") == [b"ok"]


def test_a_client_that_hangs_up_is_gone(wire: Wire) -> None:
    wire.hang_up()
    with pytest.raises(ClientGoneError):
        wire.client.receive()
    with pytest.raises(ClientGoneError):
        wire.client.send(b"x")


def test_what_a_client_does_not_take_waits_and_is_bounded() -> None:
    end, peer = socket.socketpair()
    end.settimeout(0)
    with peer:
        client = TcpClient(end)
        sent = 0
        while client.can_take:
            client.send(bytes(65536))
            sent += 65536
        assert client.has_backlog
        assert sent < MAX_BACKLOG + 1024 * 1024

        received = 0
        while received < sent:
            received += len(peer.recv(65536))
            client.flush()
        assert not client.has_backlog
        client.close()


@given(
    st.lists(st.sampled_from(b"\xff\xfa\xf0\xfd\x2c\x01\x05") | st.integers(0, 255), max_size=99)
)
def test_nothing_that_a_client_says_upsets_the_server(said: list[int]) -> None:
    wire = Wire()
    try:
        wire.say(bytes(said))
        # A command ends whatever was left open.
        assert wire.say(b"\xff\xf1\xff\xf1", RATE)[-1] == RATE
    finally:
        wire.close()
