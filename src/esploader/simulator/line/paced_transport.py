"""A simulated device in virtual time that takes as long as a real one, for people who look on."""

from __future__ import annotations

from typing import Final

import attrs

from esploader.classes import define, frozen, override
from esploader.simulator.line.transport import SimulatedTransport
from esploader.transport.clock import Clock, RealClock
from esploader.transport.wrapping import WrappingTransport

_MOST_AHEAD: Final = 0.01
"""By how much virtual time may be ahead, in seconds: to sleep for each byte would take longer."""


@frozen
class PacedClock(Clock):
    """Tells virtual time, and lets both kinds of it pass."""

    virtual: Clock
    real: Clock = attrs.field(factory=RealClock)

    @override
    def now(self) -> float:
        return self.virtual.now()

    @override
    def sleep(self, seconds: float) -> None:
        self.real.sleep(seconds)
        self.virtual.sleep(seconds)


@define(eq=False, repr=False)
class PacedTransport(WrappingTransport[SimulatedTransport]):
    """A line to a simulated device on which what takes time is waited for."""

    _real: Clock = attrs.field(factory=RealClock)
    _clock: PacedClock = attrs.field(init=False)
    _ahead: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._clock = PacedClock(self.inner.clock, self._real)

    @property
    @override
    def clock(self) -> Clock:
        return self._clock

    @override
    def read(self, deadline: float) -> bytes:
        start = self.inner.clock.now()
        data = self.inner.read(deadline)
        self._ahead += self.inner.clock.now() - start
        if not data or self._ahead > _MOST_AHEAD:
            self._real.sleep(self._ahead)
            self._ahead = 0.0
        return data
