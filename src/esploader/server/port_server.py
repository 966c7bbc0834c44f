"""Many serial ports in one process, each under a TCP port of its own.

Every port has its place from the beginning, there or not: it is opened when it appears,
and comes back under the same TCP port when it is plugged in again.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import frozen, override
from esploader.errors import ListenError
from esploader.server.access import is_loopback
from esploader.server.claims import Claims, may_fit_several
from esploader.server.config import (
    LOOPBACK,
    MAX_PORTS,
    MAX_TCP_PORT,
    PortConfig,
    Protocol,
    ServerConfig,
    require_distinct,
)
from esploader.server.connection import Connection
from esploader.server.discovery import find_unserved
from esploader.server.door import Door, listen_on_all
from esploader.server.journal import Journal
from esploader.server.port_search import SEARCH_PERIOD
from esploader.server.runner import Runner
from esploader.server.station import Station
from esploader.server.watcher import Watcher
from esploader.simulator.url import SCHEME as SIMULATOR_SCHEME
from esploader.simulator.url import open_served, parse
from esploader.transport.clock import RealClock
from esploader.transport.ports import list_ports
from esploader.transport.token_file import read_token
from esploader.urls import check_url, open_transport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from esploader.transport.base import Transport
    from esploader.transport.ports import PortInfo

OPENING_TIME: Final = 5.0
"""For how long clients of a port wait at the start until it is opened, in seconds."""

_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - to tell them from others

_SCHEMES: Final = {Protocol.RFC2217: "rfc2217", Protocol.RAW: "socket"}


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


class PortServer(Runner):
    """Serves what a configuration says.

    :meth:`listen`, then :meth:`run` here or :meth:`start` in a thread.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        on_place: Callable[[Place], None],
        ports: Callable[[], list[PortInfo]] = list_ports,
    ) -> None:
        """Prepare to serve; ``on_place`` is told of every port that gets its place.

        Raises:
            ConfigError: two ports want the same, or the token or a file of TLS is not what it
                should be.
            UrlError: a port can never be there.
        """
        super().__init__()
        require_distinct(config.ports, "the ports")
        for port in config.ports:
            if isinstance(port.source, str):
                check_url(port.source)
        self._config = config
        self._on_place = on_place
        self._context: ssl.SSLContext | None = (
            None if config.tls is None else (config.tls.make_context())
        )
        self._token = None if config.token_file is None else read_token(config.token_file)
        self._claims = Claims(ports)
        self._places: list[Place] = []
        self._next_tcp_port = config.tcp_port
        named = ((port.tcp_port, port.watch_port) for port in config.ports)
        self._reserved = {number for numbers in named for number in numbers if number}

    def listen(self) -> None:
        """Take the TCP ports.

        Raises:
            ListenError: one of them cannot be had.
        """
        for port in self._config.ports:
            tcp_port = port.tcp_port
            self._add_place(port, self._take_number() if tcp_port is None else tcp_port)

    @override
    def close(self) -> None:
        """Stop, wait for that and close everything."""
        super().close()
        for place in self._places:
            for listener in (*place.listeners, *place.watch_listeners):
                listener.close()
        self._places.clear()

    @override
    async def _serve(self, stopping: asyncio.Event) -> None:
        journal = Journal(RealClock())
        asyncio.get_running_loop().set_exception_handler(journal.fault)
        config = self._config
        door = Door(journal, config.allow, config.limits, self._context)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(door.close)
            loop = asyncio.get_running_loop()

            def remark(event: str, fields: dict[str, str]) -> None:
                note = functools.partial(journal.note, event, level=logging.WARNING, **fields)
                loop.call_soon_threadsafe(note)

            self._claims.remark = remark
            for place in self._places:
                self._open(place, door, journal, stack)
            if config.new_ports is None and not any(
                may_fit_several(each.source) for each in config.ports
            ):
                await stopping.wait()
                return
            while not stopping.is_set():
                ports = await loop.run_in_executor(None, self._claims.look)
                if config.new_ports is not None:
                    self._add_new_ports(ports, config.new_ports, door, journal, stack)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), SEARCH_PERIOD)

    def _add_new_ports(
        self,
        ports: list[PortInfo],
        manner: PortConfig,
        door: Door,
        journal: Journal,
        stack: AsyncExitStack,
    ) -> None:
        served = [place.config.source for place in self._places]
        for source in find_unserved(ports, served, self._claims.taken()):
            if len(self._places) >= MAX_PORTS:
                return
            config = attrs.evolve(manner, source=source)
            try:
                place = self._add_new_place(config)
            except ListenError as exc:
                # No reason to end for those that are served already; the next look may do.
                reason = str(exc)
                journal.note("no-place", level=logging.WARNING, port=config.label, reason=reason)
                return
            self._open(place, door, journal, stack)

    def _open(self, place: Place, door: Door, journal: Journal, stack: AsyncExitStack) -> None:
        config = place.config
        rules = self._config.rules_of(config, self._token)
        station = Station(config.label, journal=journal, policy=config.reset, rules=rules)
        stack.push_async_callback(station.close)
        make = functools.partial(
            Connection,
            station=station,
            protocol=config.protocol,
            limits=self._config.limits,
            journal=journal,
        )
        station.find(functools.partial(self._open_port, config))
        admission = self._admit(place, station, door, journal, make)
        stack.callback(asyncio.get_running_loop().create_task(admission).cancel)

    async def _admit(
        self,
        place: Place,
        station: Station,
        door: Door,
        journal: Journal,
        make: Callable[[str], Connection],
    ) -> None:
        """Let clients in once they do not hear that a port is missing that opens just now."""
        with suppress(TimeoutError):
            await asyncio.wait_for(station.looked.wait(), OPENING_TIME)
        for listener in place.listeners:
            door.open(listener, make)
        make_watcher = functools.partial(Watcher, station=station, journal=journal)
        for listener in place.watch_listeners:
            door.open(listener, make_watcher)

    def _open_port(self, config: PortConfig) -> Transport:
        """Open a port. In a thread: listing and opening ports may take a while."""
        device = self._claims.claim(config.source)
        if device.lower().startswith(f"{SIMULATOR_SCHEME}://"):
            return open_served(parse(device), device)
        transport = open_transport(device)
        self._claims.opened(config.source)
        return transport

    def _add_new_place(self, config: PortConfig) -> Place:
        """Give a port the next TCP port that is free."""
        while True:
            number = self._take_number()
            try:
                return self._add_place(config, number)
            except ListenError as exc:
                if not exc.is_taken or not number or self._next_tcp_port > MAX_TCP_PORT:
                    raise

    def _add_place(self, config: PortConfig, tcp_port: int) -> Place:
        listeners, number = self._listen(tcp_port)
        watching: list[socket.socket] = []
        watch_url = None
        if config.watch_port is not None:
            try:
                watching, watch_port = self._listen(config.watch_port)
            except ListenError:
                for listener in listeners:
                    listener.close()
                raise
            watch_url = self._url(Protocol.RAW, watch_port)
        url = self._url(config.protocol, number)
        place = Place(config, url, number, tuple(listeners), watch_url, tuple(watching))
        self._places.append(place)
        self._claims.add(config.source, config.label)
        self._on_place(place)
        return place

    def _listen(self, tcp_port: int) -> tuple[list[socket.socket], int]:
        """Listen wherever the server does; return with what, and at which TCP port."""
        bind = self._config.bind
        # Not every machine has IPv6; that it was not asked for is no reason to fail.
        optional = frozenset(LOOPBACK) if bind == LOOPBACK else frozenset[str]()
        listeners = listen_on_all(bind, tcp_port, optional)
        return listeners, listeners[0].getsockname()[1]

    def _take_number(self) -> int:
        if not self._config.tcp_port:
            return 0
        while self._next_tcp_port in self._reserved:
            self._next_tcp_port += 1
        self._next_tcp_port += 1
        return self._next_tcp_port - 1

    def _url(self, protocol: Protocol, tcp_port: int) -> str:
        host = self._config.bind[0]
        if host in _WILDCARDS:
            host = socket.gethostname()
        shown = f"[{host}]" if ":" in host else host
        secure = "" if self._context is None else "+tls"
        return f"{_SCHEMES[protocol]}{secure}://{shown}:{tcp_port}"


def is_exposed(config: ServerConfig) -> bool:
    """Tell whether anybody on the network can use the ports."""
    is_reachable = not all(is_loopback(host) for host in config.bind)
    return is_reachable and not config.allow.networks and config.tls is None
