"""One server process for 32 ports, against pyserial's example server relaying the same bytes.

The ports are pseudo-terminals whose other ends this process holds; each server is a process
of its own, and what it costs is what the system says of it (Linux only). The example is
rebuilt on pyserial's ``PortManager``, for a port a process, as people run it. Then 32
simulated chips behind one server are written at once, and what they hold is verified.
"""

from __future__ import annotations

import contextlib
import os
import random
import selectors
import socket
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from esploader import connect
from esploader.transport.telnet import Data, TelnetDecoder
from esploader.transport.telnet_framing import escape
from processes import (
    LOOPBACK,
    PATIENCE,
    GivenUpError,
    Served,
    memory_of,
    read_line,
    running,
    served_ports,
)
from side_by_side import Goal, ratio, run

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[1] / "tests" / "peer" / "port_manager_server.py"
MIB = 1024 * 1024

EXCHANGE_TIME = 120.0
"""When bytes that do not arrive, and chips that are not written, are given up, in seconds."""

SETTLING = 0.5
"""How long a server has to itself when it has started, in seconds: what it prints comes before."""


@attrs.frozen
class Extent:
    """How much is measured."""

    port_count: int = 32
    size: int = 512 * 1024
    """What goes through each port of our server, in bytes."""
    example_size: int = 2 * 1024 * 1024
    image_size: int = 64 * 1024
    settling: float = SETTLING


# WILL and DO for BINARY and SUPPRESS-GO-AHEAD: a client introduces itself. Not COM-PORT: the
# example would ask the pseudo-terminal for its lines, and end because it has none.
HELLO = b"".join(bytes((255, verb, option)) for verb in (251, 253) for option in (0, 3))


class Line:
    """A pseudo-terminal as the port of a server."""

    def __init__(self) -> None:
        self.device, self._port = os.openpty()
        tty.setraw(self._port)
        os.set_blocking(self.device, False)
        self.path = os.ttyname(self._port)

    def close(self) -> None:
        """Take it away."""
        os.close(self.device)
        os.close(self._port)


@attrs.frozen
class Cost:
    """What a server process has used."""

    seconds: float
    """Of CPU."""

    memory: int
    """At its peak, in bytes."""


def cost_of(process: subprocess.Popen[str]) -> Cost:
    """Ask the system what ``process`` has used by now."""
    fields = (
        Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    )
    ticks = int(fields[11]) + int(fields[12])
    return Cost(ticks / os.sysconf("SC_CLK_TCK"), memory_of(process.pid, "VmHWM"))


class Exchange:
    """Sends a payload through a port, and one back."""

    def __init__(self, client: socket.socket, line: Line, size: int, seed: int) -> None:
        self.client, self.device = client, line.device
        self._payload = random.Random(seed).randbytes(size)  # noqa: S311 - no secret
        self._to_device = memoryview(HELLO + escape(self._payload))
        self._to_client = memoryview(b"")
        self._at_device = bytearray()
        self._at_client = bytearray()
        self._decoder = TelnetDecoder()

    @property
    def is_done(self) -> bool:
        """Both have arrived."""
        return len(self._at_client) >= len(self._payload)

    def check(self) -> None:
        """Raise unless both arrived as they were sent."""
        if self._at_device != self._payload or self._at_client != self._payload:
            raise ValueError("the bytes have changed on the way")

    def client_is_ready(self, events: int) -> None:
        """Do what the client can do."""
        if events & selectors.EVENT_WRITE and self._to_device:
            self._to_device = self._to_device[self.client.send(self._to_device[:65536]) :]
        if events & selectors.EVENT_READ:
            for event in self._decoder.feed(self.client.recv(65536)):
                if isinstance(event, Data):
                    self._at_client += event.data

    def device_is_ready(self, events: int) -> None:
        """Do what the device can do."""
        if events & selectors.EVENT_READ:
            with contextlib.suppress(BlockingIOError):
                self._at_device += os.read(self.device, 65536)
            if len(self._at_device) == len(self._payload):
                self._to_client = memoryview(self._payload)
        if events & selectors.EVENT_WRITE and self._to_client:
            with contextlib.suppress(BlockingIOError):
                self._to_client = self._to_client[os.write(self.device, self._to_client[:65536]) :]

    def wanted(self) -> tuple[int, int]:
        """Return what to wait for at the client and at the device."""
        write, read = selectors.EVENT_WRITE, selectors.EVENT_READ
        return (
            read | (write if self._to_device else 0),
            read | (write if self._to_client else 0),
        )


def exchange(tcp_ports: list[int], lines: list[Line], size: int) -> None:
    """Send a payload there and back through all ports at once."""
    deadline = time.monotonic() + EXCHANGE_TIME
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        exchanges = []
        for number, (tcp_port, line) in enumerate(zip(tcp_ports, lines, strict=True)):
            address = LOOPBACK, tcp_port
            client = stack.enter_context(socket.create_connection(address, timeout=PATIENCE))
            client.setblocking(False)  # noqa: FBT003 - as it is called
            each = Exchange(client, line, size, number)
            exchanges.append(each)
            selector.register(client, selectors.EVENT_READ, each.client_is_ready)
            selector.register(line.device, selectors.EVENT_READ, each.device_is_ready)
        while not all(each.is_done for each in exchanges):
            if time.monotonic() > deadline:
                raise TimeoutError("the bytes did not arrive")
            for each in exchanges:
                at_client, at_device = each.wanted()
                selector.modify(each.client, at_client, each.client_is_ready)
                selector.modify(each.device, at_device, each.device_is_ready)
            for key, events in selector.select(1.0):
                key.data(events)
        for each in exchanges:
            each.check()


@contextlib.contextmanager
def our_server(*ports: str, settling: float) -> Iterator[Served]:
    """Run our server for that many ports; all are open."""
    with served_ports(*ports) as served:
        time.sleep(settling)
        yield served


def measure_ours(count: int, size: int, settling: float) -> Cost:
    """Return what our server uses for ``count`` ports; the start does not count as CPU."""
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(contextlib.closing(Line())) for _ in range(count)]
        served = stack.enter_context(our_server(*(line.path for line in lines), settling=settling))
        before = cost_of(served.process)
        exchange(served.tcp_ports, lines, size)
        after = cost_of(served.process)
        return Cost(after.seconds - before.seconds, after.memory)


def measure_example(size: int) -> Cost:
    """Return what pyserial's example uses for one port; the start does not count as CPU."""
    command = (sys.executable, "-W", "ignore", str(EXAMPLE))
    with (
        contextlib.closing(Line()) as line,
        running(*command, line.path, errors=subprocess.DEVNULL) as process,
    ):
        tcp_port = int(read_line(process))
        before = cost_of(process)
        exchange([tcp_port], [line], size)
        after = cost_of(process)
        return Cost(after.seconds - before.seconds, after.memory)


def write_all_at_once(count: int, size: int, settling: float) -> float:
    """Write simulated chips behind one server, verify them, and return the seconds."""
    image = random.Random(0).randbytes(size)  # noqa: S311 - no secret
    verified: list[str] = []

    def write(url: str) -> None:
        with connect(url, stub=False) as device:
            device.flash.write([(0x10000, image)])
            if device.flash.read(0x10000, len(image)) == image:
                verified.append(url)

    boards = (f"sim://esp32c3?seed={seed}" for seed in range(count))
    with our_server(*boards, settling=settling) as served:
        start = time.perf_counter()
        # Nobody waits for those that hang.
        threads = [
            threading.Thread(target=write, args=(url,), daemon=True) for url in served.urls.values()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, start + EXCHANGE_TIME - time.perf_counter()))
        seconds = time.perf_counter() - start
    if len(set(verified)) != count:
        raise GivenUpError(f"only {len(verified)} of {count} chips hold what they should")
    return seconds


def benchmark(extent: Extent) -> list[Goal]:
    """Relay through both, print what it costs, and return the figures."""
    count, size = extent.port_count, extent.size
    one = measure_ours(1, size, extent.settling)
    many = measure_ours(count, size, extent.settling)
    example = measure_example(extent.example_size)
    ours_per_mib = many.seconds / (2 * count * size / MIB)
    example_per_mib = example.seconds / (2 * extent.example_size / MIB)
    memory_per_port = (many.memory - one.memory) / (count - 1)
    print(f"ours, {count} ports: {1000 * ours_per_mib:.1f} ms of CPU per MiB")
    print(f"ours, 1 port: {1000 * one.seconds / (2 * size / MIB):.1f} ms of CPU per MiB")
    print(f"pyserial's example: {1000 * example_per_mib:.1f} ms of CPU per MiB")
    print(f"memory: {one.memory / MIB:.1f} MiB with 1 port, {many.memory / MIB:.1f} with {count}")
    seconds = write_all_at_once(count, extent.image_size, extent.settling)
    print(f"writing {count} simulated chips of one server at once: {seconds:.1f} s")
    share = ratio(ours_per_mib, example_per_mib)
    return [
        Goal("CPU per MiB / pyserial's example", share, at_most=0.1),
        Goal("memory per port", memory_per_port / MIB, at_most=8, unit="MiB"),
    ]


if __name__ == "__main__":
    smoke = Extent(port_count=2, size=0x1000, example_size=0x1000, image_size=0x1000, settling=0.0)
    sys.exit(run(benchmark, full=Extent(), smoke=smoke))
