"""Byte pipes over TCP: what ``socket://`` and ``rfc2217://`` share, and ``socket://`` itself."""

from __future__ import annotations

import errno
import logging
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, override
from esploader.errors import (
    HostUnreachableError,
    TransportClosedError,
    TransportError,
    TransportTimeoutError,
)
from esploader.transport.base import DEFAULT_BAUDRATE, Capabilities, Transport
from esploader.transport.clock import Clock, RealClock
from esploader.transport.network_url import NetworkUrl, parse_network_url
from esploader.transport.pipe import WRITE_TIMEOUT, drain
from esploader.transport.refusal import MAX_WORDS, parting, refusal
from esploader.transport.wait import wait_readable, wait_writable

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_TIMEOUT: Final = 10.0
"""For how long all addresses of a host together may stay silent, in seconds."""

CLOSE_TIMEOUT: Final = 0.2
"""For how long the other end may take to say good-bye too, in seconds."""

READ_SIZE: Final = 64 * 1024
"""How much one read takes at most, in bytes."""

_logger = logging.getLogger(__name__)

_SOCKET_OPTIONS: Final = frozenset({"logging"})

_CLOSED_ERRNOS: Final = frozenset(
    {
        errno.EBADF,
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ENOTCONN,
        errno.EPIPE,
        errno.ESHUTDOWN,
        errno.ETIMEDOUT,
    }
)


@define(eq=False)
class TcpPipe:
    """A connected TCP socket that keeps deadlines.

    Reading in one thread while another one writes is allowed; the deadline of neither
    is a state of the socket.
    """

    name: str
    """What error messages call it."""

    clock: Clock
    """The clock of the deadlines; it has to keep real time."""

    _socket: socket.socket

    connect_time: float = 0.0
    """How long the TCP handshake took, in seconds: one round trip, unless a relay near
    by answered in place of the host."""

    write_timeout: float = WRITE_TIMEOUT
    """For how long the other end may accept not a single byte, in seconds."""

    @classmethod
    def connect(cls, url: NetworkUrl, clock: Clock) -> TcpPipe:
        """Connect, trying one address of the host after the other.

        The time that the resolver takes is not bounded: no portable interface has a
        timeout for it.

        Raises:
            HostUnreachableError: no address accepted within :data:`CONNECT_TIMEOUT`.
        """
        try:
            # To encode what is ASCII, the resolver's own way loads tables of all of Unicode.
            host = url.host.encode() if url.host.isascii() else url.host
            addresses = socket.getaddrinfo(host, url.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            raise HostUnreachableError(url.url, f"cannot resolve {url.host!r}: {exc}") from exc
        deadline = clock.now() + CONNECT_TIMEOUT
        refusal = OSError("it has no address")
        for index, (family, kind, protocol, _, address) in enumerate(addresses):
            started = clock.now()
            # A fair share of what is left: one dead address must not use up all of it.
            share = max(0.1, (deadline - started) / (len(addresses) - index))
            try:
                connected = _connect(socket.socket(family, kind, protocol), address, share)
            except OSError as exc:
                refusal = exc
                continue
            return cls(url.url, clock, connected, clock.now() - started)
        raise HostUnreachableError(url.url, f"cannot connect: {refusal}") from refusal

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._socket.fileno()

    def receive(self, deadline: float) -> bytes:
        """Return what has arrived, at once; wait for it until ``deadline``.

        Raises:
            TransportClosedError: the other end closed the connection, or we did.
        """
        with self._errors():
            while True:
                try:
                    data = self._socket.recv(READ_SIZE)
                except (BlockingIOError, InterruptedError):
                    remaining = deadline - self.clock.now()
                    if remaining <= 0 or not wait_readable(self._socket.fileno(), remaining):
                        return b""
                    continue
                if not data:
                    raise TransportClosedError(self.name, "the other end closed the connection")
                return data

    def send(self, data: bytes) -> None:
        """Send all of ``data``.

        Raises:
            TransportTimeoutError: not a byte was accepted for ``write_timeout``.
            TransportClosedError: the other end closed the connection, or we did.
        """
        with self._errors():
            unsent = memoryview(data)
            while unsent:
                try:
                    unsent = unsent[self._socket.send(unsent) :]
                except (BlockingIOError, InterruptedError):
                    if not wait_writable(self._socket.fileno(), self.write_timeout):
                        reason = f"no byte was accepted for {self.write_timeout:g} s"
                        raise TransportTimeoutError(self.name, reason) from None

    def close(self) -> None:
        """Say good-bye, wait shortly for the answer and release the socket.

        Closing at once with bytes unread would reset the connection, and what the other
        end had not read yet (the release of a line, say) could be lost with it.
        """
        if self._socket.fileno() < 0:
            return
        deadline = self.clock.now() + CLOSE_TIMEOUT
        with suppress(OSError, TransportError):
            self._socket.shutdown(socket.SHUT_WR)
            while self.clock.now() < deadline and self.receive(deadline):
                pass
        with suppress(OSError):
            self._socket.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as exc:  # ValueError: the descriptor is -1 by now
            closed = isinstance(exc, ValueError) or exc.errno in _CLOSED_ERRNOS
            error_class = TransportClosedError if closed else TransportError
            raise error_class(self.name, str(exc)) from exc


def parse_socket_url(url: str) -> NetworkUrl:
    """Read ``socket://host:port[/][?logging=LEVEL]``. Raises as :func:`parse_network_url`."""
    return parse_network_url(url, "socket", _SOCKET_OPTIONS)


def _connect(
    unconnected: socket.socket, address: tuple[str | int, ...] | tuple[int, bytes], timeout: float
) -> socket.socket:
    """Return the socket, connected and never blocking; close it when that fails."""
    try:
        unconnected.settimeout(timeout)
        unconnected.connect(address)
        # A request must not wait for the acknowledgement of the one before.
        unconnected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        unconnected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        unconnected.settimeout(0)
    except OSError:
        unconnected.close()
        raise
    return unconnected


@define(eq=False, repr=False)
class SocketTransport(Transport):
    """A byte pipe through a bare TCP connection: no lines, no baud rate.

    Reading in one thread while another one writes is allowed.
    """

    _pipe: TcpPipe
    _first: bytes | None = attrs.field(default=b"", init=False)
    """What came first, which may be why the other end is about to hang up; ``None`` once it is
    more than that."""
    _last: bytes = attrs.field(default=b"", init=False)
    """What came last, which may be why the other end has hung up."""
    _unread: bytes = attrs.field(default=b"", init=False)
    """What a write has found that failed."""

    @classmethod
    def open(cls, url: str) -> SocketTransport:
        """Connect to ``socket://host:port[/][?logging=LEVEL]``.

        ``logging`` is the level at which opening and closing are logged.

        Raises:
            UrlError: the URL is malformed.
            HostUnreachableError: the host did not accept.
        """
        parsed = parse_socket_url(url)
        log_level = parsed.log_level()
        pipe = TcpPipe.connect(parsed, RealClock())
        if log_level is not None:
            _logger.log(log_level, "%s: connected in %.4f s", url, pipe.connect_time)
        return cls(pipe)

    @property
    @override
    def name(self) -> str:
        return self._pipe.name

    @property
    @override
    def capabilities(self) -> Capabilities:
        return Capabilities(
            set_lines=False, set_lines_at_once=False, set_baudrate=False, remote=True
        )

    @property
    @override
    def clock(self) -> Clock:
        return self._pipe.clock

    @property
    @override
    def baudrate(self) -> int:
        """The rate that a loader starts with: whoever has the port keeps the real one."""
        return DEFAULT_BAUDRATE

    @property
    @override
    def round_trip(self) -> float:
        return self._pipe.connect_time

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._pipe.fileno()

    @override
    def read(self, deadline: float) -> bytes:
        """Return what has arrived, at once; wait for it until ``deadline``.

        Raises:
            TransportClosedError: the other end closed the connection, or we did.
            TransportError: it closed it after it has said why: as a port that is in use, is not
                there, or may not be opened.
            PortTakenOverError: somebody else has taken the port over.
        """
        unread, self._unread = self._unread, b""
        if unread:
            return unread
        with self._closing():
            return self._keep(self._pipe.receive(deadline))

    @override
    def write(self, data: bytes) -> None:
        """Send all of ``data``. Raises as :meth:`read`, and when the pipe takes nothing."""
        with self._closing():
            try:
                self._pipe.send(data)
            except TransportClosedError:
                # Whoever closed it may have said why.
                with suppress(TransportError):
                    self._unread += self._keep(drain(self._pipe))
                raise

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self.require_lines()

    @override
    def set_baudrate(self, baudrate: int) -> None:
        self.require_baudrate()

    @override
    def discard_input(self) -> bytes:
        unread, self._unread = self._unread, b""
        with self._closing():
            return unread + self._keep(drain(self._pipe))

    @override
    def close(self) -> None:
        self._pipe.close()

    def _keep(self, data: bytes) -> bytes:
        """Keep what comes first, and what comes last; return all of it."""
        self._last = (self._last + data)[-MAX_WORDS:]
        if self._first is not None:
            first = self._first + data
            self._first = first if len(first) <= MAX_WORDS else None
        return data

    @contextmanager
    def _closing(self) -> Iterator[None]:
        """Have the end of a connection mean what the other end said before."""
        try:
            yield
        except TransportClosedError as exc:
            known = refusal(self.name, self._first or b"") or parting(self.name, self._last)
            if known is None:
                raise
            raise known from exc
