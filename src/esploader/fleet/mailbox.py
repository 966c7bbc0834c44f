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
    from collections.abc import Iterable

    from esploader.fleet.events import FleetEvent, OnEvent


def ignore_event(event: object) -> None:
    """Listen to nothing."""


@define(eq=False)
class Listener:
    """Whoever wants to hear of events; one that has failed hears no more of them."""

    _on_event: OnEvent
    _untold: deque[FleetEvent] = attrs.field(factory=deque, init=False)

    def tell(self, events: Iterable[FleetEvent]) -> None:
        """Tell of events, one after the other. Raises what the listener does.

        Those that are left when it is interrupted, as by Ctrl-C, are told the next time.
        """
        self._untold.extend(events)
        try:
            while self._untold:
                self._on_event(self._untold.popleft())
        except Exception:
            self._on_event = ignore_event
            raise


@define(eq=False)
class _Slot:
    """An event that nobody has taken yet."""

    event: FleetEvent


@define(eq=False)
class Mailbox:
    """Keeps events in order until they are taken.

    Progress overtakes progress with the same region: of each board no more waits than one such
    event for each region and phase, so what waits is bounded however slow the one who takes it is.
    """

    _slots: deque[_Slot] = attrs.field(factory=deque, init=False)
    _latest: dict[str, _Slot] = attrs.field(factory=dict, init=False)
    """What has happened last to each board."""
    _changed: threading.Condition = attrs.field(factory=threading.Condition, init=False)

    def post(self, event: FleetEvent) -> None:
        """Put an event in."""
        with self._changed:
            latest = self._latest.get(event.label)
            if latest is not None and _overtakes(event, latest.event):
                latest.event = event
                return
            self._latest[event.label] = slot = _Slot(event)
            self._slots.append(slot)
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


def _overtakes(event: FleetEvent, other: FleetEvent) -> bool:
    """Tell whether ``event`` says all that ``other`` does, which came right before it."""
    if not (isinstance(event, Progressed) and isinstance(other, Progressed)):
        return False
    new, old = event.progress, other.progress
    if not (isinstance(new, Progress) and isinstance(old, Progress)):
        return False
    return (new.phase, new.offset) == (old.phase, old.offset)
