"""From the threads of boards to the one that waits for them: no board waits for who listens."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import attrs

from esploader.classes import define
from esploader.flash.progress import Progress
from esploader.fleet.events import Progressed

if TYPE_CHECKING:
    from esploader.fleet.events import FleetEvent


@define(eq=False)
class _Slot:
    """An event that nobody has taken yet."""

    event: FleetEvent


@define(eq=False)
class Mailbox:
    """Keeps events in order until they are taken.

    Progress overtakes progress: of each board no more than one such event waits, so what waits
    is bounded however slow the one who takes it is.
    """

    _slots: deque[_Slot] = attrs.field(factory=deque, init=False)
    _latest: dict[str, _Slot] = attrs.field(factory=dict, init=False)
    """The progress of each board, if nothing else has happened to it since."""
    _changed: threading.Condition = attrs.field(factory=threading.Condition, init=False)

    def post(self, event: FleetEvent) -> None:
        """Put an event in."""
        is_progress = isinstance(event, Progressed) and isinstance(event.progress, Progress)
        with self._changed:
            waiting = self._latest.get(event.label)
            if is_progress and waiting is not None:
                waiting.event = event
                return
            slot = _Slot(event)
            self._slots.append(slot)
            if is_progress:
                self._latest[event.label] = slot
            else:
                self._latest.pop(event.label, None)
            self._changed.notify_all()

    def take(self, seconds: float) -> list[FleetEvent]:
        """Return all that is there; wait for something for at most so many seconds."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._slots:
                left = deadline - time.monotonic()
                if left <= 0:
                    return []
                self._changed.wait(left)
            found = [slot.event for slot in self._slots]
            self._slots.clear()
            self._latest.clear()
        return found
