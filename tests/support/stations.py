"""What the tests of stations share: a port in virtual time, and clients that a test plays."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from typing_extensions import override

from esploader.server.client_end import ClientEnd
from esploader.server.journal import Journal
from esploader.server.recogniser import ResetPolicy
from esploader.server.station import Station
from relays import FakePeer, VirtualTransport
from virtual_loop import run_virtually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from esploader.server.peers import Peer
    from esploader.server.request_queue import Request

T = TypeVar("T")


class WishingPeer(FakePeer):
    """A client whose protocol is left out: what it says is that it wants :attr:`wishes`."""

    def __init__(self) -> None:
        super().__init__()
        self.wishes: list[Request] = []

    @override
    def feed(self, data: bytes) -> list[Request]:
        wishes, self.wishes = self.wishes, []
        return [*super().feed(data), *wishes] if data else wishes


class FakeEnd(ClientEnd):
    """A client without a connection."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.fake_peer = WishingPeer()
        self.has_port = True
        """Nobody has hung up on it."""

    @property
    @override
    def address(self) -> str:
        return self._address

    @property
    @override
    def peer(self) -> Peer:
        return self.fake_peer

    @override
    def flush(self) -> None:
        pass

    @override
    def set_reading(self, wanted: bool) -> None:
        pass

    @override
    def hang_up(self) -> None:
        self.has_port = False


def make_station() -> Station:
    """Return a station without a port; to be called in a loop."""
    clock = VirtualTransport().clock
    return Station("bench 1", journal=Journal(clock), policy=ResetPolicy())


def at_a_station(
    what_happens: Callable[[Station, VirtualTransport], Awaitable[T]],
    port: VirtualTransport | None = None,
) -> T:
    """Return what ``what_happens`` returns, with a station that has its port, in virtual time."""
    transport = VirtualTransport() if port is None else port

    async def play() -> T:
        station = make_station()
        station.borrow(transport, lambda _: None)
        result = await what_happens(station, transport)
        await station.close()
        await asyncio.sleep(0)
        return result

    return run_virtually(transport.virtual_clock, play())
