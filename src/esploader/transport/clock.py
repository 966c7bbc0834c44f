"""Time, as something that can be passed in.

Nothing in this package asks the operating system for the time or sleeps by itself: it
asks the :class:`Clock` of the transport. A simulated device brings a
:class:`VirtualClock`, and the same code runs through an hour in a moment, exactly.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

import attrs

from esploader.classes import define, frozen, override

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock(Protocol):
    """A source of time that can also wait."""

    def now(self) -> float:
        """Return the time in seconds, from an arbitrary but fixed origin."""

    def sleep(self, seconds: float) -> None:
        """Wait until ``seconds`` have passed; not at all when that is negative."""


@frozen
class RealClock(Clock):
    """The clock of this machine, unaffected by changes of the date."""

    @override
    def now(self) -> float:
        return time.monotonic()

    @override
    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


@define
class VirtualClock(Clock):
    """A clock that moves only when told, and then at once."""

    _now: float = 0.0

    watchers: list[Callable[[float], None]] = attrs.field(factory=list, init=False, repr=False)
    """Each is told of every moment that is reached, so that it does what is due by then."""

    @override
    def now(self) -> float:
        return self._now

    @override
    def sleep(self, seconds: float) -> None:
        self.advance_to(self._now + seconds)

    def advance_to(self, moment: float) -> None:
        """Move on to ``moment``; stay when it has passed already."""
        self._now = max(self._now, moment)
        for watcher in self.watchers:
            watcher(self._now)
