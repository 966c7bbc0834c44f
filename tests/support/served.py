"""Serve ports for as long as a test needs them: in a thread, or in a process of its own."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import TYPE_CHECKING

import attrs

from esploader.errors import TransportClosedError, TransportError
from esploader.server.port_server import PortServer
from esploader.server.serve import Server
from esploader.simulator.config import InitialState
from esploader.simulator.url import SCHEME, open_served, parse
from esploader.transport.tcp import SocketTransport
from eventually import eventually
from programs import esploader, read_line, running

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from esploader.server.config import ServerConfig
    from esploader.server.place import Place
    from esploader.transport.base import Transport
    from esploader.transport.ports import PortInfo

PATIENCE = 20.0
"""When a test gives up, in seconds; nothing that works takes a fraction of it."""


class Plugs:
    """The USB ports of a machine, as a test plugs them in."""

    def __init__(self, *ports: PortInfo) -> None:
        self.ports = list(ports)

    def list_ports(self) -> list[PortInfo]:
        return list(self.ports)


class Places:
    """Where the ports of a server are found; a server in a thread adds to them."""

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._changed = threading.Condition()

    def add(self, place: Place) -> None:
        with self._changed:
            self._places.append(place)
            self._changed.notify_all()

    def wait(self, count: int) -> list[Place]:
        """Return the places when there are that many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._places) >= count, PATIENCE)
            return list(self._places)


@contextlib.contextmanager
def serving(config: ServerConfig, plugs: Plugs | None = None) -> Iterator[Places]:
    """Serve in a thread."""
    places = Places()
    plugged = plugs or Plugs()
    with PortServer(config, on_place=places.add, ports=plugged.list_ports) as server:
        server.listen()
        server.start()
        yield places


@contextlib.contextmanager
def server_process(
    *options: str, stderr: int | None = None
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Serve in a process of its own; yield it and the URLs."""
    with running(*esploader("serve", "--json", *options), stderr=stderr) as process:
        text = ""
        while not text.endswith("\n}\n"):
            line = read_line(process)
            assert line, f"serve ended with exit code {process.wait()}"
            text += line
        yield process, list(json.loads(text)["urls"].values())


@contextlib.contextmanager
def lent_chip(source: str, front_end: str = "tcp", *, flash: Path | None = None) -> Iterator[str]:
    """Serve a simulated chip in a thread, as ``sim serve`` does; yield its URL.

    ``source`` is its name or a ``sim://`` URL, ``front_end`` is ``tcp``, ``pty`` or ``rfc2217``,
    ``flash`` is the file that holds its flash.
    """
    url = source if "://" in source else f"{SCHEME}://{source}"
    # Without lines nobody could get it out of its application.
    has_lines = front_end == "rfc2217"
    state = InitialState.APPLICATION if has_lines else InitialState.DOWNLOAD
    config = attrs.evolve(parse(url, state=state), flash_file=flash)
    with (
        open_served(config, url, follows_device=front_end == "tcp") as transport,
        Server(transport) as server,
    ):
        open_front_end = {
            "tcp": server.listen_tcp,
            "pty": server.open_pty,
            "rfc2217": server.listen_rfc2217,
        }[front_end]
        port = open_front_end()
        server.start()
        yield port


def tcp_port(url: str) -> int:
    """Return the TCP port in a URL."""
    return int(url.rpartition(":")[2])


@contextlib.contextmanager
def connected(port: int, *, buffer_size: int | None = None) -> Iterator[socket.socket]:
    """Connect without any protocol; the system's buffers may be made small."""
    with socket.socket() as client:
        client.settimeout(PATIENCE)
        if buffer_size is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_size)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_size)
        client.connect(("127.0.0.1", port))
        yield client


def receive_all(client: socket.socket) -> bytes:
    """Return everything up to the end of the connection, however it ends."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(65536):
            data += piece
    return data


def read_to_the_end(transport: Transport) -> None:
    """Read until the other end hangs up."""
    deadline = transport.clock.now() + PATIENCE
    while transport.clock.now() < deadline:
        transport.read(deadline)


def attached(url: str) -> SocketTransport:
    """Connect, again and again until the port is really there."""

    def attempt() -> SocketTransport:
        client = SocketTransport.open(url)
        # Whoever is sent away is told so at once.
        if client.read(client.clock.now() + 0.2):
            client.close()
            raise TransportClosedError(url, "sent away")
        return client

    return eventually(attempt, TransportError)
