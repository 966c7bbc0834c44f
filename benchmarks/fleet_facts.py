"""What one board costs, measured: seconds, bytes on the network, and processors at either end.

Needs ``PYTHONPATH=tests/support``.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING

import attrs
from typing_extensions import override

from client_cost import zlib_seconds
from esploader import After, connect
from esploader.chips.esp32c3 import ESP32_C3
from esploader.server.peers import ComPortPeer
from esploader.server.serve import Server
from esploader.simulator import SimulatedDevice, SimulatedTransport
from esploader.transport.base import BITS_PER_BYTE, Capabilities
from esploader.transport.com_port import Signature
from esploader.transport.rfc2217 import Rfc2217Transport
from esploader.transport.serial_port import SerialPortTransport
from flash_id import served_by_ser2net
from processes import GivenUpError, served_chip
from server_load import EXCHANGE_TIME, Line, cost_of, measure_ours
from slow_link import SlowLink
from virtual_link import Direction, Link, LinkClock, VirtualServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.transport.base import Transport

MIB = 1 << 20

BAUDRATE = 460800
"""Of the line to a board: what nearly every USB bridge and cable takes."""

USB_ROUND_TRIP = 0.002
"""What a USB bridge beside the board adds, in seconds."""

OFFSET = 0x10000

FRAME_TIME = 0.001
"""Of USB: how often a bridge takes bytes, in seconds."""

WARM_UP_SIZE = 0x1000

SEGMENT_SIZE = 1448
"""What a TCP segment carries on an Ethernet, in bytes."""

SEGMENT_OVERHEAD = 90
"""What is around that: Ethernet with its gap, IP, TCP with time stamps; in bytes."""


class GatelessPeer(ComPortPeer):
    """A server's end as that of ser2net: RFC 2217 and no gates."""

    @property
    @override
    def signature(self) -> Signature:
        return Signature(b"ser2net")


@attrs.define
class CountedDirection(Direction):
    """One direction of a connection that counts what an Ethernet would carry."""

    carried: int = 0
    """In bytes, with what is around them."""

    @override
    def send(self, data: bytes, now: float) -> None:
        segments = -(-len(data) // SEGMENT_SIZE)
        self.carried += len(data) + segments * SEGMENT_OVERHEAD
        super().send(data, now)


@attrs.frozen
class Way:
    """A board's job over one kind of server and one network."""

    seconds: float
    """From the first SYN to the reset, with nobody else there."""
    carried: int
    """Bytes on the network, both ways."""


@attrs.frozen
class Processors:
    """What the ends take of a processor, in seconds."""

    server_per_mib: float
    """For what a server relays, both ways counted."""
    client: float
    """For a board, compressing not counted: that is done once."""


def write_board(device: SimulatedDevice, transport: Transport, image: bytes) -> float:
    """Write ``image`` as a fleet does, over what was there; return the seconds that takes."""
    device.nor.program(OFFSET, bytes(len(image)))
    with connect(transport, baudrate=BAUDRATE) as target:
        target.flash.write([(OFFSET, image)], skip=False)
        target.reset()
        seconds = transport.clock.now()
    if device.nor.read(OFFSET, len(image)) != image:
        raise GivenUpError("the flash does not hold the image")
    return seconds


def way_through_server(image: bytes, round_trip: float, *, gates: bool) -> Way:
    """Measure a job over a network in virtual time, which is exact."""
    clock = LinkClock()
    device = SimulatedDevice(ESP32_C3, clock=clock)
    server = VirtualServer.around(SimulatedTransport(device), clock)
    link = Link(round_trip=round_trip)
    pipe = server.connect(link, None if gates else lambda: GatelessPeer("model", "model"))
    up, down = CountedDirection(link), CountedDirection(link)
    pipe.up, pipe.down = up, down
    transport = Rfc2217Transport.over(pipe)
    if transport.capabilities.gated is not gates:
        raise GivenUpError("the server is not what it should be")
    seconds = write_board(device, transport, image)
    # TCP acknowledges every second full segment, at least.
    acknowledged = (up.carried + down.carried) // (2 * SEGMENT_SIZE) * SEGMENT_OVERHEAD
    return Way(seconds, up.carried + down.carried + acknowledged)


def way_beside_board(image: bytes) -> Way:
    """Measure a job on the machine that the board is plugged into, in virtual time."""
    device = SimulatedDevice(ESP32_C3)
    link = SlowLink(SimulatedTransport(device), USB_ROUND_TRIP)
    return Way(write_board(device, link, image), 0)


def client_seconds(url: str, image: bytes) -> float:
    """Return what this process takes of a processor for a job at the pace of a line.

    What compressing takes does not count.
    """

    def write(content: bytes) -> float:
        start = time.process_time()
        with connect(url, baudrate=BAUDRATE, before="no-reset") as target:
            target.flash.write([(OFFSET, content)], skip=False)
            target.reset(After.NO_RESET)
        return time.process_time() - start

    # The first job loads what the others find there.
    write(image[:WARM_UP_SIZE])
    return write(image) - zlib_seconds(image)


def our_processors(image: bytes, ports: int, size: int, settling: float) -> Processors:
    """Measure our server, and our client behind it.

    ``ports`` are relayed for at once where nobody waits for a line, ``size`` bytes each; so many
    go over one line, too.
    """
    in_bulk = measure_ours(ports, size, settling).seconds / (2 * ports * size / MIB)
    with contextlib.closing(Line()) as line, LinedPort.open(line.path) as port:
        at_pace = thread_seconds(port, line, size) / (size / MIB)
    print(f"our server: {1000 * in_bulk:.1f} ms of CPU per MiB where it never waits for a line")
    with served_chip("--rfc2217", "0", "--state", "download", "--realtime") as served:
        (url,) = served.urls.values()
        return Processors(at_pace, client_seconds(url, image))


def ser2net_processors(image: bytes, size: int) -> Processors | None:
    """Measure ser2net, and our client behind it; ``None`` where it is not installed."""
    try:
        with contextlib.closing(Line()) as line, served_by_ser2net(line.path) as served:
            (url,) = served.urls.values()
            before = cost_of(served.process).seconds
            send_at_pace(url, line, size)
            at_pace = (cost_of(served.process).seconds - before) / (size / MIB)
        with behind_ser2net() as url:
            return Processors(at_pace, client_seconds(url, image))
    except GivenUpError as exc:
        print(f"ser2net is not measured, and its processors count as ours: {exc}")
        return None


class LinedPort(SerialPortTransport):
    """A pseudo-terminal that passes for a port with lines, at whose rate the server goes by."""

    @property
    @override
    def capabilities(self) -> Capabilities:
        return attrs.evolve(super().capabilities, set_lines=True)

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        pass


def thread_seconds(port: SerialPortTransport, line: Line, size: int) -> float:
    """Return what the thread of a server takes of a processor for bytes at the pace of a line."""
    with Server(port) as server:
        url = server.listen_rfc2217()
        others = set(threading.enumerate())
        server.start()
        (thread,) = set(threading.enumerate()) - others
        if thread.ident is None:
            raise GivenUpError("the server has not started")
        clock = time.pthread_getcpuclockid(thread.ident)
        before = time.clock_gettime(clock)
        send_at_pace(url, line, size)
        return time.clock_gettime(clock) - before


def send_at_pace(url: str, line: Line, size: int) -> None:
    """Send so many bytes to a line that takes them at its rate.

    Raises:
        GivenUpError: they do not arrive.
    """
    with Rfc2217Transport.open(url, baudrate=BAUDRATE) as client:
        sender = threading.Thread(target=client.write, args=(bytes(size),), daemon=True)
        sender.start()
        start, taken = time.monotonic(), 0
        while taken < size:
            elapsed = time.monotonic() - start
            if elapsed > EXCHANGE_TIME:
                raise GivenUpError(f"only {taken} of {size} bytes arrived")
            due = min(int(elapsed * BAUDRATE / BITS_PER_BYTE), size) - taken
            with contextlib.suppress(BlockingIOError):
                taken += len(os.read(line.device, due)) if due else 0
            time.sleep(FRAME_TIME)
        sender.join()


@contextlib.contextmanager
def behind_ser2net() -> Iterator[str]:
    """Serve a simulated chip through ser2net; yield its URL."""
    with served_chip("--pty", "--realtime") as chip, served_by_ser2net(chip.urls["pty"]) as served:
        (url,) = served.urls.values()
        yield url


def local_client_seconds(image: bytes) -> float:
    """Measure our client beside the board."""
    with served_chip("--pty", "--realtime") as chip:
        return client_seconds(chip.urls["pty"], image)
