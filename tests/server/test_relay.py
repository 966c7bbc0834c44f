"""A relay keeps the order of what a client wants, in pieces that block nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from esploader.server.clients import Client, Request
from esploader.server.relay import MAX_PENDING_SIZE, WRITE_SIZE, Relay
from esploader.server.served_port import ServedPort
from esploader.transport.com_port import Code, Control, Purge, Setting
from fake_transport import PATIENCE, FakeTransport

if TYPE_CHECKING:
    from collections.abc import Iterator


class FakeClient(Client):
    """A client that keeps what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Setting] = []
        self.received = b""

    @override
    def fileno(self) -> int:
        raise NotImplementedError

    @override
    def receive(self) -> list[Request]:
        raise NotImplementedError

    @override
    def answer(self, setting: Setting) -> None:
        self.answers.append(setting)

    @override
    def close(self) -> None:
        pass

    @override
    def _write(self, data: memoryview) -> int:
        self.received += data
        return len(data)


class RecordingTransport(FakeTransport):
    """Keeps what is written, in order with everything else."""

    @override
    def write(self, data: bytes) -> None:
        self.happenings.put(("written", data))


@pytest.fixture
def port() -> Iterator[RecordingTransport]:
    with RecordingTransport() as transport:
        yield transport


def attached(port: FakeTransport) -> tuple[Relay, FakeClient]:
    relay, client = Relay(ServedPort(port)), FakeClient()
    relay.attach(client)
    port.happened(1)
    return relay, client


def test_bytes_and_settings_keep_their_order(port: RecordingTransport) -> None:
    relay, client = attached(port)
    relay.take_in([b"a", Setting(Code.SET_CONTROL, Control.RTS_ON), b"b"])
    for _ in range(3):
        assert relay.seconds_to_wait == 0.0
        relay.pump()

    assert port.happened(3) == [("written", b"a"), ("lines", (None, True)), ("written", b"b")]
    assert client.answers == [Setting(Code.SET_CONTROL, Control.RTS_ON)]
    assert relay.seconds_to_wait is None


def test_much_is_written_in_pieces_with_a_turn_for_the_other_way_between(
    port: RecordingTransport,
) -> None:
    relay, client = attached(port)
    data = bytes(range(256)) * 10
    relay.take_in([data])
    port.device.sendall(b"meanwhile")
    relay.pump()

    assert port.happened(1) == [("written", data[:WRITE_SIZE])]
    assert client.received == b"meanwhile"

    relay.pump()
    relay.pump()
    pieces = [piece for _, piece in port.happened(2)]
    assert pieces == [data[WRITE_SIZE : 2 * WRITE_SIZE], data[2 * WRITE_SIZE :]]


def test_a_client_faster_than_the_port_has_to_wait(port: RecordingTransport) -> None:
    relay, _ = attached(port)
    assert relay.wants_client
    relay.take_in([bytes(MAX_PENDING_SIZE)])
    assert not relay.wants_client
    relay.pump()
    assert relay.wants_client


@pytest.mark.parametrize("which", [Purge.TRANSMIT, Purge.BOTH])
def test_a_purge_takes_the_bytes_that_wait_but_no_settings(
    port: RecordingTransport, which: Purge
) -> None:
    relay, client = attached(port)
    relay.take_in([bytes(MAX_PENDING_SIZE), Setting(Code.SET_BAUDRATE, 9600)])
    relay.take_in([Setting(Code.PURGE_DATA, which), b"fresh"])
    while relay.seconds_to_wait == 0.0:
        relay.pump()

    assert client.answers == [Setting(Code.SET_BAUDRATE, 9600), Setting(Code.PURGE_DATA, which)]
    happened = []
    while not port.happenings.empty():
        happened.append(port.happenings.get(timeout=PATIENCE))
    assert [each for each in happened if each[0] == "written"] == [("written", b"fresh")]
    assert relay.wants_client


def test_a_suspended_client_is_sent_nothing(port: RecordingTransport) -> None:
    relay, client = attached(port)
    client.suspended = True
    port.device.sendall(b"later")
    relay.pump()
    assert not relay.wants_port
    assert client.received == b""

    client.suspended = False
    relay.pump()
    assert client.received == b"later"


def test_what_a_client_still_wanted_goes_with_it(port: RecordingTransport) -> None:
    relay, _ = attached(port)
    relay.take_in([b"too late"])
    relay.detach()
    relay.attach(FakeClient())
    port.happened(1)
    relay.pump()

    assert port.happenings.empty()
