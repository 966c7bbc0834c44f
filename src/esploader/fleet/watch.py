"""Ending the work on one board from outside: wherever it is, and no other with it.

Work is interrupted as by Ctrl-C: once, by an exception that nothing recovers from, in whatever
talks to the port or waits. So the device is left as interrupted commands leave theirs. Where the
port itself does not return, it is closed by somebody else.
"""

from __future__ import annotations

import enum
import threading
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, override
from esploader.errors import TransportClosedError
from esploader.transport.clock import Clock, RealClock
from esploader.transport.gated import GatedTransport
from esploader.transport.wrapping import WrappingTransport

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esploader.transport.base import Capabilities, Transport
    from esploader.transport.gated import Item
    from esploader.transport.ports import PortInfo

INTERVAL: Final = 0.2
"""For how long a wait goes on before it is looked whether it is to end, in seconds."""


@enum.unique
class Why(enum.Enum):
    """Why the work on a board ends."""

    CANCELLED = enum.auto()
    TOO_LONG = enum.auto()


class InterruptedWorkError(BaseException):
    """The work on a board is to end.

    As it is no :exc:`Exception`, nobody recovers from it.
    """


@define(eq=False)
class Watch:
    """Sees to it that the work on one board ends when it is to."""

    cancel: threading.Event
    """Somebody wants all to end."""
    time_limit: float | None = None
    """How long the work on the board may take, in seconds."""
    _limits: list[tuple[Clock, float]] = attrs.field(factory=list, init=False)
    """When it has to be over, by each clock: boards in virtual time have one of their own."""
    why: Why | None = attrs.field(default=None, init=False)
    """Why it was interrupted, or its port closed; all that is left is to leave the device."""
    _is_closed: bool = attrs.field(default=False, init=False)
    _transport: Transport | None = attrs.field(default=None, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def check(self, clock: Clock) -> None:
        """Interrupt the work if it is to end, and has not been interrupted yet."""
        if self.why is not None:
            return
        if self.cancel.is_set():
            self._interrupt(Why.CANCELLED)
        if self.time_limit is not None and clock.now() >= self._limit(clock, self.time_limit):
            self._interrupt(Why.TOO_LONG)

    def _limit(self, clock: Clock, seconds: float) -> float:
        for known, moment in self._limits:
            # All real ones are the same.
            if known is clock or (isinstance(known, RealClock) and isinstance(clock, RealClock)):
                return moment
        moment = clock.now() + seconds
        self._limits.append((clock, moment))
        return moment

    def _interrupt(self, why: Why) -> None:
        self.why = why
        raise InterruptedWorkError

    def through(self, transport: Transport) -> Transport:
        """Return ``transport`` watched; it is closed at once when nobody waits for it any more.

        Raises:
            TransportClosedError: it is.
        """
        with self._lock:
            if not self._is_closed:
                self._transport = transport
                return WatchedTransport(transport, self)
        transport.close()
        raise TransportClosedError(transport.name, "nobody waits for this board any more")

    def close(self) -> None:
        """Close the port under whoever uses it, and every other that is opened from now on."""
        if self.why is None:
            self.why = Why.CANCELLED if self.cancel.is_set() else Why.TOO_LONG
        with self._lock:
            self._is_closed = True
            transport = self._transport
        if transport is not None:
            transport.close()


@define
class WatchedClock(Clock):
    """A clock on which nobody sleeps through the end of the work."""

    _inner: Clock
    _watch: Watch

    @override
    def now(self) -> float:
        return self._inner.now()

    @override
    def sleep(self, seconds: float) -> None:
        until = self._inner.now() + seconds
        while True:
            self._watch.check(self._inner)
            left = until - self._inner.now()
            if left <= 0:
                return
            self._inner.sleep(min(left, INTERVAL))


@define(eq=False, repr=False)
class WatchedTransport(WrappingTransport, GatedTransport):
    """Hands everything on, as long as the work is to go on.

    What is sent ahead is handed on, too: nothing is held up or changed here.
    """

    _watch: Watch

    @property
    @override
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    @property
    @override
    def usb_port(self) -> PortInfo | None:
        return self.inner.usb_port

    @property
    @override
    def turnaround(self) -> float:
        return self.inner.turnaround

    @property
    @override
    def clock(self) -> Clock:
        return WatchedClock(self.inner.clock, self._watch)

    @override
    def read(self, deadline: float) -> bytes:
        clock = self.inner.clock
        while True:
            self._watch.check(clock)
            data = self.inner.read(min(deadline, clock.now() + INTERVAL))
            if data or clock.now() >= deadline:
                return data

    @override
    def write(self, data: bytes) -> None:
        self._watch.check(self.inner.clock)
        self.inner.write(data)

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self._watch.check(self.inner.clock)
        self.inner.set_lines(dtr=dtr, rts=rts)

    # What follows is asked for only of a transport whose far end obeys gates.

    @property
    def _gated(self) -> GatedTransport:
        assert isinstance(self.inner, GatedTransport)  # noqa: S101 - capabilities have said so
        return self.inner

    @property
    @override
    def queue_size(self) -> int:
        return self._gated.queue_size

    @property
    @override
    def last_activity(self) -> float:
        return self._gated.last_activity

    @override
    def send_ahead(self, items: Iterable[Item]) -> int:
        self._watch.check(self.inner.clock)
        return self._gated.send_ahead(items)

    @override
    def arm(self) -> bytes:
        return self._gated.arm()

    @override
    def await_settings(self, seconds: float) -> None:
        self._gated.await_settings(seconds)


REAL_CLOCK: Final = RealClock()
"""That of all boards until their ports are open."""
