"""Many serial ports in one process, each under a TCP port of its own.

Every port has its place from the beginning, there or not: it is opened when it appears,
and comes back under the same TCP port when it is plugged in again.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import frozen, override
from esploader.errors import ConfigError, EsploaderError, ListenError
from esploader.server.announcer import (
    Announcer,
    addresses_of,
    addresses_to_announce,
    require_announceable,
)
from esploader.server.claims import Claims, may_fit_several
from esploader.server.config import MAX_PORTS, require_distinct, with_directory
from esploader.server.directory import Inquirer
from esploader.server.discovery import find_unserved
from esploader.server.door import Door
from esploader.server.journal import Journal
from esploader.server.opening import Opener, remarks_in
from esploader.server.place import OpenPlace, number_of
from esploader.server.port_search import SEARCH_PERIOD
from esploader.server.reload import ServedAs, effective, make_plan
from esploader.server.runner import Runner
from esploader.server.status_page import make_status_page
from esploader.server.tcp_ports import TcpPorts
from esploader.server.upkeep import Upkeep
from esploader.transport.clock import RealClock
from esploader.transport.links import local_addresses
from esploader.transport.ports import list_ports
from esploader.transport.token_file import read_token
from esploader.urls import check_url

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from esploader.server.config import PortConfig, ServerConfig
    from esploader.server.discovery import PortSource
    from esploader.server.place import Place
    from esploader.server.reload import Entry, Plan, Report
    from esploader.transport.ports import PortInfo

GONE: Final = "the configuration of the server has changed"
"""What clients of a port are told that is served no more, or in another way."""


@frozen
class _Means:
    """What files besides that of the configuration hold."""

    context: ssl.SSLContext | None
    token: bytes | None


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
        upkeep: Upkeep | None = None,
    ) -> None:
        """Prepare to serve; ``on_place`` is told of every port that gets its place.

        Raises:
            ConfigError: two ports want the same, the token or a file of TLS is not what it
                should be, or what makes a status page is not installed.
            UrlError: a port can never be there.
        """
        super().__init__()
        config = with_directory(config)
        self._means = _prepare(config)
        self._config = config
        self._on_place = on_place
        self._upkeep = upkeep or Upkeep()
        self._claims = Claims(ports)
        self._opener = Opener(self._claims)
        self._tcp_ports = TcpPorts(config)
        self._directory: tuple[socket.socket, ...] = ()
        self._id = secrets.token_hex(8)
        self._announcer: Announcer | None = None
        self._places: dict[PortSource, Place] = {}
        self._open_places: dict[PortSource, OpenPlace] = {}
        self._journal = Journal(RealClock())
        self._turn = asyncio.Lock()
        self._search: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_reload_wanted = False
        self._is_ending = False
        self._status_page = make_status_page(config, self._open_places.values, self._journal)
        if self._status_page is not None:
            self._status_page.change_rules(config, self._means.context, self._means.token)

    @property
    def config(self) -> ServerConfig:
        """What it does now."""
        return self._config

    @property
    def places(self) -> tuple[Place, ...]:
        """Where its ports are found."""
        return tuple(self._places.values())

    @property
    def directory_port(self) -> int | None:
        """Where clients ask for ports by their names; ``None`` for nowhere."""
        return number_of(self._directory) if self._directory else None

    @property
    def status_url(self) -> str | None:
        """Where the page is that says how the ports stand; ``None`` for nowhere."""
        return None if self._status_page is None else self._status_page.url

    def listen(self) -> None:
        """Take the TCP ports.

        Raises:
            ConfigError: the server should be announced, and nobody would be told.
            ListenError: one of them cannot be had.
        """
        number = self._config.directory_port
        if number is not None:
            self._directory = tuple(self._tcp_ports.listen(number))
        if self._config.announce:
            require_announceable(addresses_of(self._directory))
        if self._status_page is not None:
            self._status_page.listen()
        for port in self._config.ports:
            self._add_place(self._tcp_ports.place(port))

    def request_reload(self) -> None:
        """Have the configuration read again soon. Any thread, or a signal handler, may call this.

        What comes of it is said in the log.
        """
        self._is_reload_wanted = True
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._begin_reload)

    async def reload(self) -> Report:
        """Do what the configuration says by now, in the loop; return what has changed.

        Raises:
            ConfigError: it makes no sense; nothing has changed.
            UrlError: a port can never be there; nothing has changed.
            ListenError: a TCP port cannot be had; nothing has changed.
        """
        async with self._turn:
            manager = self._upkeep.manager
            if manager is not None:
                manager.reloading()
            try:
                report = await self._reload()
            except EsploaderError as exc:
                self._journal.note("not-reloaded", level=logging.WARNING, reason=str(exc))
                raise
            finally:
                if manager is not None:
                    manager.ready(self._summary)
            self._journal.note("reloaded", **report.counts)
            for reason in report.missing:
                self._journal.note("no-place", level=logging.WARNING, reason=reason)
            self._upkeep.on_reload(report)
            self._look_around()
            return report

    @override
    def close(self) -> None:
        """Stop, wait for that and close everything."""
        super().close()
        for listener in self._directory:
            listener.close()
        for place in self._places.values():
            place.close()
        self._places.clear()
        if self._status_page is not None:
            self._status_page.close()
        self._opener.close()

    @override
    async def _serve(self, stopping: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        journal, config = self._journal, self._config
        loop.set_exception_handler(journal.fault)
        door = Door(journal, config.allow, config.limits, self._means.context)
        self._claims.remark = remarks_in(journal)
        async with AsyncExitStack() as stack:
            self._door = door
            stack.push_async_callback(door.close)
            stack.push_async_callback(self._close_places)
            for place in self._places.values():
                self._open(place)
            for listener in self._directory:
                door.open(listener, self._make_inquirer)
            await self._announce()
            self._look_around()
            if self._upkeep.control is not None:
                await stack.enter_async_context(self._upkeep.control.attended(self.reload))
            if self._upkeep.manager is not None:
                await stack.enter_async_context(self._upkeep.manager.attended(self._summary))
            if self._status_page is not None:
                await stack.enter_async_context(self._status_page.attended())
            self._begin_reload()
            await stopping.wait()

    @property
    def _summary(self) -> str:
        return f"ports served: {len(self._places)}"

    async def _close_places(self) -> None:
        # A change that has begun is brought to its end.
        async with self._turn:
            self._is_ending = True
            await self._take_back()
            if self._search is not None:
                self._search.cancel()
            for each in self._open_places.values():
                await each.close()
            self._open_places.clear()

    def _make_inquirer(self, address: str) -> Inquirer:
        return Inquirer(
            address,
            self._open_places.values,
            server=self._id,
            seconds=self._config.limits.handshake_time,
            journal=self._journal,
        )

    # The configuration changes -----------------------------------------------------------

    def _begin_reload(self) -> None:
        if not self._is_reload_wanted:
            return
        self._is_reload_wanted = False
        task = asyncio.get_running_loop().create_task(self._reload_quietly())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload_quietly(self) -> None:
        with suppress(EsploaderError):
            await self.reload()

    async def _reload(self) -> Report:
        if self._is_ending:
            raise ConfigError("reload", "the server ends")
        loop, before = asyncio.get_running_loop(), self._config
        wanted, means = await loop.run_in_executor(None, self._reread)
        named_now = await loop.run_in_executor(None, self._named_by, wanted)
        plan = make_plan(before, wanted, self._served_as(), named_now)
        config = effective(before, wanted)
        if config.announce:
            require_announceable(addresses_of(self._directory))
        if config.tls != wanted.tls:
            means = attrs.evolve(means, context=self._means.context)
        self._take_numbers(plan, config)
        # From here on nothing is refused.
        self._config, self._means = config, means
        self._door.change_rules(config.allow, config.limits, means.context)
        if self._status_page is not None:
            self._status_page.change_rules(config, means.context, means.token)
        for leaving in plan.leaving:
            await self._leave(leaving.config.source)
        missing = [reason for entry in plan.entering if (reason := self._enter(entry))]
        self._tcp_ports.drop_kept()
        for each in self._open_places.values():
            each.limits = config.limits
            each.station.rules = config.rules_of(each.place.config, means.token)
        await self._announce()
        return attrs.evolve(plan.report, missing=tuple(missing))

    def _reread(self) -> tuple[ServerConfig, _Means]:
        """Read the configuration and all files that it names. In a thread."""
        if self._upkeep.reread is None:
            raise ConfigError("reload", "this server has no configuration file")
        config = with_directory(self._upkeep.reread())
        return config, _prepare(config)

    def _served_as(self) -> list[ServedAs]:
        named = {port.source for port in self._config.ports}
        return [
            ServedAs(config=each.config, tcp_port=each.tcp_port, is_named=source in named)
            for source, each in self._places.items()
        ]

    def _named_by(self, config: ServerConfig) -> set[PortSource]:
        """Return which of the ports that are plugged in the configuration names. In a thread."""
        ports = self._claims.look()
        named = [port.source for port in config.ports]
        return set(find_unserved(ports, (), ())) - set(find_unserved(ports, named, ()))

    def _take_numbers(self, plan: Plan, config: ServerConfig) -> None:
        """Listen where those that come are to be found, so that nothing can go wrong later on."""
        going = {each.tcp_port for each in plan.leaving}
        going |= {number for each in plan.leaving if (number := each.config.watch_port)}
        wanted = [each.tcp_port or each.config.tcp_port for each in plan.entering]
        wanted += [each.config.watch_port for each in plan.entering]
        try:
            for number in wanted:
                if number and number not in going:
                    self._tcp_ports.keep(self._tcp_ports.listen(number))
        except ListenError:
            self._tcp_ports.drop_kept()
            raise
        leaving = {each.config.source for each in plan.leaving}
        kept = [each.tcp_port for source, each in self._places.items() if source not in leaving]
        kept += [each.tcp_port for each in plan.entering if each.tcp_port]
        self._tcp_ports.renumber(config.ports, kept)

    async def _leave(self, source: PortSource) -> None:
        await self._open_places.pop(source).close(GONE)
        place = self._places.pop(source)
        self._tcp_ports.keep(place.listeners)
        self._tcp_ports.keep(place.watch_listeners)
        self._claims.remove(source)
        self._opener.forget(source)

    def _enter(self, entry: Entry) -> str | None:
        """Serve a port; return why that cannot be."""
        ports, config = self._tcp_ports, entry.config
        try:
            if entry.tcp_port:
                place = ports.place_at(config, entry.tcp_port)
            elif config.tcp_port is None:
                place = ports.place_anywhere(config)
            else:
                place = ports.place(config)
        except ListenError as exc:
            return f"{config.label}: {exc}"
        self._add_place(place)
        self._open(place)
        return None

    # The network is told -------------------------------------------------------------------

    async def _announce(self) -> None:
        """Announce the directory, or do so no longer, as the configuration says."""
        if not self._config.announce:
            await self._take_back()
        elif self._announcer is None:
            bound = addresses_of(self._directory)
            self._announcer = Announcer(
                tcp_port=number_of(self._directory),
                server=self._id,
                has_tls=self._config.tls is not None,
                addresses=lambda: addresses_to_announce(bound, local_addresses()),
                journal=self._journal,
                on_announced=self._upkeep.on_announced,
            )
            self._announcer.start()

    async def _take_back(self) -> None:
        announcer, self._announcer = self._announcer, None
        if announcer is not None:
            await announcer.close()

    # Ports that nobody named ---------------------------------------------------------------

    def _look_around(self) -> None:
        """Look for new ports, and what they are, if there is any reason to."""
        config = self._config
        is_wanted = config.new_ports is not None or any(
            may_fit_several(each.source) for each in config.ports
        )
        if is_wanted and self._search is None:
            self._search = asyncio.get_running_loop().create_task(self._search_always())
        elif not is_wanted and self._search is not None:
            self._search.cancel()
            self._search = None

    async def _search_always(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with self._turn:
                ports = await loop.run_in_executor(None, self._claims.look)
                if self._config.new_ports is not None:
                    self._add_new_ports(ports, self._config.new_ports)
            await asyncio.sleep(SEARCH_PERIOD)

    def _add_new_ports(self, ports: list[PortInfo], manner: PortConfig) -> None:
        for source in find_unserved(ports, self._places, self._claims.taken()):
            if len(self._places) >= MAX_PORTS:
                return
            config = attrs.evolve(manner, source=source)
            try:
                place = self._tcp_ports.place_anywhere(config)
            except ListenError as exc:
                # No reason to end for those that are served already; the next look may do.
                reason = str(exc)
                self._journal.note(
                    "no-place", level=logging.WARNING, port=config.label, reason=reason
                )
                return
            self._add_place(place)
            self._open(place)

    # One port ------------------------------------------------------------------------------

    def _add_place(self, place: Place) -> None:
        self._places[place.config.source] = place
        self._claims.add(place.config.source, place.label)
        self._on_place(place)

    def _open(self, place: Place) -> None:
        config = self._config
        opened = OpenPlace(
            place=place, limits=config.limits, door=self._door, journal=self._journal
        )
        self._open_places[place.config.source] = opened
        open_port = functools.partial(self._opener.open, place.config.source)
        opened.open(open_port, config.rules_of(place.config, self._means.token))


def _prepare(config: ServerConfig) -> _Means:
    """Refuse what makes no sense, and read the files that are named.

    Raises:
        ConfigError: two ports want the same, or a file is not what it should be.
        UrlError: a port can never be there.
    """
    require_distinct(config.ports, "the ports")
    for port in config.ports:
        if isinstance(port.source, str):
            check_url(port.source)
    return _Means(
        context=None if config.tls is None else config.tls.make_context(),
        token=None if config.token_file is None else read_token(config.token_file),
    )
