"""What a person sees of a device that is watched, and what is looked for in what it says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from esploader.commands.colours import has_colours
from esploader.commands.console_log import ConsoleLog
from esploader.device.console.garbage import GarbageWatch
from esploader.device.console.lines import LineCollector
from esploader.device.console.panics import GDB, PanicCollector
from esploader.device.console.stamps import LineStamper, Timestamps
from esploader.device.console.text import RESET_COLOURS, ConsoleText
from esploader.protocol.slip import Noise, SlipDecoder

if TYPE_CHECKING:
    import argparse
    import re
    from contextlib import ExitStack

    from esploader.commands.output import Output
    from esploader.device.console.backtraces import BacktraceDecoder
    from esploader.device.console.panics import Unwinder

PREFIX: Final = "--- "
"""In front of what the device does not say."""

_GARBAGE: Final = (
    "this is no text: the baud rate may be another one. An ESP8266, or a board with a crystal of "
    "26 MHz, begins at --baud 74880"
)


class Programs(NamedTuple):
    """What is known of the programs in the device."""

    decoder: BacktraceDecoder
    unwinder: Unwinder | None
    is_riscv: bool


class ConsoleView:
    """Shows what a device says on stdout, and what becomes of its port on stderr.

    The former is all that is on stdout, so that it can be piped and kept.
    """

    def __init__(
        self, arguments: argparse.Namespace, output: Output, programs: Programs | None
    ) -> None:
        self._output = output
        self._is_silent: bool = arguments.quiet or arguments.silent
        self._is_raw: bool = arguments.raw
        self._until: re.Pattern[str] | None = arguments.until
        self._fail_on: re.Pattern[str] | None = arguments.fail_on
        self._programs = programs
        self._is_terminal = output.stdout.isatty()
        self._text = ConsoleText(self._is_raw, has_colours(output.stdout))
        self._stamper = LineStamper(Timestamps(arguments.timestamps), time.monotonic)
        self._lines = LineCollector()
        self._garbage = GarbageWatch()
        self._panics = PanicCollector()
        self._log_path: str | None = arguments.log
        self._log: ConsoleLog | None = None
        self._log_stamper = LineStamper(Timestamps(arguments.timestamps), time.monotonic)
        self._line_is_open = False
        self._frames: SlipDecoder | None = None
        self._is_shown = True
        self._has_told_of_gdb = False
        self.is_seen = False
        """What was waited for has come."""
        self.failure: str | None = None
        """The line that must not come, once it has."""

    def keep_log(self, stack: ExitStack) -> None:
        """Append all that comes to the file that was asked for, if one was, until ``stack`` ends.

        Raises:
            PlanError: it cannot be written.
        """
        if self._log_path is not None:
            log = ConsoleLog.open(Path(self._log_path), self._log_stamper, self._lose_log)
            stack.callback(log.close)
            self._log = log

    def show(self, data: bytes) -> None:
        """Show what has come, and look what it means."""
        if self._log is not None:
            self._log.write(data)
        if self._frames is not None:
            events = self._frames.feed(data)
            data = b"".join(event.data for event in events if isinstance(event, Noise))
        if self._garbage.feed(data):
            self.say(_GARBAGE)
        self._show_text(self._text.feed(data))

    def end(self) -> None:
        """Show what is still held back, and leave the terminal as it should be."""
        self._show_text(self._text.end())
        self._end_colours()
        self._end_line(always=not self._is_raw)

    def show_backtrace(self) -> None:
        """Show what has come of a stack that was to be unwound."""
        unwinder = None if self._programs is None else self._programs.unwinder
        for line in [] if unwinder is None else unwinder.take():
            self._explain(line)

    @property
    def is_unwinding(self) -> bool:
        """A stack is being unwound, or has been and is not shown yet."""
        unwinder = None if self._programs is None else self._programs.unwinder
        return unwinder is not None and unwinder.is_busy

    def toggle_output(self) -> None:
        """Show nothing from now on, or go on showing."""
        self._is_shown = not self._is_shown
        self.say("what it says is shown again" if self._is_shown else "what it says is not shown")

    def next_timestamps(self) -> None:
        """Put something else in front of lines from the next one on."""
        following = {
            Timestamps.NONE: Timestamps.ABSOLUTE,
            Timestamps.ABSOLUTE: Timestamps.RELATIVE,
            Timestamps.RELATIVE: Timestamps.NONE,
        }
        self._stamper.kind = self._log_stamper.kind = following[self._stamper.kind]
        self.say(f"timestamps: {self._stamper.kind.value}")

    def say(self, text: str) -> None:
        """Say what the device does not say itself."""
        if self._is_silent:
            return
        self._end_colours()
        self._end_line()
        for line in text.splitlines():
            self._output.write(f"{PREFIX}{line}\n")

    # What becomes of the port ----------------------------------------------------------

    def lost(self, reason: str) -> None:
        """Hear that the port is gone, or why it still is."""
        self.say(f"the port is lost: {reason}; waiting for it to come back")

    def regained(self) -> None:
        """Hear that it is there again."""
        self._frames = None
        self._show_text(self._text.end())
        self.say("the port is there again")

    def lent(self, to: str) -> None:
        """Hear that somebody else has it for a while.

        What a loader answers to that one is for no eyes, and left out; the log has it.
        """
        self._frames = SlipDecoder()
        self.say(f"{to} has the port; this goes on showing what the device says")

    def returned(self) -> None:
        """Hear that it is ours again."""
        self._frames = None
        self.say("the port is back")

    # What is shown ---------------------------------------------------------------------

    def _show_text(self, text: str) -> None:
        shown: list[str] = []
        for piece, line in self._lines.feed(text):
            shown.append(self._stamper.feed(piece))
            if line is None:
                self._look_for(self._lines.open)
                continue
            self._look_for(line)
            explanations = self._explanations(line)
            if explanations:
                self._write("".join(shown))
                shown.clear()
            for explanation in explanations:
                self._explain(explanation)
        self._write("".join(shown))

    def _look_for(self, line: str) -> None:
        if self._fail_on is not None and self.failure is None and self._fail_on.search(line):
            self.failure = line
        if self._until is not None and self._until.search(line):
            self.is_seen = True

    def _explanations(self, line: str) -> list[str]:
        programs = self._programs
        if programs is None:
            return []
        report = self._panics.feed(line)
        if report is not None and programs.is_riscv:
            if programs.unwinder is not None:
                programs.unwinder.begin(report)
            elif not self._has_told_of_gdb:
                self._has_told_of_gdb = True
                self.say(
                    f"to have the stack of RISC-V chips unwound, install {GDB} (ESP-IDF has it) "
                    "and esploader[monitor]"
                )
        return programs.decoder.explain(line)

    def _explain(self, text: str) -> None:
        """Put a line of ours where the device's lines are: it belongs to one of them."""
        self._end_colours()
        self._end_line(always=True)
        self._write(f"{PREFIX}{text}\n")

    def _write(self, text: str) -> None:
        if not text or not self._is_shown:
            return
        self._line_is_open = not text.endswith("\n")
        if self._is_raw:
            self._output.stdout.write_bytes(text.encode("utf-8", "surrogateescape"))
        else:
            self._output.stdout.write(text)

    def _end_colours(self) -> None:
        if self._text.is_coloured:
            self._text.is_coloured = False
            self._output.stdout.write(RESET_COLOURS)

    def _end_line(self, *, always: bool = False) -> None:
        """Begin a line on a terminal; what is piped or kept has the lines of the device."""
        if self._line_is_open and (self._is_terminal or always):
            self._output.stdout.write("\n")
            self._line_is_open = False

    def _lose_log(self, text: str) -> None:
        self._output.write(f"WARNING: {text}\n")
