"""Where the results of a command go: lines as they come, or one JSON document at the end.

What tools parse goes to stdout, in the words they know; warnings, hints and errors go to
stderr; with ``--json`` stdout holds one JSON document.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final, TextIO, TypeAlias, cast

from esploader.commands.colours import coloured, has_colours
from esploader.commands.standard_stream import StandardStream

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from esploader.commands.progress_display import Display
    from esploader.flash.progress import ProgressEvent

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

_LABEL_WIDTH: Final = 20


class Output:
    """Where results go: lines as they come, or one JSON document at the end.

    That somebody reads along is no condition of the work: what cannot be written is dropped,
    which is noted once.
    """

    def __init__(self, arguments: argparse.Namespace, *, is_all: bool = False) -> None:
        """``is_all`` says that what is printed is all that the command does."""
        self._as_json: bool = arguments.json
        self._is_silent: bool = arguments.silent
        self._arguments = arguments
        self._is_shown = is_all or not arguments.quiet
        self.warnings: list[Json] = []
        """What the library has warned of so far; it is on stderr, too."""
        self.stdout = StandardStream(sys.stdout, self._lose_stdout)
        self._stderr = StandardStream(sys.stderr, lambda _: None)
        self._has_colours = has_colours(self._stderr)
        self.before_progress: Callable[[], None] | None = None
        """Is called before progress is shown: it may have something to say above it."""
        self._displays: tuple[Display, ...] | None = None
        self._line_is_open = False

    def banner(self) -> None:
        """Say which program this is, and what of all that was set has no effect."""
        with self.beside():
            self.line(self._arguments.banner)
        self.say_remarks()

    def say_remarks(self) -> None:
        """Say what of all that was set has no effect."""
        for remark in self._arguments.remarks:
            self.note(remark)
        for remark in self._arguments.details:
            self.detail(remark)

    @property
    def stderr(self) -> TextIO:
        """The stream that may be drawn on."""
        return cast("TextIO", self._stderr)

    def beside(self) -> contextlib.AbstractContextManager[None]:
        """Have what is printed meanwhile left out by ``--quiet``: it was not asked for."""
        return self._shown(is_shown=not self._arguments.quiet)

    def asked_for(self) -> contextlib.AbstractContextManager[None]:
        """Have what is printed meanwhile left in by ``--quiet``: nothing else was asked for."""
        return self._shown(is_shown=True)

    @contextlib.contextmanager
    def _shown(self, *, is_shown: bool) -> Iterator[None]:
        was_shown, self._is_shown = self._is_shown, is_shown
        try:
            yield
        finally:
            self._is_shown = was_shown

    def line(self, text: str = "") -> None:
        """Print one line for people and for tools that parse text."""
        self.part(f"{text}\n")

    def part(self, text: str) -> None:
        """Print the beginning, or more, of a line."""
        self.end_progress()
        if self._is_shown and not (self._as_json or self._is_silent):
            self.stdout.write(text)
            self._line_is_open = not text.endswith("\n")

    def end_line(self) -> None:
        """End the line of which a part was printed, if there is one."""
        if self._line_is_open:
            self.line()

    def labelled(self, label: str, text: str) -> None:
        """Print a label and, in a column of their own, its values."""
        self.line(f"{label + ':':<{_LABEL_WIDTH}}{text}")

    def finish(self, document: Json) -> None:
        """Print the JSON document, if that was asked for."""
        self.end_progress()
        if self._as_json:
            import json

            self.stdout.write(f"{json.dumps(document, indent=2)}\n")

    def progress(self, event: ProgressEvent) -> None:
        """Show how far a long command is."""
        from esploader.flash.progress import Restarted

        if self.before_progress is not None:
            self.before_progress()
        if self._displays is None:
            self._displays = self._choose_displays()
        for display in self._displays:
            display.show(event)
        if isinstance(event, Restarted) and not self._arguments.json_events:
            self.note(f"starting again at {event.offset:#x}: {event.reason}")

    def end_progress(self) -> None:
        """Leave what is drawn as it is, and write below it from now on."""
        for display in self._displays or ():
            display.end()

    def note(self, text: str) -> None:
        """Print a remark to stderr, unless ``--quiet`` or ``--silent`` is on."""
        if not (self._arguments.quiet or self._is_silent):
            self.write(f"NOTE: {text}\n")

    def detail(self, text: str) -> None:
        """Print a remark for those who want to know more."""
        if self._arguments.verbose:
            self.note(text)

    def write(self, text: str) -> None:
        """Write to stderr, where the log goes, below what is drawn there."""
        self.end_progress()
        self.end_line()
        self._stderr.write(coloured(text) if self._has_colours else text)

    def _lose_stdout(self, exc: OSError) -> None:
        self._line_is_open = False
        self.note(f"the output cannot be written: {exc.strerror}")

    def _choose_displays(self) -> tuple[Display, ...]:
        from esploader.commands.progress_display import JsonLines, Lines, bar_on

        wanted, stderr = self._arguments, self.stderr
        events = (JsonLines(stderr),) if wanted.json_events else ()
        if wanted.no_progress or wanted.quiet or self._is_silent:
            return events
        # Nothing can be drawn where something else is written all the time.
        bar = None if wanted.json_events or wanted.trace else bar_on(stderr)
        return (*events, bar or Lines(self.line))
