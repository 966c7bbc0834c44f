"""A stand-in for a port: bytes go to a test, which sees and decides everything."""

from __future__ import annotations

import queue
import socket
from typing import TypeAlias

from typing_extensions import override

from esploader.errors import TransportClosedError, TransportError
from esploader.transport.base import Capabilities, Transport
from esploader.transport.clock import Clock, RealClock
from esploader.transport.wait import wait_readable

Happening: TypeAlias = tuple[str, object]

PATIENCE = 10.0
"""When a test gives up, in seconds; nothing that works takes a fraction of it."""

IMPOSSIBLE_RATE = 666


class FakeTransport(Transport):
    """A port whose other end is the socket ``device``, and which records what happens to it.

    It refuses :data:`IMPOSSIBLE_RATE`.
    """

    def __init__(self, *, set_lines: bool = True, set_lines_at_once: bool = False) -> None:
        self._end, self.device = socket.socketpair()
        self.device.settimeout(PATIENCE)
        self.happenings: queue.SimpleQueue[Happening] = queue.SimpleQueue()
        self._baudrate = 115200
        self._capabilities = Capabilities(
            set_lines=set_lines, set_lines_at_once=set_lines_at_once, set_baudrate=True
        )

    def happened(self, count: int) -> list[Happening]:
        """Wait for ``count`` happenings and return them."""
        return [self.happenings.get(timeout=PATIENCE) for _ in range(count)]

    @property
    @override
    def name(self) -> str:
        return "fake"

    @property
    @override
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    @override
    def clock(self) -> Clock:
        return RealClock()

    @property
    @override
    def baudrate(self) -> int:
        return self._baudrate

    @override
    def read(self, deadline: float) -> bytes:
        if not wait_readable(self._end.fileno(), deadline - self.clock.now()):
            return b""
        data = self._end.recv(65536)
        if not data:
            raise TransportClosedError(self.name, "unplugged")
        return data

    @override
    def write(self, data: bytes) -> None:
        self._end.sendall(data)

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self.require_lines()
        self.happenings.put(("lines", (dtr, rts)))

    @override
    def set_baudrate(self, baudrate: int) -> None:
        if baudrate == IMPOSSIBLE_RATE:
            raise TransportError(self.name, "no such rate")
        self._baudrate = baudrate
        self.happenings.put(("baudrate", baudrate))

    @override
    def discard_input(self) -> bytes:
        data = self.read(0.0)
        self.happenings.put(("discarded", data))
        return data

    @override
    def close(self) -> None:
        self._end.close()
        self.device.close()


class WatchedTransport(FakeTransport):
    """The same with a descriptor to watch."""

    def fileno(self) -> int:
        return self._end.fileno()


class PunctualTransport(FakeTransport):
    """A device that answers each byte with its complement, a moment later, and knows when."""

    DELAY = 0.002

    def __init__(self) -> None:
        super().__init__()
        self._answer = b""
        self._due: float | None = None

    def next_event(self) -> float | None:
        return self._due

    @override
    def read(self, deadline: float) -> bytes:
        if self._due is None or self.clock.now() < self._due:
            return b""
        answer, self._answer, self._due = self._answer, b"", None
        return answer

    @override
    def write(self, data: bytes) -> None:
        self._answer += bytes(byte ^ 0xFF for byte in data)
        self._due = self.clock.now() + self.DELAY
