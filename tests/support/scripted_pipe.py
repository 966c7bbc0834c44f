"""A connection whose other end is a test: it answers what it likes, in virtual time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

import attrs

from esploader.errors import TransportClosedError
from esploader.transport.clock import VirtualClock
from esploader.transport.telnet import TelnetDecoder

if TYPE_CHECKING:
    from esploader.transport.telnet import TelnetEvent


class Answerer(Protocol):
    """Says what the other end sends back to one event."""

    def __call__(self, event: TelnetEvent) -> bytes:
        """Return the answer to ``event``."""


@attrs.define
class ScriptedPipe:
    """A pipe without latency; what ``answer`` returns arrives at once."""

    answer: Answerer
    clock: VirtualClock = attrs.field(factory=VirtualClock)
    name: str = "scripted"
    connect_time: float = 0.0
    write_timeout: float = 10.0
    received: list[TelnetEvent] = attrs.field(factory=list)
    """What came from the client, in order."""

    flights: list[bytes] = attrs.field(factory=list)
    """The same as it travelled."""

    coming: deque[tuple[float, bytes]] = attrs.field(factory=deque)
    """What the client gets, and when."""

    is_closed: bool = False
    _decoder: TelnetDecoder = attrs.field(factory=TelnetDecoder)

    def fileno(self) -> int:
        """Return none: there is nothing to wait for."""
        return -1

    def say(self, data: bytes, *, after: float = 0.0) -> None:
        """Have ``data`` arrive at the client, later than everything before."""
        self.coming.append((self.clock.now() + after, data))

    def receive(self, deadline: float) -> bytes:
        if self.is_closed:
            raise TransportClosedError(self.name, "closed")
        if self.coming and self.coming[0][0] <= max(deadline, self.clock.now()):
            moment, data = self.coming.popleft()
            self.clock.advance_to(moment)
            return data
        self.clock.advance_to(deadline)
        return b""

    def send(self, data: bytes) -> None:
        if self.is_closed:
            raise TransportClosedError(self.name, "closed")
        self.flights.append(data)
        for event in self._decoder.feed(data):
            self.received.append(event)
            if answer := self.answer(event):
                self.say(answer)

    def close(self) -> None:
        self.is_closed = True
