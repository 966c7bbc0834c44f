"""A port under the TCP port where clients find it, from its opening to its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakSet

import attrs

from esploader.classes import define, frozen
from esploader.server.connection import Connection
from esploader.server.opening import has_looked
from esploader.server.station import Station
from esploader.server.watcher import Watcher
from esploader.transport.turns import Released

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from esploader.server.access import Limits
    from esploader.server.config import PortConfig
    from esploader.server.door import Door
    from esploader.server.journal import Journal
    from esploader.server.turn_rules import TurnRules
    from esploader.transport.base import Transport


@frozen
class Place:
    """A port and where clients find it."""

    config: PortConfig
    url: str
    """What to tell clients."""

    tcp_port: int
    listeners: tuple[socket.socket, ...] = attrs.field(repr=False)
    watch_url: str | None = None
    """What to tell those who only want to listen; ``None`` where nobody can."""

    watch_listeners: tuple[socket.socket, ...] = attrs.field(default=(), repr=False)

    @property
    def label(self) -> str:
        """What the port is called."""
        return self.config.label

    @property
    def watch_port(self) -> int | None:
        """The TCP port at which others listen; ``None`` for none."""
        return number_of(self.watch_listeners) if self.watch_listeners else None

    def close(self) -> None:
        """Listen no longer."""
        for listener in (*self.listeners, *self.watch_listeners):
            listener.close()


def number_of(listeners: Sequence[socket.socket]) -> int:
    """Return the TCP port at which all of them listen."""
    number: int = listeners[0].getsockname()[1]
    return number


@define(eq=False, kw_only=True)
class OpenPlace:
    """A place whose port is looked for, and has its clients. Lives in one loop."""

    place: Place
    limits: Limits
    """What a client that comes may take."""

    station: Station = attrs.field(init=False)
    _door: Door
    _journal: Journal
    _admission: asyncio.Task[None] | None = attrs.field(default=None, init=False)
    _watchers: WeakSet[Watcher] = attrs.field(factory=WeakSet, init=False)

    def open(self, open_port: Callable[[], Transport], rules: TurnRules) -> None:
        """Look for the port, which ``open_port`` opens in a thread, and let clients in."""
        config = self.place.config
        self.station = Station(
            config.label, journal=self._journal, policy=config.reset, rules=rules
        )
        self.station.find(open_port)
        self._admission = asyncio.get_running_loop().create_task(self._admit())

    async def close(self, reason: str | None = None) -> None:
        """Let nobody in any more, and let go of the port.

        Clients are told ``reason``, if it is not that the server ends. What listened is the
        caller's again.
        """
        if self._admission is not None:
            self._admission.cancel()
        for listener in (*self.place.listeners, *self.place.watch_listeners):
            self._door.shut(listener)
        await self.station.close(reason)
        if reason is not None:
            for watcher in self._watchers:
                watcher.part(Released(reason))

    async def _admit(self) -> None:
        """Let clients in once they do not hear that a port is missing that opens just now."""
        await has_looked(self.station)
        for listener in self.place.listeners:
            self._door.open(listener, self._make_connection)
        for listener in self.place.watch_listeners:
            self._door.open(listener, self._make_watcher)

    def _make_connection(self, address: str) -> Connection:
        return Connection(
            address,
            self.station,
            self.place.config.protocol,
            limits=self.limits,
            journal=self._journal,
        )

    def _make_watcher(self, address: str) -> Watcher:
        watcher = Watcher(address, self.station, journal=self._journal)
        self._watchers.add(watcher)
        return watcher
