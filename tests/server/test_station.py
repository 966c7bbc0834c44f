"""What becomes of a client when its port is lost, and of a port when its client does nothing."""

from __future__ import annotations

import contextlib
import functools
import queue
from typing import TYPE_CHECKING

import attrs
import pytest
from typing_extensions import override

from esploader import connect
from esploader.chips.model.chip import MIB
from esploader.errors import PortNotFoundError, TransportClosedError, TransportError
from esploader.server.access import AllowList, Limits
from esploader.server.config import Protocol
from esploader.server.connection import Connection
from esploader.server.door import Door, format_address, listen
from esploader.server.journal import Journal
from esploader.server.recogniser import ResetPolicy
from esploader.server.runner import Runner
from esploader.server.serve import Server
from esploader.server.station import Station
from esploader.simulator import UNPACED, RealTimeTransport, SimulatedDevice, minimal_image
from esploader.transport.clock import RealClock
from esploader.transport.gates import Arm, Armed, GateCode, encode
from esploader.transport.rfc2217 import Rfc2217Transport
from esploader.transport.tcp import SocketTransport
from esploader.transport.telnet import Verb, encode_negotiation
from esploader.transport.telnet_framing import Option
from esploader.transport.vendors import ESPRESSIF_VID
from eventually import eventually
from fake_transport import PATIENCE, WatchedTransport
from served import attached

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from esploader.simulator import Runtime
    from esploader.transport.base import Transport


class UsbTransport(WatchedTransport):
    """A port on USB that can be taken away."""

    def __init__(self, vid: int) -> None:
        super().__init__()
        self._capabilities = attrs.evolve(self._capabilities, usb_vid=vid, usb_pid=0x1001)
        self.is_lost = False
        """The next setting shows that it is gone."""

    @override
    def set_baudrate(self, baudrate: int) -> None:
        if self.is_lost:
            raise TransportClosedError(self.name, "unplugged")
        super().set_baudrate(baudrate)

    def unplug(self) -> None:
        self.device.close()


class OnePort(Runner):
    """A server of whatever a test puts into ``plugged``."""

    def __init__(self, protocol: Protocol = Protocol.RAW) -> None:
        super().__init__()
        self._protocol = protocol
        self.plugged: queue.SimpleQueue[Transport] = queue.SimpleQueue()
        self._listener = listen("127.0.0.1", 0)
        self.url = f"socket://{format_address(self._listener.getsockname())}"

    @override
    def close(self) -> None:
        super().close()
        self._listener.close()

    @override
    async def _serve(self, stopping: asyncio.Event) -> None:
        journal, limits = Journal(RealClock()), Limits()
        station = Station("usb", journal=journal, policy=ResetPolicy())
        door = Door(journal, AllowList(), limits)
        station.find(self._open)
        make = functools.partial(
            Connection,
            station=station,
            protocol=self._protocol,
            limits=limits,
            journal=journal,
        )
        door.open(self._listener, make)
        await stopping.wait()
        await station.close()
        await door.close()

    def _open(self) -> Transport:
        try:
            return self.plugged.get_nowait()
        except queue.Empty:
            raise PortNotFoundError("usb", "not plugged in") from None


@contextlib.contextmanager
def served(vid: int) -> Iterator[tuple[OnePort, UsbTransport, SocketTransport]]:
    """Yield a server, its port, and a client that has it."""
    port = UsbTransport(vid)
    with OnePort() as server:
        server.plugged.put(port)
        server.start()
        with SocketTransport.open(server.url) as client:
            # What the client gets of the port shows that it has it.
            port.happened(1)
            yield server, port, client


def receive(client: SocketTransport) -> bytes:
    return client.read(client.clock.now() + PATIENCE)


def test_a_port_that_a_reset_takes_away_comes_back_to_the_same_client() -> None:
    with served(ESPRESSIF_VID) as (server, port, client):
        port.device.sendall(b"before")
        assert receive(client) == b"before"
        back = UsbTransport(ESPRESSIF_VID)
        server.plugged.put(back)
        port.unplug()
        back.device.sendall(b"after")
        assert receive(client) == b"after"
        client.write(b"hello")
        assert back.device.recv(5) == b"hello"


def test_a_client_that_comes_while_a_reset_has_taken_the_port_away_gets_it() -> None:
    with served(ESPRESSIF_VID) as (server, port, client):
        client.close()
        port.unplug()
        back = UsbTransport(ESPRESSIF_VID)
        with attached(server.url) as other:
            other.write(b"hello")
            server.plugged.put(back)
            assert back.device.recv(5) == b"hello"


def test_a_setting_by_which_the_loss_of_a_port_is_noticed_is_made_when_it_is_back() -> None:
    port = UsbTransport(ESPRESSIF_VID)
    with OnePort(Protocol.RFC2217) as server:
        server.plugged.put(port)
        server.start()
        url = server.url.replace("socket", "rfc2217")
        with eventually(lambda: Rfc2217Transport.open(url), TransportError) as client:
            back = UsbTransport(ESPRESSIF_VID)
            server.plugged.put(back)
            port.is_lost = True
            client.set_baudrate(9600)
            client.write(b"hello")
            assert back.device.recv(5) == b"hello"
            assert back.baudrate == 9600


def test_another_port_that_is_unplugged_takes_its_client_along() -> None:
    with served(0x10C4) as (server, port, client):
        back = UsbTransport(0x10C4)
        server.plugged.put(back)
        port.unplug()
        with pytest.raises(TransportClosedError):
            receive(client)
        with attached(server.url) as other:
            other.write(b"hello")
            assert back.device.recv(5) == b"hello"


def test_the_client_of_a_port_that_does_not_come_back_is_let_go() -> None:
    with served(ESPRESSIF_VID) as (_, port, client):
        port.unplug()
        with pytest.raises(TransportClosedError):
            receive(client)


def test_who_waits_for_a_port_that_a_reset_took_away_hears_a_sign_of_life() -> None:
    port = UsbTransport(ESPRESSIF_VID)
    with OnePort(Protocol.RFC2217) as server:
        server.plugged.put(port)
        server.start()

        def attempt() -> SocketTransport:
            client = SocketTransport.open(server.url)
            client.write(encode_negotiation(Verb.WILL, Option.COM_PORT) + encode(Arm(1)))
            try:
                receive_until(client, encode(Armed(1)))
            except TransportClosedError:
                client.close()
                raise
            return client

        with eventually(attempt, TransportClosedError) as client:
            port.unplug()
            receive_until(client, encode_code(GateCode.GATE_FAILED))
            client.write(encode(Arm(2)))
            receive_until(client, b"\xff\xf1")


def encode_code(code: GateCode) -> bytes:
    """Return how a message of gates begins."""
    return b"\xff\xfa\x2c" + bytes((code,))


def receive_until(client: SocketTransport, end: bytes) -> None:
    """Receive until something has come."""
    data = b""
    while end not in data:
        data += (piece := receive(client))
        assert piece, data


def test_a_simulated_device_lives_on_when_its_client_has_gone() -> None:
    device = SimulatedDevice("esp32c3")
    with RealTimeTransport(device) as port, Server(port) as server:
        url = server.listen_rfc2217()
        server.start()
        with Rfc2217Transport.open(url) as client:
            client.set_lines(dtr=False, rts=True)
            client.clock.sleep(0.1)
            client.set_lines(rts=False)
        # The reset is played to its end, and then the chip boots.
        eventually(lambda: require_boot(device), AssertionError)


def test_a_simulated_device_whose_application_fails_serves_the_next_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: Runtime) -> None:
        raise LookupError("a defect in the application")

    image = minimal_image("esp32c3")
    device = SimulatedDevice("esp32c3", flash=image, timings=UNPACED, application=fail)
    with RealTimeTransport(device, "sim://c3") as port, Server(port) as server:
        url = server.listen_rfc2217()
        server.start()
        with connect(url, stub=False) as connected:
            connected.reset()
        eventually(lambda: require_text(caplog, "a defect in the application"), AssertionError)
        require_text(caplog, "sim://c3: the device has failed, and is silent until it is reset")
        with connect(url, stub=False) as connected:
            assert connected.flash.id().size == 4 * MIB


def require_text(caplog: pytest.LogCaptureFixture, text: str) -> None:
    assert text in caplog.text


def require_boot(device: SimulatedDevice) -> None:
    assert [boot.download for boot in device.history.boots] == [False]
