"""The status page of a port server, in a thread of its own."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import attrs
from aiohttp import web

from esploader.classes import frozen, override
from esploader.server.access import is_loopback
from esploader.server.config import LOOPBACK, ServerConfig
from esploader.server.door import Door, format_reachable, listen_on_all
from esploader.server.journal import Journal
from esploader.server.runner import Runner
from esploader.server.status.answers import Answers
from esploader.server.status.budget import PacedSelector
from esploader.server.status.document import ServerFacts
from esploader.server.status.guard import HostNames
from esploader.server.status.handler import LINGER_TIME, Handler
from esploader.server.status.lab import Lab
from esploader.server.status.logs import EventLog
from esploader.server.status.snapshots import Snapshots
from esploader.server.status.visit import Visit, turned_away
from esploader.transport.clock import RealClock
from esploader.version import __version__

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterable

    from esploader.server.access import AllowList, Limits
    from esploader.server.place import OpenPlace
    from esploader.server.status_address import StatusAddress

MAX_CONNECTIONS: Final = 64
"""How many connections there may be, unless the configuration allows fewer."""

MAX_CONNECTIONS_PER_ADDRESS: Final = 24
"""The same from one address: a browser takes two for a page that it shows, and six to load it."""


@frozen(kw_only=True)
class Rules:
    """Who gets in, and what the page may do: what a reload changes."""

    allow: AllowList
    limits: Limits
    names: tuple[str, ...]
    context: ssl.SSLContext | None
    token: bytes | None = attrs.field(repr=False)

    @classmethod
    def of(cls, config: ServerConfig, context: ssl.SSLContext | None, token: bytes | None) -> Rules:
        """Return those of a configuration, with what its files hold."""
        limits = attrs.evolve(
            config.limits,
            connections=min(config.limits.connections, MAX_CONNECTIONS),
            connections_per_address=min(
                config.limits.connections_per_address, MAX_CONNECTIONS_PER_ADDRESS
            ),
        )
        return cls(
            allow=config.allow,
            limits=limits,
            names=config.status_names,
            context=context,
            token=token,
        )


class StatusServer(Runner):
    """Serves the page: :meth:`listen`, then :meth:`attended` in the loop of the ports."""

    def __init__(
        self,
        address: StatusAddress,
        places: Callable[[], Iterable[OpenPlace]],
        journal: Journal,
    ) -> None:
        """Prepare to listen there; ``journal`` is the log of the server that has the ports."""
        super().__init__()
        self._address = address
        self._rules = Rules.of(ServerConfig(), None, None)
        self._places = places
        self._log = EventLog()
        journal.listener = self._log.hear
        self._journal = Journal(RealClock())
        self._journal.listener = self._log.hear
        self._listeners: list[socket.socket] = []
        self._hurry = threading.Event()
        self._lab: Lab | None = None
        self._facts = ServerFacts(
            version=__version__, host=socket.gethostname(), started_at=dt.datetime.now(dt.UTC)
        )
        self._change: Callable[[Rules], None] | None = None

    @property
    def url(self) -> str:
        """Where the page is, once it is listened there."""
        host, port = self._listeners[0].getsockname()[:2]
        scheme = "http" if self._rules.context is None else "https"
        return f"{scheme}://{format_reachable(host, port)}/"

    def listen(self) -> None:
        """Take the TCP port.

        Raises:
            ListenError: it cannot be had.
        """
        host = self._address.host
        hosts = LOOPBACK if host is None else (host,)
        optional = frozenset(LOOPBACK) if host is None else frozenset[str]()
        self._listeners = listen_on_all(hosts, self._address.port, optional)

    @asynccontextmanager
    async def attended(self) -> AsyncIterator[None]:
        """Serve meanwhile; the loop in which this is called is that of the ports."""
        loop = asyncio.get_running_loop()
        self._lab = Lab(self._places, loop)
        self.start()
        try:
            yield
        finally:
            # The loop goes on until then: what is being asked is answered.
            await loop.run_in_executor(None, self.close)

    def change_rules(
        self, config: ServerConfig, context: ssl.SSLContext | None, token: bytes | None
    ) -> None:
        """Let in whom these say, from now on. Another thread may call this."""
        self._rules = rules = Rules.of(config, context, token)
        with self._lock:
            if self._loop is not None and self._change is not None:
                self._loop.call_soon_threadsafe(self._change, rules)

    @override
    def stop(self) -> None:
        self._hurry.set()
        super().stop()

    @override
    def close(self) -> None:
        """Stop, wait for that and listen no longer."""
        super().close()
        for listener in self._listeners:
            listener.close()

    @override
    def _make_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(PacedSelector(self._hurry))

    @override
    async def _serve(self, stopping: asyncio.Event) -> None:
        if self._lab is None:
            return
        loop, journal, rules = asyncio.get_running_loop(), self._journal, self._rules
        loop.set_exception_handler(journal.fault)
        answers = Answers(
            lab=self._lab,
            snapshots=Snapshots(self._facts, self._lab),
            log=self._log,
            journal=journal,
            has_tls=rules.context is not None,
        )
        server = web.Server(answers.answer)
        door = Door(journal, rules.allow, rules.limits, rules.context, last_words=turned_away)

        def make_visit(address: str) -> Visit:
            return Visit(address, Handler(server, loop, journal), self._rules.limits)

        def change(rules: Rules) -> None:
            door.change_rules(rules.allow, rules.limits, rules.context)
            answers.change_rules(self._names(rules), rules.token, rules.limits.handshake_time)

        with self._lock:
            self._change = change
        change(self._rules)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(server.shutdown, LINGER_TIME)
            stack.push_async_callback(door.close)
            stack.callback(answers.streams.close)
            for listener in self._listeners:
                door.open(listener, make_visit)
            await stopping.wait()

    def _names(self, rules: Rules) -> HostNames:
        is_local = all(is_loopback(each.getsockname()[0]) for each in self._listeners)
        own = () if is_local else (self._facts.host.lower(),)
        return HostNames(is_loopback=is_local, names=frozenset({*rules.names, *own}))
