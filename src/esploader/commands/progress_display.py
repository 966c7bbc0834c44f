"""Show how far a long command is: a bar for people, lines for logs, JSON for programs.

Nothing here prints: each display writes to the stream that it is given. rich (extra
``[cli]``), which draws the bar, is loaded when there is a terminal to draw it on.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final, Protocol, TextIO

import attrs

from esploader.progress import Phase, Progress, ProgressEvent, Restarted

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

FRAME_TIME: Final = 0.1
"""How long a bar stays as it is at least, in seconds."""

STEPS: Final = 10
"""How many lines a region is worth."""

_VERBS: Final = {
    Phase.ERASE: "Erasing",
    Phase.WRITE: "Writing",
    Phase.READ: "Reading",
    Phase.VERIFY: "Verifying",
}


class Display(Protocol):
    """Shows events."""

    def show(self, event: ProgressEvent) -> None:
        """Show one more event."""

    def end(self) -> None:
        """Let somebody else write below what is shown."""


class Lines:
    """A line for each tenth of a region, in the words that tools parse."""

    def __init__(self, line: Callable[[str], None]) -> None:
        self._line = line
        self._step: tuple[Phase, int, int] | None = None

    def show(self, event: ProgressEvent) -> None:
        """Print a line, if there is enough to tell."""
        if isinstance(event, Restarted):
            self._step = None
            return
        step = (event.phase, event.offset, STEPS * event.done // event.total)
        is_new = self._step is None or self._step[:2] != step[:2]
        if step != self._step and not _is_nothing_to_draw(event, is_new=is_new):
            self._step = step
            self._line(f"{_position(event)}... ({100 * event.done // event.total} %)")

    def end(self) -> None:
        """Do nothing: a line is over when it is printed."""


class JsonLines:
    """Every event as one JSON object, on a line of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, event: ProgressEvent) -> None:
        """Write the event."""
        document = attrs.asdict(event)
        if isinstance(event, Progress):
            document = {"event": "progress", **document, "phase": event.phase.value}
        else:
            document = {"event": "restart", **document}
        self._stream.write(json.dumps(document) + "\n")
        self._stream.flush()

    def end(self) -> None:
        """Do nothing: a line is over when it is written."""


@attrs.frozen
class _Task:
    """What a bar is drawn for."""

    phase: Phase
    offset: int
    bar: RichProgress
    id: TaskID


class Bar:
    """A bar with the rate and the time left, at the bottom of a terminal.

    ``now`` tells the time in seconds.
    """

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._now = now
        self._task: _Task | None = None
        self._next_frame = 0.0

    def show(self, event: ProgressEvent) -> None:
        """Draw the bar anew, unless that was just done.

        After a restart, and for each region, there is another bar, whose rate is its own.
        """
        if isinstance(event, Restarted):
            self.end()
            return
        task = self._task
        is_new = task is None or (task.phase, task.offset) != (event.phase, event.offset)
        if _is_nothing_to_draw(event, is_new=is_new):
            return
        if task is None or is_new:
            self.end()
            # Known before anything is drawn: Ctrl-C may come meanwhile.
            task = self._task = self._new_task(event)
            task.bar.start()
        task.bar.update(task.id, completed=event.done, description=_position(event))
        now = self._now()
        if now >= self._next_frame or event.done == event.total:
            self._next_frame = now + FRAME_TIME
            task.bar.refresh()

    def end(self) -> None:
        """Leave the bar as it is now, and go to the next line."""
        if self._task is not None:
            self._task.bar.stop()
            self._task = None

    def _new_task(self, event: Progress) -> _Task:
        from rich import progress

        bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=None),
            progress.TaskProgressColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            console=self._console,
            # No thread of its own, and hands off what others write.
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            get_time=self._now,
        )
        task_id = bar.add_task(_position(event), total=event.total, completed=event.done)
        return _Task(event.phase, event.offset, bar, task_id)


def bar_on(stream: TextIO, now: Callable[[], float] = time.monotonic) -> Bar | None:
    """Return a bar on ``stream``; None if that is no terminal able to move its cursor.

    None, too, where rich is not installed.
    """
    if not stream.isatty():
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    console = Console(file=stream)
    return None if console.is_dumb_terminal else Bar(console, now)


def _is_nothing_to_draw(event: Progress, *, is_new: bool) -> bool:
    """Tell whether nobody had to wait for this: the check of what was just written."""
    is_at_once = event.phase is Phase.VERIFY and is_new and event.done == event.total
    return event.phase not in _VERBS or is_at_once


def _position(event: Progress) -> str:
    return f"{_VERBS[event.phase]} at {event.offset + event.done:#010x}"
