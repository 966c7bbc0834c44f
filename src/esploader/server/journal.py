"""The log of a server: events with fields, and never more of one kind than anybody reads.

A line reads ``client-left port=/dev/ttyUSB0 client=10.0.0.7:41234 seconds=3.2``. Programs
find the same in the record: ``record.event`` and ``record.fields``.
"""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from esploader.classes import define, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esploader.transport.clock import Clock

Field: TypeAlias = str | int | float
"""A float is a time in seconds, or a ratio: three digits behind the point are enough."""

MAX_EVENTS: Final = 50
"""How many of one kind are written within :data:`PERIOD`; the rest is only counted."""

PERIOD: Final = 10.0
"""In seconds."""

MAX_FRAMES: Final = 8
"""How much of a traceback is written."""

_logger = logging.getLogger(__name__)


@frozen
class Entry:
    """An event as it is written."""

    level: int
    """As logging has it."""

    event: str
    """Its kind."""

    text: str
    """All of it, in one line."""


@define
class _Count:
    begun: float
    written: int = 0
    left_out: int = 0


@define
class Journal:
    """Writes events, as many as are good for the reader and the disk."""

    _clock: Clock
    _counts: dict[str, _Count] = attrs.field(factory=dict, init=False)
    listener: Callable[[Entry], None] | None = attrs.field(default=None, init=False)
    """Is called with all that is written, and with what logging would leave out from INFO on."""

    def note(self, event: str, *, level: int = logging.INFO, **fields: Field) -> None:
        """Write an event of the kind ``event``, of which the program has a few dozen."""
        is_heard = self.listener is not None and level >= logging.INFO
        if not is_heard and not _logger.isEnabledFor(level):
            return
        now = self._clock.now()
        count = self._counts.get(event)
        if count is None or now >= count.begun + PERIOD:
            if count is not None and count.left_out:
                self._write("left-out", level, {"event": event, "count": count.left_out})
            count = self._counts[event] = _Count(now)
        if count.written >= MAX_EVENTS:
            count.left_out += 1
            return
        count.written += 1
        self._write(event, level, fields)

    def fault(self, _loop: object, context: Mapping[str, object]) -> None:
        """Write what left a callback of the loop, as the exception handler of the loop.

        Nothing should. What does is kept within the same bounds as everything else.
        """
        exc = context.get("exception")
        if not isinstance(exc, BaseException):
            self.note("fault", level=logging.WARNING, reason=str(context.get("message")))
            return
        frames = traceback.extract_tb(exc.__traceback__)[-MAX_FRAMES:]
        trace = " ".join(f"{Path(each.filename).name}:{each.lineno}" for each in frames)
        self.note("fault", level=logging.WARNING, reason=repr(exc), trace=trace)

    def _write(self, event: str, level: int, fields: dict[str, Field]) -> None:
        text = " ".join([event, *(f"{name}={_shown(value)}" for name, value in fields.items())])
        if self.listener is not None:
            self.listener(Entry(level, event, text))
        _logger.log(level, "%s", text, extra={"event": event, "fields": fields})


def _shown(value: Field) -> str:
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    text = str(value)
    # What a peer said must not end the line, or pass for another field.
    if text.isprintable() and not any(character in text for character in ' "='):
        return text or '""'
    return '"' + text.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'
