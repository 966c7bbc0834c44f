"""Where clients come in: listening TCP ports, and who gets through.

Addresses and numbers are looked at before anything is spent on a connection, TLS least
of all. A flood of connections gets its turn like everything else in the loop, a few at a
time.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import ListenError
from esploader.server.heap import give_back
from esploader.server.tls_layer import READ_SIZE, TlsLayer
from esploader.transport.network_url import MAX_TCP_PORT
from esploader.transport.refusal import Refusal

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from esploader.server.access import AllowList, Limits
    from esploader.server.guest import Guest
    from esploader.server.journal import Journal

ACCEPTS_PER_TURN: Final = 16
"""How many clients are let in before anything else gets its turn."""

BACKLOG: Final = 128
"""How many clients the system keeps waiting at one TCP port."""

CLOSING_TIME: Final = 0.3
"""For how long clients may take to go when the server ends, in seconds."""

SEND_BUFFER_SIZE: Final = 128 * 1024
"""What the system keeps for a client, in bytes: a fifth of a second of the fastest line, and
not the megabytes that it would give to one that does not read."""

CROWD: Final = 32
"""From how many clients of TLS at once on it is worth giving back what they leave behind. A
handshake takes 40 KiB."""

REST: Final = 0.5
"""For how long nobody is let in when the system has no more descriptors, in seconds."""

SEARCHES: Final = 20
"""How often to look for a TCP port that is free on all addresses."""

ACCESS_DENIED: Final = bytes.fromhex("15 0303 0002 02 31")
"""The alert of TLS (RFC 8446, section 6) that says so: fatal (2), access_denied (49)."""

# A client whose machine vanished must not keep the port for ever.
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}

_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - to tell them from others

_NO_SUCH_ADDRESS: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, and never blocks; port 0 stands for any free one.

    Raises:
        ListenError: it cannot be had.
    """
    if not 0 <= port <= MAX_TCP_PORT:
        raise ListenError(host, f"there is no TCP port {port}", is_taken=False)
    if not host.strip():
        # To the system this is every address that there is.
        reason = "an address to listen on is empty; 0.0.0.0 and :: are all of them"
        raise ListenError("''", reason, is_taken=False)
    if host.lower().startswith("fe80:") and "%" not in host:
        reason = f"each interface may have such an address; say of which: {host}%eth0"
        raise ListenError(format_address((host, port)), reason, is_taken=False)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # Behind "%" is the interface, which a host and a port alone lose on their way.
        address = (
            socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0][4]
            if "%" in host
            else (host, port)
        )
        listener = socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as exc:
        is_taken = exc.errno == errno.EADDRINUSE
        raise ListenError(format_address((host, port)), str(exc), is_taken) from exc
    listener.settimeout(0)
    return listener


def listen_on_all(
    hosts: tuple[str, ...], port: int, optional: frozenset[str]
) -> list[socket.socket]:
    """Return sockets that listen on the same TCP port at every one of ``hosts``.

    An address that this machine does not have is left out where it is ``optional``, unless
    none remains.

    Raises:
        ListenError: as :func:`listen`.
    """
    for search in range(SEARCHES):
        try:
            return _listen_on_all(hosts, port, optional)
        except ListenError as exc:
            # The one that was free here is not free there.
            if port or not exc.is_taken or search == SEARCHES - 1:
                raise
    raise AssertionError


def _listen_on_all(
    hosts: tuple[str, ...], port: int, optional: frozenset[str]
) -> list[socket.socket]:
    listeners: list[socket.socket] = []
    try:
        for number, host in enumerate(hosts, 1):
            try:
                listeners.append(listen(host, port))
            except ListenError as exc:
                is_last_hope = number == len(hosts) and not listeners
                if host not in optional or is_last_hope or not _is_missing(exc):
                    raise
            else:
                port = listeners[-1].getsockname()[1]
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _is_missing(exc: ListenError) -> bool:
    cause = exc.__cause__
    return isinstance(cause, OSError) and cause.errno in _NO_SUCH_ADDRESS


def format_address(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """Return an address as a person writes it."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def format_reachable(host: str, port: int) -> str:
    """Return by what address clients come in: where that is any, by what the machine is called."""
    return format_address((socket.gethostname() if host in _WILDCARDS else host, port))


def as_a_line(words: Refusal) -> bytes:
    """Return what is said to a client of a port that is turned away."""
    return f"{words.value}\r\n".encode()


@define(eq=False)
class Door:
    """Lets clients in. Lives in one loop."""

    _journal: Journal
    _allow: AllowList
    _limits: Limits
    _context: ssl.SSLContext | None = None
    _last_words: Callable[[Refusal], bytes] = attrs.field(default=as_a_line, kw_only=True)
    """What a client is told without TLS, in its language."""

    _listeners: list[socket.socket] = attrs.field(factory=list, init=False)
    _waiting: Counter[str] = attrs.field(factory=Counter, init=False)
    """Connections without a port, by address."""

    _tasks: set[asyncio.Task[None]] = attrs.field(factory=set, init=False)
    _connections: set[Guest] = attrs.field(factory=set, init=False)
    _layers: set[TlsLayer] = attrs.field(factory=set, init=False)
    _most_layers: int = attrs.field(default=0, init=False)
    """How many there were at once since memory was last given back."""

    _buffer: memoryview = attrs.field(
        factory=lambda: memoryview(bytearray(READ_SIZE)), init=False, repr=False
    )
    """Of all layers: the loop fills and empties it before it turns to the next."""

    _all_gone: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    def open(self, listener: socket.socket, make_connection: Callable[[str], Guest]) -> None:
        """Let in who comes by ``listener``, which is ours from now on.

        ``make_connection`` is called with the client's address.
        """
        self._listeners.append(listener)
        loop = asyncio.get_running_loop()
        loop.add_reader(listener, self._accept, listener, make_connection)

    def let_in(self, client: socket.socket, host: str, connection: Guest) -> None:
        """Have a client that comes from ``host`` served, whoever it is."""
        client.settimeout(0)
        with suppress(OSError):
            self._set_up(client)
        self._waiting[host] += 1
        self._connections.add(connection)
        connection.when_settled = lambda: self._settled(host)
        connection.when_gone = lambda: self._gone(connection)
        task = asyncio.get_running_loop().create_task(self._connect(client, connection))
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            failure = None if task.cancelled() else task.exception()
            if failure is not None:
                self._refuse(connection.address, str(failure))
            if failure is not None or task.cancelled():
                # Maybe before it began.
                client.close()
                connection.never_came()

        task.add_done_callback(done)

    def shut(self, listener: socket.socket) -> None:
        """Let nobody in by ``listener`` any more, which is the caller's again."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            asyncio.get_running_loop().remove_reader(listener)

    def change_rules(
        self, allow: AllowList, limits: Limits, context: ssl.SSLContext | None
    ) -> None:
        """Let in whom these say, from now on."""
        self._allow, self._limits, self._context = allow, limits, context

    async def close(self) -> None:
        """Listen no longer, hang up on everybody and wait until they are gone."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.remove_reader(listener)
            listener.close()
        self._listeners.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._connections:
            self._all_gone.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSING_TIME):
                    await self._all_gone.wait()
            for layer in list(self._layers):
                layer.abort()
            for connection in list(self._connections):
                connection.abort()
            await self._all_gone.wait()

    def _accept(self, listener: socket.socket, make_connection: Callable[[str], Guest]) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                client, address = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                self._journal.note("accept-failed", level=logging.WARNING, reason=str(exc))
                if exc.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                    self._rest(listener, make_connection)
                    return
                continue
            self._consider(client, address, make_connection)

    def _rest(self, listener: socket.socket, make_connection: Callable[[str], Guest]) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)

        def go_on() -> None:
            if listener in self._listeners:
                loop.add_reader(listener, self._accept, listener, make_connection)

        loop.call_later(REST, go_on)

    def _consider(
        self,
        client: socket.socket,
        address: tuple[str, int],
        make_connection: Callable[[str], Guest],
    ) -> None:
        host, shown = address[0], format_address(address)
        if not self._allow.allows(host):
            reason, words = "address not allowed", Refusal.STRANGER
        elif self._waiting.total() >= self._limits.connections:
            reason, words = "too many connections", Refusal.CROWDED
        elif self._waiting[host] >= self._limits.connections_per_address:
            reason, words = "too many connections from this address", Refusal.CROWDED
        else:
            self.let_in(client, host, make_connection(shown))
            return
        self._turn_away(client, words)
        self._refuse(shown, reason)

    def _turn_away(self, client: socket.socket, words: Refusal) -> None:
        """Hang up with a word, for which nothing is waited: the client's system takes it or not."""
        client.settimeout(0)
        with suppress(OSError):
            client.send(self._last_words(words) if self._context is None else ACCESS_DENIED)
        client.close()

    async def _connect(self, client: socket.socket, connection: Guest) -> None:
        loop = asyncio.get_running_loop()
        if self._context is None:
            await loop.connect_accepted_socket(lambda: connection, client)
            return
        layer = TlsLayer(
            connection,
            self._context,
            buffer=self._buffer,
            seconds=self._limits.handshake_time,
            on_failure=lambda reason: self._refuse(connection.address, reason),
            on_end=lambda: self._layer_gone(layer, connection),
        )
        self._layers.add(layer)
        self._most_layers = max(self._most_layers, len(self._layers))
        await loop.connect_accepted_socket(lambda: layer, client)

    def _layer_gone(self, layer: TlsLayer, connection: Guest) -> None:
        self._layers.discard(layer)
        connection.never_came()
        if not self._layers and self._most_layers >= CROWD:
            self._most_layers = 0
            # When the last references to this one are gone, too.
            asyncio.get_running_loop().call_soon(give_back)

    def _refuse(self, client: str, reason: str) -> None:
        self._journal.note("refused", level=logging.WARNING, client=client, reason=reason)

    def _settled(self, host: str) -> None:
        self._waiting[host] -= 1
        if not self._waiting[host]:
            del self._waiting[host]

    def _gone(self, connection: Guest) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_gone.set()

    def _set_up(self, client: socket.socket) -> None:
        """Send without delay, and notice when the other end is gone without a word."""
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_SIZE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):
                client.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
