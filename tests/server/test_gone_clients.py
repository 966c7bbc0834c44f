"""What a client that has gone wanted does not count, however much of it there is."""

from __future__ import annotations

import contextlib
import functools
import threading
from typing import TYPE_CHECKING

from typing_extensions import override

from esploader.server.access import AllowList, Limits
from esploader.server.config import Protocol
from esploader.server.connection import Connection
from esploader.server.door import Door, listen
from esploader.server.journal import Journal
from esploader.server.peers import ComPortPeer, Peer
from esploader.server.recogniser import ResetPolicy
from esploader.server.runner import Runner
from esploader.server.station import Station
from esploader.transport.clock import RealClock
from esploader.transport.com_port import Code, Setting, encode
from esploader.transport.telnet_framing import Option, encode_subnegotiation
from eventually import eventually
from fake_transport import PATIENCE, WatchedTransport
from served import connected

if TYPE_CHECKING:
    import asyncio
    import socket

    from esploader.server.request_queue import Request
    from esploader.transport.base import Transport

HELLO = b"\xff\xfb\x2c"
WORDLESS = encode_subnegotiation(Option.COM_PORT, b"\x63")
MANY = 600_000
MIB = 1024 * 1024


class CountingPeer(ComPortPeer):
    """A peer that counts what is taken in of it, and begins when a test lets it."""

    def __init__(self) -> None:
        super().__init__("somebody", "a port")
        self.taken = 0
        self.may_go_on = threading.Event()

    @override
    def feed(self, data: bytes) -> list[Request]:
        if self.taken:
            assert self.may_go_on.wait(PATIENCE)
        self.taken += len(data)
        return super().feed(data)


class CountedConnection(Connection):
    """A connection whose peer a test sees."""

    counting: CountingPeer

    @property
    @override
    def peer(self) -> Peer:
        return self.counting


class CountingServer(Runner):
    """A server whose first client is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.port = WatchedTransport()
        self.peers: list[CountingPeer] = []
        self._listener = listen("127.0.0.1", 0)
        self.tcp_port = self._listener.getsockname()[1]

    @override
    def close(self) -> None:
        super().close()
        self._listener.close()
        self.port.device.close()
        self.port.close()

    @override
    async def _serve(self, stopping: asyncio.Event) -> None:
        journal = Journal(RealClock())
        self._station = Station("a port", journal=journal, policy=ResetPolicy())
        door = Door(journal, AllowList(), Limits())
        self._station.find(self._open)
        await self._station.looked.wait()
        door.open(self._listener, functools.partial(self._connect, journal=journal))
        await stopping.wait()
        await self._station.close()
        await door.close()

    def _open(self) -> Transport:
        return self.port

    def _connect(self, address: str, journal: Journal) -> Connection:
        connection = CountedConnection(
            address, self._station, Protocol.RFC2217, limits=Limits(), journal=journal
        )
        connection.counting = CountingPeer()
        self.peers.append(connection.counting)
        return connection


def test_a_client_that_closed_behind_megabytes_of_options_gives_the_port_back_at_once() -> None:
    with CountingServer() as server:
        server.start()
        with connected(server.tcp_port) as client:
            client.recv(1000)
            client.sendall(HELLO)
            eventually(lambda: require_taken(server, len(HELLO)), AssertionError)
            sent = send_what_is_taken(client, WORDLESS * MANY)
        assert sent > MIB
        server.peers[0].may_go_on.set()
        eventually(lambda: require_free(server), AssertionError)
        assert server.peers[0].taken < MIB // 4


def test_the_last_words_of_a_client_count() -> None:
    with CountingServer() as server:
        server.start()
        with connected(server.tcp_port) as client:
            client.recv(1000)
            client.sendall(HELLO)
            eventually(lambda: require_taken(server, len(HELLO)), AssertionError)
            client.sendall(encode(Setting(Code.SET_BAUDRATE, 9600), from_server=False))
        server.peers[0].may_go_on.set()
        while server.port.happened(1) != [("baudrate", 9600)]:
            pass


def require_taken(server: CountingServer, size: int) -> None:
    assert server.peers
    assert server.peers[0].taken == size


def send_what_is_taken(client: socket.socket, data: bytes) -> int:
    client.settimeout(0.5)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < len(data):
            sent += client.send(data[sent : sent + 65536])
    return sent


def require_free(server: CountingServer) -> None:
    with connected(server.tcp_port) as client:
        client.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            assert b"in use" not in client.recv(100)
