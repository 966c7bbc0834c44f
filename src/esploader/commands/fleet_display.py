"""Show what happens to many boards: a table for people, lines for logs."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from esploader.classes import define
from esploader.commands.flash_options import pace
from esploader.commands.progress_display import CLEAR_LINE, ROOM_FOR_ECHO, console_on
from esploader.flash.progress import Phase, Progress
from esploader.fleet.events import (
    Began,
    Ended,
    Failed,
    FleetEvent,
    Identified,
    Progressed,
    SeenAgain,
    VerdictLost,
    Waiting,
    Warned,
)
from esploader.fleet.results import BoardResult, Status

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console
    from rich.table import Table

    from esploader.commands.output import Output

FRAME_TIME: Final = 0.2
"""How long a table stays as it is at least, in seconds."""

STEPS: Final = 4
"""How many lines in a log a region is worth."""

BAR_WIDTH: Final = 12
"""Characters of the bar of a board."""

MAX_LATER: Final = 1000
"""So many of the latest lines come behind a table: a bed may go on for days."""

_VERBS: Final = {
    Phase.COMPARE: "comparing",
    Phase.ERASE: "erasing",
    Phase.WRITE: "writing",
    Phase.READ: "reading",
    Phase.VERIFY: "verifying",
}

_GAP: Final = 2
"""Columns between two cells."""

_WIDE: Final = 100
_MEDIUM: Final = 72
"""Columns from which on there is room for more than what counts most."""


class FleetDisplay(Protocol):
    """Shows events."""

    def show(self, event: FleetEvent, /) -> None:
        """Show one more event."""

    def end(self) -> None:
        """Let somebody else write below what is shown."""


def choose_display(
    arguments: argparse.Namespace, output: Output, labels: Sequence[str]
) -> FleetDisplay:
    """Return a table where one can be drawn and is wanted, and else lines."""
    lines = FleetLines(output, with_progress=not (arguments.no_progress or arguments.quiet))
    if arguments.no_progress or arguments.quiet or arguments.silent or arguments.trace:
        return lines
    console = console_on(output.stderr)
    return lines if console is None else FleetTable(console, labels, lines)


def result_line(result: BoardResult) -> str:
    """Return what became of a board, in a line."""
    who = f"{result.found.chip.name} {result.mac or '(tells no MAC)'}: " if result.found else ""
    how = result.status.value
    match result.status:
        case Status.DONE if result.plan is not None:
            how = "planned"
        case Status.DONE:
            written = sum(region.written for region in result.regions)
            seen = "verified" if result.is_verified else "not verified: nobody can see it"
            how = f"done, {written} bytes written {pace(written, result.seconds)}, {seen}"
        case Status.UNRECORDED:
            how = f"written, and not recorded: {result.record_failure}"
        case Status.NOT_BEGUN:
            pass
        case _:
            times = "" if result.attempts < 2 else f" after {result.attempts} attempts"  # noqa: PLR2004 - more than one
            why = "" if result.error is None else f": {result.error}"
            hung = "; its thread hangs" if result.is_hung else ""
            lost = result.record_failure
            unrecorded = "" if lost is None else f"; not recorded: {lost}"
            how = f"{how}{times}{why}{hung}{unrecorded}"
    return f"{who}{how}"


class FleetLines:
    """A line for what counts, and for each quarter of a region, with the label of the board."""

    def __init__(self, output: Output, *, with_progress: bool) -> None:
        self._output = output
        self._with_progress = with_progress
        self._steps: dict[str, tuple[Phase, int, int]] = {}

    def show(self, event: FleetEvent, /) -> None:
        """Print a line, if there is something to tell."""
        match event:
            case Ended():
                self._result(event.label, result_line(event.result))
            case Warned():
                self._output.write(f"WARNING: [{event.label}] {event.text}\n")
            case Failed():
                self._output.write(
                    f"WARNING: [{event.label}] attempt {event.attempt} failed: {event.error}\n"
                )
            case VerdictLost():
                self._output.write(
                    f"WARNING: [{event.label}] the verdict was not heard: {event.reason}\n"
                )
            case SeenAgain():
                mac = event.result.mac
                self._result(event.label, f"{mac} was done a short while ago, and is left alone")
            case Waiting(trouble=Exception()):
                self._output.write(f"WARNING: [{event.label}] {event.trouble}\n")
            case Waiting():
                self._line(
                    event.label, "take it out" if event.for_removal else "waiting for a device"
                )
            case Identified():
                found = event.found
                self._line(event.label, f"{found.chip.name} {found.mac or '(tells no MAC)'}")
            case Progressed(progress=Progress() as progress) if self._with_progress:
                self._show_progress(event.label, progress)
            case _:
                pass

    def _show_progress(self, label: str, progress: Progress) -> None:
        step = (progress.phase, progress.offset, STEPS * progress.done // max(progress.total, 1))
        if self._steps.get(label) == step or progress.phase is not Phase.WRITE:
            return
        self._steps[label] = step
        share = 100 * progress.done // max(progress.total, 1)
        self._line(label, f"{_VERBS[progress.phase]} {progress.offset:#010x} {share} %")

    def _result(self, label: str, text: str) -> None:
        with self._output.asked_for():
            self._line(label, text)

    def _line(self, label: str, text: str) -> None:
        self._output.line(f"[{label}] {text}")

    def end(self) -> None:
        """Do nothing: a line is over when it is printed."""


@define
class _Row:
    """What is shown of a board."""

    label: str
    who: str = ""
    phase: str = "waiting"
    share: float | None = None
    rate: str = ""
    result: BoardResult | None = None
    _began: tuple[Phase, int, float, int] | None = None
    """Phase and region that it is at, when that began, and with how many bytes."""

    def take(self, event: FleetEvent, now: float) -> None:
        """Take in what has happened."""
        match event:
            case Began():
                self.phase, self.result = "connecting", None
            case Identified():
                self.who = f"{event.found.chip.name} {event.found.mac or ''}"
            case Waiting(for_removal=False):
                self.result, self.who = None, ""
                self.phase = "waiting" if event.trouble is None else str(event.trouble)
            case SeenAgain():
                self.result = event.result
            case Progressed(progress=Progress() as progress):
                self._progress(progress, now)
            case Failed():
                self.phase, self.share, self.rate = "waiting", None, ""
            case Ended():
                self.result, self.share, self.rate = event.result, None, ""
                self.phase = event.result.status.value
            case _:
                pass

    def _progress(self, progress: Progress, now: float) -> None:
        began = self._began
        if began is None or began[:2] != (progress.phase, progress.offset):
            began = self._began = (progress.phase, progress.offset, now, progress.done)
        self.phase = _VERBS[progress.phase]
        self.share = progress.done / max(progress.total, 1)
        taken = now - began[2]
        self.rate = f"{(progress.done - began[3]) / taken / 1000:.1f} kB/s" if taken else ""


class FleetTable:
    """A row for each board, at the bottom of a terminal; what became of them comes behind it."""

    def __init__(
        self,
        console: Console,
        labels: Sequence[str],
        lines: FleetDisplay,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._rows = {label: _Row(label) for label in labels}
        self._lines = lines
        self._now = now
        self._later: deque[FleetEvent] = deque(maxlen=MAX_LATER)
        self._drawn = 0
        self._next_frame = 0.0

    def show(self, event: FleetEvent, /) -> None:
        """Draw the table anew, unless that was just done."""
        now = self._now()
        self._rows[event.label].take(event, now)
        if isinstance(event, Ended | Warned | Failed | VerdictLost):
            self._later.append(event)
        if now >= self._next_frame:
            self._next_frame = now + FRAME_TIME
            self._draw()

    def end(self) -> None:
        """Leave the table as it is now, and say below it what became of the boards."""
        self._draw()
        self._drawn = 0
        while self._later:
            self._lines.show(self._later.popleft())

    def _draw(self) -> None:
        lines = self._frame()
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        # What is left of a longer table is cleared, too.
        blank = [""] * (self._drawn - len(lines))
        text = "".join(f"{CLEAR_LINE}{line}\n" for line in (*lines, *blank))
        back = f"\x1b[{len(blank)}A" if blank else ""
        self._console.file.write(f"{up}{text}{back}")
        self._console.file.flush()
        self._drawn = len(lines)

    def _frame(self) -> list[str]:
        """Return the lines of the table: as many rows as there is room for, busy ones first."""
        room = max(self._console.height - 4, 1)
        rows = [*self._rows.values()]
        if len(rows) > room:
            busy = [row for row in rows if row.result is None and row.phase != "waiting"]
            others = [row for row in reversed(rows) if row not in busy]
            kept = [*busy, *others][:room]
            rows = [row for row in rows if row in kept]
        ended = [row.result for row in self._rows.values() if row.result is not None]
        done = sum(result.is_done for result in ended)
        left = len(self._rows) - len(ended)
        summary = f"{done} done, {len(ended) - done} not done, {left} to go"
        width = max(self._console.width - ROOM_FOR_ECHO, 20)
        with self._console.capture() as frame:
            self._console.print(self._table(rows, width), width=width)
        return [line.rstrip() for line in frame.get().splitlines()] + [summary[:width]]

    def _table(self, rows: Sequence[_Row], width: int) -> Table:
        from rich.cells import cell_len
        from rich.table import Table
        from rich.text import Text

        cells = [[*_cells(row, width)] for row in rows]
        table = Table(
            box=None, pad_edge=False, show_header=False, expand=True, padding=(0, _GAP, 0, 0)
        )
        # What went wrong gets what the others leave, where they leave something.
        *others, _ = zip(*cells, strict=True)
        needed = [max(cell_len(text) for text, _ in column) for column in others]
        has_room = sum(needed) + _GAP * len(needed) < width
        for size in needed:
            table.add_column(no_wrap=True, overflow="ellipsis", min_width=size * has_room)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for row_of_cells in cells:
            table.add_row(*(Text(text, style=style) for text, style in row_of_cells))
        return table


def _cells(row: _Row, width: int) -> Iterator[tuple[str, str]]:
    """Yield what is shown of a board in each column, and how."""
    yield row.label, ""
    if width >= _MEDIUM:
        yield row.who, ""
    is_done = row.result is not None and row.result.is_done
    yield row.phase, "" if row.result is None else "green" if is_done else "red"
    if width >= _WIDE:
        filled = round(BAR_WIDTH * (row.share or 0.0))
        yield "" if row.share is None else "#" * filled + "." * (BAR_WIDTH - filled), ""
    yield "" if row.share is None else f"{row.share:4.0%}", ""
    if width >= _MEDIUM:
        yield row.rate, ""
    error = None if row.result is None else row.result.error
    yield "" if error is None else str(error), ""
