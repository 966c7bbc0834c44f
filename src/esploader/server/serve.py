"""Serve a transport to other programs: over RFC 2217, bare TCP, and a pseudo-terminal.

One loop in one thread waits for everything and costs nothing while nothing happens. One
client at a time has the port: a connection while there is one, the pseudo-terminal
otherwise.

There is neither authentication nor encryption, hence the default of listening to this
machine only.
"""

from __future__ import annotations

import enum
import errno
import logging
import selectors
import socket
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from esploader.errors import (
    CapabilityError,
    PortBusyError,
    PortPermissionError,
    ProtocolError,
    TransportError,
    TransportTimeoutError,
)
from esploader.server.client_ends import ClientEnd, ClientGoneError, SocketEnd
from esploader.server.peers import ComPortPeer, RawPeer
from esploader.server.relay import Relay
from esploader.server.served_port import serve_transport

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from esploader.transport.base import Transport

LOOPBACK: Final = "127.0.0.1"
"""The address that only this machine reaches."""

REFUSAL: Final = b"the port is in use by another client\r\n"
"""What a second client gets to read."""

# A client whose machine vanished must not keep the port for ever.
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}

_BIND_ERRORS: Final[dict[int | None, type[TransportError]]] = {
    errno.EADDRINUSE: PortBusyError,
    errno.EACCES: PortPermissionError,
}

SELECTOR_RESOLUTION: Final = 0.001
"""Selectors wait for whole milliseconds, rounded up; what is shorter is slept through."""

MAX_UNREAD_SIZE: Final = 64 * 1024
"""How much of what a refused client said is taken before hanging up, in bytes."""

_logger = logging.getLogger(__name__)


@enum.unique
class _Protocol(enum.Enum):
    """What is spoken on a TCP port; the value is the scheme of its URL."""

    TCP = "socket"
    RFC2217 = "rfc2217"


class Server:
    """Serves one transport, which stays open and the caller's.

    Add front ends, then :meth:`run` here or :meth:`start` in a thread. Used as a context
    manager it stops at the end, and has then closed everything that it opened.
    """

    def __init__(self, transport: Transport) -> None:
        self._port = serve_transport(transport)
        self._relay = Relay(self._port)
        self._listeners: dict[int, tuple[socket.socket, _Protocol]] = {}
        self._pty: ClientEnd | None = None
        self._client: ClientEnd | None = None
        self._selector = selectors.DefaultSelector()
        self._watched: dict[int, int] = {}
        self._stopping = threading.Event()
        self._bell, self._bell_button = socket.socketpair()
        self._bell_button.settimeout(0)
        self._thread: threading.Thread | None = None
        self.failure: TransportError | None = None
        """Why a server in a thread ended by itself, if it did."""

    def listen_rfc2217(self, port: int = 0, *, host: str = LOOPBACK) -> str:
        """Serve RFC 2217 on a TCP port, 0 for any free one; return the URL to use.

        Raises:
            PortBusyError: somebody else has the TCP port.
            PortPermissionError: this user may not have it.
            TransportError: it cannot be had for another reason.
        """
        return self._listen(_Protocol.RFC2217, host, port)

    def listen_tcp(self, port: int = 0, *, host: str = LOOPBACK) -> str:
        """Serve the bare bytes on a TCP port, 0 for any free one; return the URL to use.

        Raises:
            PortBusyError: somebody else has the TCP port.
            PortPermissionError: this user may not have it.
            TransportError: it cannot be had for another reason.
        """
        return self._listen(_Protocol.TCP, host, port)

    def open_pty(self) -> str:
        """Serve the bytes and the baud rate on a pseudo-terminal; return its name.

        Raises:
            CapabilityError: this system has none.
            TransportError: there is no free one.
        """
        if sys.platform == "win32":
            raise CapabilityError(self._port.transport.name, "be served on a pseudo-terminal")
        from esploader.server.pty_client import PtyEnd  # noqa: PLC0415 - POSIX only

        try:
            self._pty = pty = PtyEnd()
        except OSError as exc:
            raise TransportError("pseudo-terminal", str(exc)) from exc
        return pty.path

    def run(self) -> None:
        """Serve until :meth:`stop` is called, by another thread or a signal handler.

        Raises:
            TransportError: the transport failed.
        """
        try:
            while not self._stopping.is_set():
                self._step()
        finally:
            self._hang_up()

    def start(self) -> None:
        """Serve in a thread until :meth:`stop` is called."""
        name = f"server of {self._port.transport.name}"
        self._thread = threading.Thread(target=self._run_in_thread, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Make :meth:`run` return soon. Any thread may call this, and more than once."""
        self._stopping.set()
        with suppress(OSError):
            self._bell_button.send(b"\0")

    def close(self) -> None:
        """Stop, wait for that and close everything but the transport."""
        self.stop()
        if self._thread is not None:
            self._thread.join()
        if self._pty is not None:
            self._pty.close()
            self._pty = None
        for listener, _ in self._listeners.values():
            listener.close()
        self._listeners.clear()
        self._port.close()
        self._selector.close()
        self._bell.close()
        self._bell_button.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _listen(self, protocol: _Protocol, host: str, port: int) -> str:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family)
        except (OSError, OverflowError) as exc:
            number = exc.errno if isinstance(exc, OSError) else None
            error_class = _BIND_ERRORS.get(number, TransportError)
            raise error_class(f"{host}:{port}", f"cannot listen: {exc}") from exc
        listener.settimeout(0)
        self._listeners[listener.fileno()] = (listener, protocol)
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        return f"{protocol.value}://{shown}:{listener.getsockname()[1]}"

    def _run_in_thread(self) -> None:
        try:
            self.run()
        except TransportError as exc:
            self.failure = exc
            _logger.warning("%s", exc)

    def _step(self) -> None:
        """Wait for something to happen and deal with it."""
        relay = self._relay
        if self._client is None and self._pty is not None:
            self._attach(self._pty)
        self._watch_all()
        ready = self._wait(relay.seconds_to_wait)
        for fileno in ready & self._listeners.keys():
            self._accept(*self._listeners[fileno])
        client = self._client
        try:
            if client is not None:
                relay.request(*client.changed_rate())
                if client.fileno() in ready and relay.wants_client:
                    relay.take_in(client.receive())
            relay.pump()
            if client is not None:
                client.flush()
        except (ClientGoneError, ProtocolError) as exc:
            _logger.info("the client left: %s", exc)
            self._hang_up()
        except TransportTimeoutError as exc:
            # The port is stuck. The client would wait for ever: let it know.
            _logger.warning("%s", exc)
            self._hang_up()

    def _watch_all(self) -> None:
        """Tell the selector what matters at this moment."""
        wanted = dict.fromkeys((self._bell.fileno(), *self._listeners), selectors.EVENT_READ)
        client = self._client
        if client is not None:
            reads = selectors.EVENT_READ if self._relay.wants_client else 0
            writes = selectors.EVENT_WRITE if client.peer.output else 0
            wanted[client.fileno()] = reads | writes
        port = self._port.fileno()
        if port is not None and self._relay.wants_port:
            wanted[port] = selectors.EVENT_READ
        for fileno in self._watched.keys() | wanted.keys():
            self._watch(fileno, wanted.get(fileno, 0))

    def _watch(self, fileno: int, events: int) -> None:
        watched = self._watched.get(fileno, 0)
        if events == watched:
            return
        if not events:
            self._selector.unregister(fileno)
            del self._watched[fileno]
            return
        if watched:
            self._selector.modify(fileno, events)
        else:
            self._selector.register(fileno, events)
        self._watched[fileno] = events

    def _wait(self, seconds: float | None) -> set[int]:
        """Wait that long at most, for ever by default; return what became ready."""
        if seconds is not None and 0 < seconds < SELECTOR_RESOLUTION:
            self._port.transport.clock.sleep(seconds)
            seconds = 0.0
        elif seconds is not None:
            seconds -= seconds % SELECTOR_RESOLUTION
        return {key.fd for key, _ in self._selector.select(seconds)}

    def _accept(self, listener: socket.socket, protocol: _Protocol) -> None:
        """Take a new client on, or send it away when there is one already."""
        try:
            connection, address = listener.accept()
        except OSError as exc:
            _logger.info("a client left before it was accepted: %s", exc)
            return
        connection.settimeout(0)
        current = self._client
        if current is not None and current is not self._pty:
            _logger.info("sent %s away", address)
            _refuse(connection)
            return
        _logger.info("%s connected", address)
        if current is not None:
            self._relay.detach()
            self._watch(current.fileno(), 0)
        _set_up(connection)
        if protocol is _Protocol.RFC2217:
            peer = ComPortPeer(str(address), self._port.transport.name, self._port.usb_ids)
            self._attach(SocketEnd(connection, peer))
        else:
            self._attach(SocketEnd(connection, RawPeer(str(address))))

    def _attach(self, client: ClientEnd) -> None:
        self._client = client
        self._relay.attach(client.peer)

    def _hang_up(self) -> None:
        """Let the client go and restore the port; the pseudo-terminal stays open."""
        client, self._client = self._client, None
        if client is None:
            return
        # The number of a closed descriptor is used again: forget it while it is open.
        self._watch(client.fileno(), 0)
        if client is not self._pty:
            client.close()
        self._relay.detach()


def _set_up(connection: socket.socket) -> None:
    """Send without delay, and notice when the other end is gone without a word."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _refuse(connection: socket.socket) -> None:
    """Say why and hang up, without waiting."""
    with suppress(OSError):
        connection.send(REFUSAL)
        connection.shutdown(socket.SHUT_WR)
        # Closing with bytes unread would reset the connection and could lose the text.
        connection.recv(MAX_UNREAD_SIZE)
    connection.close()
