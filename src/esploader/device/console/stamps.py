"""The time in front of each line."""

from __future__ import annotations

import datetime as dt
import enum
import re
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define

if TYPE_CHECKING:
    from collections.abc import Callable

_LINE_START: Final = re.compile(r"^(?=.)", re.MULTILINE | re.DOTALL)


@enum.unique
class Timestamps(enum.Enum):
    """What stands in front of a line."""

    NONE = "none"
    """Nothing."""

    RELATIVE = "relative"
    """How long ago the first byte was waited for, in seconds."""

    ABSOLUTE = "absolute"
    """Date and time of day, as clocks on the wall have it, to the millisecond."""


def local_time() -> dt.datetime:
    """Return the date and the time of day here."""
    return dt.datetime.now().astimezone()


@define(eq=False)
class LineStamper:
    """Puts into a text, as it comes, the time at which each line began."""

    kind: Timestamps
    _now: Callable[[], float]
    """The time in seconds, from any origin."""
    _wall: Callable[[], dt.datetime] = local_time
    _start: float = attrs.field(init=False)
    _in_line: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._start = self._now()

    def feed(self, text: str) -> str:
        """Return ``text`` with what belongs in front of its lines."""
        if not text:
            return text
        was_in_line, self._in_line = self._in_line, not text.endswith("\n")
        if self.kind is Timestamps.NONE:
            return text
        stamp = self._stamp()
        first, newline, others = text.partition("\n")
        others = _LINE_START.sub(lambda _: stamp, others) if others else ""
        return f"{'' if was_in_line else stamp}{first}{newline}{others}"

    def _stamp(self) -> str:
        if self.kind is Timestamps.RELATIVE:
            return f"[{self._now() - self._start:10.3f}] "
        return f"[{self._wall().isoformat(sep=' ', timespec='milliseconds')[:23]}] "
