"""What was said last, by a server and by boards, for readers that may be slow.

There is one copy, however many read it. A reader says how far it has come, gets what is new, and
how much of that is gone already: it is never waited for, and nothing is kept for it.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, frozen

if TYPE_CHECKING:
    from esploader.server.journal import Entry

MAX_EVENTS: Final = 500
"""How many events of a server are kept."""

MAX_SIZE: Final = 64 * 1024
"""How much is kept of what a board said, in bytes."""


@frozen
class LoggedEvent:
    """An event in the log of a server."""

    at: dt.datetime
    """In UTC."""

    entry: Entry


@define(eq=False)
class EventLog:
    """The last events of a server. Any thread may write and read."""

    _events: deque[LoggedEvent] = attrs.field(
        factory=lambda: deque(maxlen=MAX_EVENTS), init=False, repr=False
    )
    _count: int = attrs.field(default=0, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def hear(self, entry: Entry) -> None:
        """Take note of an event that happens now."""
        event = LoggedEvent(dt.datetime.now(dt.UTC), entry)
        with self._lock:
            self._events.append(event)
            self._count += 1

    @property
    def beginning(self) -> int:
        """The position in front of the oldest that is kept."""
        with self._lock:
            return self._count - len(self._events)

    def since(self, position: int, limit: int) -> tuple[list[LoggedEvent], int, int]:
        """Return ``limit`` events at most behind a position, how many are missing, the position."""
        with self._lock:
            first = self._count - len(self._events)
            start = max(position, first)
            events = list(islice(self._events, start - first, start - first + limit))
        return events, start - position, start + len(events)


@define(eq=False)
class BoardLog:
    """The last that a board said. Any thread may write and read."""

    _data: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _end: int = attrs.field(default=0, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def hear(self, data: bytes) -> None:
        """Take note of what it says. Is called with all that passes: it has to be quick."""
        with self._lock:
            self._data += data
            self._end += len(data)
            if len(self._data) > 2 * MAX_SIZE:
                # Not each time: it would be a copy of all for every few bytes.
                del self._data[:-MAX_SIZE]

    @property
    def beginning(self) -> int:
        """The position in front of the oldest that is kept."""
        with self._lock:
            return self._first

    @property
    def _first(self) -> int:
        return self._end - min(len(self._data), MAX_SIZE)

    def since(self, position: int, limit: int) -> tuple[bytes, int, int]:
        """Return ``limit`` bytes at most behind a position, how many are missing, the position."""
        with self._lock:
            start = max(position, self._first)
            begin = len(self._data) - (self._end - start)
            data = bytes(self._data[begin : begin + limit])
        return data, start - position, start + len(data)
