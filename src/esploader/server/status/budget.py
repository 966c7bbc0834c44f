"""What a loop may take of the processor, whatever is asked of it.

Python runs one thread at a time, so what a status page does is time that transfers do not have. A
loop with a :class:`PacedSelector` rests when it has used up its share. All that it does counts: the
connections that it accepts, handshakes, requests that make no sense. Nobody outside can have it
do more, only wait for longer.
"""

from __future__ import annotations

import selectors
import time
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, override

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

SHARE: Final = 0.03
"""How much of one processor a status page takes in the long run."""

BURST: Final = 0.25
"""How much it may take at once, in seconds of the processor: a page with all that it loads, on a
small machine, too."""


@define
class Budget:
    """Seconds of a processor, which come in at a steady rate up to a limit."""

    share: float = SHARE
    """How much comes in each second."""

    burst: float = BURST
    """How much there may be at most."""

    _wall: Callable[[], float] = time.monotonic
    _used: Callable[[], float] = time.thread_time
    _left: float = attrs.field(init=False)
    _wall_at: float = attrs.field(init=False)
    _used_at: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._left = self.burst
        self._wall_at, self._used_at = self._wall(), self._used()

    def rest(self) -> float:
        """Return for how long to do nothing, in seconds; in the thread whose time counts."""
        wall, used = self._wall(), self._used()
        income = (wall - self._wall_at) * self.share
        self._left = min(self.burst, self._left + income) - (used - self._used_at)
        self._wall_at, self._used_at = wall, used
        return max(0.0, -self._left / self.share)


class PacedSelector(selectors.DefaultSelector):
    """Waits for what happens, and rests before that where more was done than there was time for."""

    def __init__(self, hurry: threading.Event, make_budget: Callable[[], Budget] = Budget) -> None:
        """``hurry`` ends every rest: the loop is to end."""
        super().__init__()
        self._hurry = hurry
        self._make_budget = make_budget
        self._budget: Budget | None = None

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._budget is None:
            # Here, and not where it is made: the time of this thread counts.
            self._budget = self._make_budget()
        rest = self._budget.rest()
        if rest and not self._hurry.is_set():
            # Once: what it takes to wake up is paid for by the next rest, or there were no end.
            self._hurry.wait(rest)
        return super().select(timeout)
