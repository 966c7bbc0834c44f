"""Threads for boards: one each, ended in time, or left behind where one does not end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import attrs

from esploader.classes import define, frozen
from esploader.fleet.events import Ended
from esploader.fleet.job import require_real
from esploader.fleet.recording import recorded
from esploader.fleet.watch import REAL_CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.fleet.board import Board
    from esploader.fleet.events import FleetEvent
    from esploader.fleet.record import Record
    from esploader.fleet.results import BoardResult


@frozen(kw_only=True)
class Patience:
    """How long a board may take to end that is interrupted, in seconds."""

    leaving: float = 10.0
    """To leave its device; then its port is closed."""
    closing: float = 5.0
    """For its thread to end after that; then it is left behind."""

    def check(self) -> None:
        """Refuse times that make no sense.

        Raises:
            ConfigError: one makes none.
        """
        require_real("patience.leaving", self.leaving, 0.0)
        require_real("patience.closing", self.closing, 0.0)


@define(eq=False)
class Hand:
    """A thread that works on one board."""

    board: Board
    _record: Record | None
    _post: Callable[[FleetEvent], None]
    _patience: Patience
    result: BoardResult | None = attrs.field(default=None, init=False)
    """What became of the board; ``None`` as long as it is worked on."""
    ended: threading.Event = attrs.field(factory=threading.Event, init=False)
    """Set when there is a result."""
    _is_known: bool = attrs.field(default=False, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _due: float | None = attrs.field(default=None, init=False)
    """When the port is closed under it."""
    _closed_at: float | None = attrs.field(default=None, init=False)

    def start(self) -> None:
        """Begin the work."""
        limit = self.board.watch.time_limit
        if limit is not None:
            self._due = REAL_CLOCK.now() + limit + self._patience.leaving
        threading.Thread(target=self._run, name=self.board.job.name, daemon=True).start()

    def _run(self) -> None:
        self._end(self.board.run())

    def _end(self, result: BoardResult) -> None:
        """Write down what became of the board, and say it: whoever knows it first."""
        with self._lock:
            if self._is_known:
                return
            self._is_known = True
        self.result = result = recorded(result, self._record)
        self.ended.set()
        self._post(Ended(label=result.label, result=result))

    def hurry(self) -> None:
        """Close the port soon, unless the thread ends before: somebody wants all to end."""
        due = REAL_CLOCK.now() + self._patience.leaving
        self._due = due if self._due is None else min(self._due, due)

    def look(self) -> None:
        """Close the port of a board that takes too long, and leave behind a thread that hangs."""
        now = REAL_CLOCK.now()
        if self._is_known or self._due is None or now < self._due:
            return
        if self._closed_at is None:
            self._closed_at = now
            # To close a port may hang, too, where its driver does.
            threading.Thread(target=self.board.watch.close, daemon=True).start()
        elif now >= self._closed_at + self._patience.closing:
            self._end(self.board.left_behind())
