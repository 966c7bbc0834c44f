"""Carry bytes and settings between one port and one client at a time, in order."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from esploader.server.port_settings import PortSettings
from esploader.transport.com_port import Code, Purge, Setting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esploader.server.clients import Client, Request
    from esploader.server.served_port import ServedPort

WRITE_SIZE: Final = 1024
"""How much is handed to the port before anything else gets its turn, in bytes: 90 ms of a
line at 115200 baud, in which the receive buffers of the port do not overflow."""

MAX_PENDING_SIZE: Final = 64 * 1024
"""How much may wait for the port, in bytes, before the client is no longer read."""


class Relay:
    """The traffic between a port and whichever client is attached.

    Bytes and settings of the client reach the port in the order in which they were
    sent; a purge of the transmit buffer alone overtakes, and takes the bytes with it.
    """

    def __init__(self, port: ServedPort) -> None:
        self._port = port
        self._settings = PortSettings(port)
        self._pending: deque[Request] = deque()
        self._pending_size = 0
        self.client: Client | None = None
        """The attached client."""

    @property
    def wants_client(self) -> bool:
        """More may be taken from the client."""
        return self._pending_size < MAX_PENDING_SIZE

    @property
    def wants_port(self) -> bool:
        """More may be taken from the port."""
        return self.client is not None and self.client.can_take

    @property
    def seconds_to_wait(self) -> float | None:
        """After how long :meth:`pump` has something to do by itself; ``None`` for never."""
        if self._pending:
            return 0.0
        waits = (
            self._settings.lines.seconds_to_wait(),
            self._port.seconds_to_wait() if self.wants_port else None,
        )
        return min((each for each in waits if each is not None), default=None)

    def attach(self, client: Client) -> None:
        """Relay between the port and ``client`` from now on.

        What the port said while nobody listened is not for it.
        """
        self._port.discard_input()
        self.client = client

    def detach(self) -> None:
        """Let the client go, with what it still wanted, and restore the port."""
        self.client = None
        self._pending.clear()
        self._pending_size = 0
        self._settings.restore()

    def take_in(self, requests: Iterable[Request]) -> None:
        """Take over what the client wants."""
        for request in requests:
            if isinstance(request, bytes):
                self._pending_size += len(request)
            elif request.code is Code.PURGE_DATA and request.value in {
                Purge.TRANSMIT,
                Purge.BOTH,
            }:
                self._purge_pending()
            self._pending.append(request)

    def pump(self) -> None:
        """Move one piece towards the port, and what has arrived towards the client.

        Raises:
            TransportError: the port failed.
            ClientGoneError: the client is gone.
        """
        self._settings.lines.settle_in_time()
        if self._pending:
            self._advance(self._pending.popleft())
        if self.client is not None and self.client.can_take:
            data = self._port.read()
            if data:
                self.client.send(data)

    def _advance(self, request: Request) -> None:
        if isinstance(request, Setting):
            answer = self._settings.apply(request)
            if self.client is not None:
                self.client.answer(answer)
            return
        self._settings.lines.settle()
        piece, rest = request[:WRITE_SIZE], request[WRITE_SIZE:]
        if rest:
            self._pending.appendleft(rest)
        self._pending_size -= len(piece)
        self._port.transport.write(piece)

    def _purge_pending(self) -> None:
        self._pending = deque(each for each in self._pending if isinstance(each, Setting))
        self._pending_size = 0
