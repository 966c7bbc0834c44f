"""Serve one transport to other programs: over RFC 2217, bare TCP, and a pseudo-terminal.

One client at a time has the port: a connection while there is one, the pseudo-terminal
otherwise. There is neither authentication nor encryption, hence the default of listening
to this machine only; for both see :mod:`esploader.server.port_server`.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from esploader.classes import override
from esploader.errors import CapabilityError, TransportError
from esploader.server.access import AllowList, Limits
from esploader.server.config import LOOPBACK, Protocol
from esploader.server.connection import Connection
from esploader.server.door import Door, format_address, listen
from esploader.server.journal import Journal
from esploader.server.recogniser import ResetPolicy
from esploader.server.runner import Runner
from esploader.server.station import Station
from esploader.transport.clock import RealClock

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from esploader.server.pty_end import PseudoTerminal
    from esploader.transport.base import Transport

SCHEMES: Final = {Protocol.RFC2217: "rfc2217", Protocol.RAW: "socket"}
"""What a URL begins with, by protocol."""


class Server(Runner):
    """Serves one transport, which stays open and the caller's.

    Add front ends, then :meth:`run` here or :meth:`start` in a thread. Used as a context
    manager it stops at the end, and has then closed everything that it opened.
    """

    def __init__(
        self, transport: Transport, *, reopen: Callable[[], Transport] | None = None
    ) -> None:
        """Serve ``transport``.

        ``reopen`` is called when it failed, in a thread, again and again until it returns a
        transport in place of it; it raises :exc:`~esploader.errors.EsploaderError` as long as
        there is none. Without it, a failure is the end.
        """
        super().__init__()
        self._transport = transport
        self._reopen = reopen
        self._listeners: list[tuple[socket.socket, Protocol]] = []
        self._terminal: PseudoTerminal | None = None

    def listen_rfc2217(self, port: int = 0, *, host: str = LOOPBACK[0]) -> str:
        """Serve RFC 2217 on a TCP port, 0 for any free one; return the URL to use.

        Raises:
            ListenError: it cannot be had.
        """
        return self._listen(Protocol.RFC2217, host, port)

    def listen_tcp(self, port: int = 0, *, host: str = LOOPBACK[0]) -> str:
        """Serve the bare bytes on a TCP port, 0 for any free one; return the URL to use.

        Raises:
            ListenError: it cannot be had.
        """
        return self._listen(Protocol.RAW, host, port)

    def open_pty(self) -> str:
        """Serve the bytes and the baud rate on a pseudo-terminal; return its name.

        Raises:
            CapabilityError: this system has none.
            TransportError: there is no free one.
        """
        if sys.platform == "win32":  # no test
            raise CapabilityError(self._transport.name, "be served on a pseudo-terminal")
        from esploader.server.pty_end import PseudoTerminal

        try:
            self._terminal = PseudoTerminal()
        except OSError as exc:
            raise TransportError("pseudo-terminal", str(exc)) from exc
        return self._terminal.path

    @override
    def close(self) -> None:
        """Stop, wait for that and close everything but the transport."""
        super().close()
        if self._terminal is not None:
            self._terminal.close()
            self._terminal = None
        for listener, _ in self._listeners:
            listener.close()
        self._listeners.clear()

    @override
    async def _serve(self, stopping: asyncio.Event) -> None:
        journal = Journal(RealClock())
        asyncio.get_running_loop().set_exception_handler(journal.fault)
        limits = Limits()
        station = Station(self._transport.name, journal=journal, policy=ResetPolicy())
        door = Door(journal, AllowList(), limits)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(door.close)
            stack.push_async_callback(station.close)
            if self._terminal is not None:
                from esploader.server.pty_end import PtyEnd

                station.fallback = PtyEnd(self._terminal, station)
            station.borrow(self._transport, self._fail, self._reopen)
            for listener, protocol in self._listeners:
                make = functools.partial(
                    Connection,
                    station=station,
                    protocol=protocol,
                    limits=limits,
                    journal=journal,
                )
                door.open(listener, make)
            await stopping.wait()

    def _listen(self, protocol: Protocol, host: str, port: int) -> str:
        listener = listen(host, port)
        self._listeners.append((listener, protocol))
        return f"{SCHEMES[protocol]}://{format_address(listener.getsockname())}"
