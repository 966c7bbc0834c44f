"""A port is handed no more than it can soon send, as far as anything tells."""

from __future__ import annotations

import attrs
import pytest
from typing_extensions import override

from esploader.errors import TransportTimeoutError
from esploader.server.relay import WRITE_TIMEOUT, Relay
from esploader.server.served_port import WRITE_AHEAD, WRITE_SIZE, ServedPort, serve_transport
from esploader.transport.base import Capabilities
from esploader.transport.com_port import Code, Setting
from relays import FakePeer, TimedTransport, VirtualTransport, run


class Blind(VirtualTransport):
    """A port that does not know its wire, but takes bytes without waiting."""

    def __init__(self, *, room: int = 10**9, usb_vid: int | None = None) -> None:
        super().__init__()
        self.room = room
        self.discarded = 0
        self._capabilities = attrs.evolve(self._capabilities, usb_vid=usb_vid)

    def write_some(self, data: bytes) -> int:
        taken = data[: self.room]
        self.room -= len(taken)
        if taken:
            self.write(taken)
        return len(taken)

    def output_size(self) -> int:
        return 0 if self.room else 1

    def discard_output(self) -> None:
        self.discarded += 1
        self.room = 10**9


class NoRate(VirtualTransport):
    """A port like a pseudo-terminal: its rate means nothing."""

    @property
    @override
    def capabilities(self) -> Capabilities:
        return Capabilities(set_lines=False, set_lines_at_once=False, set_baudrate=True)


def test_what_is_on_the_wire_is_reckoned_from_the_rate() -> None:
    port = ServedPort(Blind())
    assert port.room(0.0) == int(WRITE_AHEAD * 11520)
    assert port.write_some(bytes(345), 0.0) == 345
    assert port.drained_at == pytest.approx(345 / 11520)
    assert port.room(0.0) == 0
    assert 0 < port.room(port.room_at()) < 345
    assert port.room(port.drained_at) == int(WRITE_AHEAD * 11520)


@pytest.mark.parametrize("transport", [Blind(usb_vid=0x303A)], ids=["the chip's own USB"])
def test_a_port_to_which_the_rate_means_nothing_is_not_held_back(transport: Blind) -> None:
    port = ServedPort(transport)
    for _ in range(100):
        assert port.room(0.0) == WRITE_SIZE
        port.write_some(bytes(WRITE_SIZE), 0.0)


def test_a_fast_rate_does_not_mean_huge_pieces() -> None:
    transport = Blind()
    transport.set_baudrate(10**8)
    assert ServedPort(transport).room(0.0) == WRITE_SIZE


def attached(transport: Blind) -> Relay:
    relay = Relay(ServedPort(transport))
    relay.attach(FakePeer())
    return relay


def test_a_port_that_takes_little_gets_the_rest_later() -> None:
    transport = Blind(room=10)
    relay = attached(transport)
    relay.request(b"0123456789abcdef")
    run(relay, transport.virtual_clock, until=1.0)
    assert transport.written == b"0123456789"

    transport.room = 10
    run(relay, transport.virtual_clock)
    assert transport.written == b"0123456789abcdef"


@pytest.mark.parametrize("behind", [b"x", Setting(Code.SET_BAUDRATE, 9600)])
def test_a_port_that_takes_nothing_at_all_is_given_up(behind: bytes | Setting) -> None:
    transport = Blind(room=1)
    relay = attached(transport)
    relay.request(b"0")
    run(relay, transport.virtual_clock, until=1.0)
    relay.request(behind)
    with pytest.raises(TransportTimeoutError):
        run(relay, transport.virtual_clock, until=3 * WRITE_TIMEOUT)
    assert transport.virtual_clock.now() == pytest.approx(1.0 + WRITE_TIMEOUT, abs=0.1)

    relay.detach()
    assert transport.discarded == 1


def test_a_device_that_knows_its_wire_is_believed() -> None:
    transport = TimedTransport()
    port = serve_transport(transport)
    transport.write(bytes(1152))
    assert port.drained_at == pytest.approx(0.1)
    assert not port.holds_output()
    port.discard_output()


def test_a_pseudo_terminal_is_fed_as_fast_as_it_takes() -> None:
    port = ServedPort(NoRate())
    assert port.room(0.0) == WRITE_SIZE
