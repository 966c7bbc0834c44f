"""Show how far a long command is: a bar for people, lines for logs, JSON for programs.

Nothing here prints: each display writes to the stream that it is given. rich (extra
``[cli]``), which draws the bar, is loaded when there is a terminal to draw it on.
"""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol, TextIO

import attrs

from esploader.classes import frozen
from esploader.flash.progress import Phase, Progress, ProgressEvent, Restarted

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import Task, TaskID

FRAME_TIME: Final = 0.1
"""How long a bar stays as it is at least, in seconds."""

ROOM_FOR_ECHO: Final = 8
"""Columns that a bar leaves free. The terminal echoes Ctrl-C there, as two characters: behind the
last column they would go to the next line, and so would the next frame."""

CLEAR_LINE: Final = "\r\x1b[2K"

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


@frozen
class _Task:
    """What a bar is drawn for."""

    phase: Phase
    offset: int
    bar: RichProgress
    id: TaskID


class Bar:
    """A bar with the rate and the time left, at the bottom of a terminal.

    Each frame is one write that begins by clearing the line: whatever interrupts the drawing, the
    next frame takes the place of the one before. ``now`` tells the time in seconds.
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
            task = self._task = self._new_task(event)
        task.bar.update(task.id, completed=event.done, description=_position(event))
        now = self._now()
        if is_new or now >= self._next_frame or event.done == event.total:
            self._next_frame = now + FRAME_TIME
            self._draw(task)

    def end(self) -> None:
        """Leave the bar as it is now, and go to the next line."""
        if self._task is not None:
            try:
                self._draw(self._task, end="\n")
            finally:
                self._task = None

    def _draw(self, task: _Task, end: str = "") -> None:
        from rich.constrain import Constrain

        task.bar.update(task.id, pace=_pace(task.bar.tasks[0]))
        width = self._console.width - ROOM_FOR_ECHO
        with self._console.capture() as frame:
            self._console.print(Constrain(task.bar.get_renderable(), width), end="")
        self._console.file.write(f"{CLEAR_LINE}{frame.get().rstrip()}{end}")
        self._console.file.flush()

    def _new_task(self, event: Progress) -> _Task:
        from rich import progress

        # Never started: that would draw by itself, and at once.
        bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=None),
            progress.TaskProgressColumn(),
            progress.TextColumn("{task.fields[pace]}", style="progress.data.speed"),
            console=self._console,
            auto_refresh=False,
            get_time=self._now,
        )
        description = _position(event)
        task_id = bar.add_task(description, total=event.total, completed=event.done, pace="")
        return _Task(event.phase, event.offset, bar, task_id)


def bar_on(stream: TextIO, now: Callable[[], float] = time.monotonic) -> Bar | None:
    """Return a bar on ``stream``; None if that is no terminal able to move its cursor.

    None, too, where rich is not installed.
    """
    console = console_on(stream)
    return None if console is None else Bar(console, now)


def console_on(stream: TextIO) -> Console | None:
    """Return what draws on ``stream``; ``None`` as :func:`bar_on`."""
    if not stream.isatty():
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    console = Console(file=stream)
    # The consoles of old Windows take no control sequences.
    return None if console.is_dumb_terminal or console.legacy_windows else console


def _pace(task: Task) -> str:
    """Return the rate, and the time left if there is something left, as far as they are known."""
    from rich.filesize import decimal

    if not task.speed:
        return ""
    rate = f"{decimal(int(task.speed))}/s"
    left = task.time_remaining
    return rate if task.finished or left is None else f"{rate} {timedelta(seconds=left)}"


def _is_nothing_to_draw(event: Progress, *, is_new: bool) -> bool:
    """Tell whether nobody had to wait for this: the check of what was just written."""
    is_at_once = event.phase is Phase.VERIFY and is_new and event.done == event.total
    return event.phase not in _VERBS or is_at_once


def _position(event: Progress) -> str:
    return f"{_VERBS[event.phase]} at {event.offset + event.done:#010x}"
