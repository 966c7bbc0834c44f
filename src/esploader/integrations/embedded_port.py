"""The port that pytest-embedded reads from and writes to, over a transport of ours.

Its thread reads what the device says while the test writes, and our transports are for one thread
at a time. So everybody takes turns; who flashes has the port alone for as long as that takes.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, override
from esploader.simulator.url import SCHEME, open_served, parse
from esploader.transport.wrapping import WrappingTransport
from esploader.urlhandler.transport_port import TransportPort
from esploader.urls import open_transport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.transport.base import Transport

TURN: Final = 0.02
"""For how long a reader that waits keeps others from the port, in seconds."""


@define(eq=False, repr=False)
class SharedTransport(WrappingTransport):
    """A transport that several threads use in turns."""

    _turn: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _next: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Keep the others out meanwhile."""
        # Whoever waits has the second lock, so that a reader cannot take turn after turn.
        with self._next:
            self._turn.acquire()
        try:
            yield
        finally:
            self._turn.release()

    @override
    def read(self, deadline: float) -> bytes:
        while True:
            with self.turn():
                now = self.clock.now()
                data = self.inner.read(min(deadline, now + TURN))
            if data or now >= deadline:
                return data

    @override
    def write(self, data: bytes) -> None:
        with self.turn():
            self.inner.write(data)

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        with self.turn():
            self.inner.set_lines(dtr=dtr, rts=rts)

    @override
    def set_baudrate(self, baudrate: int) -> None:
        with self.turn():
            self.inner.set_baudrate(baudrate)

    @override
    def discard_input(self) -> bytes:
        with self.turn():
            return self.inner.discard_input()


class SharedPort(TransportPort):
    """A port of pyserial, by any name or URL that :func:`esploader.connect` takes."""

    shared: SharedTransport

    @override
    def _open_transport(self, url: str) -> Transport:
        # In virtual time a simulated device would say nothing to who only looks.
        is_simulated = url.lower().startswith(f"{SCHEME}://")
        transport = (
            open_served(parse(url), url)
            if is_simulated
            else open_transport(url, baudrate=self.baudrate)
        )
        self.shared = SharedTransport(transport)
        return self.shared

    @contextlib.contextmanager
    def alone(self) -> Iterator[Transport]:
        """Yield the transport, which nobody else uses meanwhile; it stays the port's."""
        with self.shared.turn():
            yield self.shared.inner
