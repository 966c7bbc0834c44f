"""Have the loop call again: when a descriptor has something to say, or when it is time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs

from esploader.classes import define

if TYPE_CHECKING:
    from collections.abc import Callable


@define(eq=False)
class WakeUp:
    """One descriptor and one moment at a time. Lives in one loop."""

    wake: Callable[[], object]
    _loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop, init=False)
    _watched: int | None = attrs.field(default=None, init=False)
    _timer: asyncio.Handle | None = attrs.field(default=None, init=False)

    def watch(self, fileno: int | None) -> None:
        """Call when this descriptor has something to say; ``None`` for none."""
        if fileno == self._watched:
            return
        if self._watched is not None:
            self._loop.remove_reader(self._watched)
        self._watched = fileno
        if fileno is not None:
            self._loop.add_reader(fileno, self.wake)

    def call_after(self, seconds: float | None) -> None:
        """Call after this time and not at the one that was set before; ``None`` for never."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is None:
            return
        if seconds <= 0:
            self._timer = self._loop.call_soon(self.wake)
        else:
            self._timer = self._loop.call_later(seconds, self.wake)
