"""What ``monitor`` does: show what a device says, and send it what is typed, until it is enough."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from esploader.commands.chosen_port import chosen_port
from esploader.commands.console_view import ConsoleView, Programs
from esploader.commands.keyboard import Keyboard, LeftError
from esploader.commands.keys import HELP, LINE_ENDS, Key, KeyParser
from esploader.commands.monitor_options import DEFAULT_BAUDRATE
from esploader.device.console.backtraces import BacktraceDecoder
from esploader.device.console.console import Console
from esploader.device.console.debug_info import DebugInfo
from esploader.device.console.opening import ConsoleOpener
from esploader.device.console.panics import UNWINDING_TIME, Unwinder
from esploader.errors import (
    CapabilityError,
    DebugInfoError,
    PortBusyError,
    TransportClosedError,
    UnexpectedOutputError,
    UnsupportedError,
)
from esploader.transport.patience import open_patiently
from esploader.transport.reset import Resets

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from esploader.commands.keys import Typed
    from esploader.commands.output import Output

KEY_INTERVAL: Final = 0.03
"""How often keys are looked for while the device is silent, in seconds."""

SIGNAL_INTERVAL: Final = 0.25
"""How often a time limit is looked at where there are no keys, in seconds."""

AFTERMATH: Final = 3.0
"""For how long what follows the line that must not come is shown at most, in seconds."""

SILENCE: Final = 0.5
"""After how long a silence nothing more follows, in seconds."""

_FOREVER: Final = float("inf")


def monitor(arguments: argparse.Namespace, output: Output) -> None:
    """Open the port, reset the device unless that is not wanted, and watch it.

    Raises:
        NoPortError: none is named, and there is no single sensible one.
        UnexpectedOutputError: the device has not said what was waited for, or what it must not say.
        EsploaderError: the port cannot be opened, or will not come back.
    """
    output.say_remarks()
    programs = read_programs(arguments.elf, output)
    rate = _rate(arguments)
    with contextlib.ExitStack() as stack:
        view = ConsoleView(arguments, output, programs)
        view.keep_log(stack)
        name = chosen_port(arguments, output, arguments.open_attempts)
        opener = ConsoleOpener(name, rate, gives_way=not arguments.no_yield)
        stack.callback(opener.close)
        resets = Resets(
            download_mode=arguments.custom_reset_sequence,
            hard=arguments.custom_hard_reset_sequence or Resets().hard,
        )
        console = Console(name, opener, view, resets)
        open_patiently(console.connect, arguments.open_attempts)
        stack.callback(console.close)
        view.say(f"{name} at {rate} baud")
        watcher = Watcher(console, view, arguments, output)
        watcher.watch(begin=None if arguments.no_reset else watcher.reset)


def read_programs(
    names: Iterable[str], output: Output, guesses: Iterable[Path] = ()
) -> Programs | None:
    """Return what is known of the programs in these files; ``None`` without the extra for that.

    ``guesses`` are files that nobody has named: of one that tells nothing a note is made.

    Raises:
        DebugInfoError: one that was named cannot be read.
    """
    try:
        found = [DebugInfo.read(Path(name)) for name in names]
        for path in guesses:
            try:
                found.append(DebugInfo.read(path))
            except DebugInfoError as exc:
                output.note(str(exc))
    except UnsupportedError as exc:
        output.note(f"addresses in backtraces stay as they are: {exc}")
        return None
    if not found:
        return None
    riscv = [program for program in found if program.is_riscv]
    unwinder = Unwinder.find(riscv[0].path) if riscv else None
    return Programs(BacktraceDecoder(found), unwinder, bool(riscv))


def _rate(arguments: argparse.Namespace) -> int:
    """Return the rate of the application; what is set for flashing in the environment is none."""
    rate: int | None = arguments.monitor_baud
    if rate is None and "baud" in arguments.in_front:
        rate = arguments.baud
    return DEFAULT_BAUDRATE if rate is None else rate


class Watcher:
    """Watches a device for somebody, at a terminal or not."""

    def __init__(
        self,
        console: Console,
        view: ConsoleView,
        arguments: argparse.Namespace,
        output: Output,
    ) -> None:
        self._console = console
        self._view = view
        self._stdout = output.stdout
        self._timeout: float | None = arguments.timeout
        self._waits_for = arguments.until
        self._works = any((arguments.log, arguments.until, arguments.fail_on))
        self._keys = KeyParser(LINE_ENDS[arguments.eol])
        self._keyboard: Keyboard | None = None
        self._last_trouble: str | None = None

    def watch(self, begin: Callable[[], None] | None = None) -> None:
        """Watch until somebody leaves, the time is over, or what is waited for has come.

        ``begin`` is done first, when keys are looked for.

        Raises:
            UnexpectedOutputError: it has not come in time, or what must not come has.
            EsploaderError: the port will not come back.
        """
        with Keyboard.of_standard_input() as self._keyboard:
            try:
                if self._keyboard is not None:
                    self._view.say("Ctrl-] leaves; Ctrl-T Ctrl-H lists the other keys")
                if begin is not None:
                    begin()
                self._watch()
            except LeftError:
                pass
            finally:
                self._view.end()

    def reset(self) -> None:
        """Reset the device; a port that cannot do that is no reason not to watch."""
        self._try(self._console.reset)

    def _watch(self) -> None:
        console, view = self._console, self._view
        interval = SIGNAL_INTERVAL if self._keyboard is None else KEY_INTERVAL
        start = console.clock.now()
        end = _FOREVER if self._timeout is None else start + self._timeout
        while self._goes_on():
            now = console.clock.now()
            if now >= end:
                self._be_late()
                return
            if console.is_connected:
                data = console.read(min(now + interval, end))
                if data:
                    view.show(data)
            else:
                self._wait_for_port(min(now + 1.0, end))
            view.show_backtrace()
            if self._keyboard is not None and not self._heed(self._keyboard):
                return

    def _goes_on(self) -> bool:
        """Tell whether there is more to wait for.

        Raises:
            UnexpectedOutputError: what must not come has come.
        """
        if self._view.failure is not None:
            self._show_what_follows()
            raise UnexpectedOutputError(self._console.name, f"it says {self._view.failure!r}")
        self._stdout.look_for_reader()
        is_read = self._works or self._stdout.failure is None
        return is_read and not self._view.is_seen

    def _show_what_follows(self) -> None:
        """Show what comes behind the line that must not come: a backtrace, perhaps."""
        console, view = self._console, self._view
        end = console.clock.now() + AFTERMATH
        while console.is_connected and (now := console.clock.now()) < end:
            data = console.read(min(now + SILENCE, end))
            if not data:
                break
            view.show(data)
        while view.is_unwinding and console.clock.now() < end + UNWINDING_TIME:
            view.show_backtrace()
            console.clock.sleep(SIGNAL_INTERVAL)

    def _be_late(self) -> None:
        if self._waits_for is not None:
            wanted, limit = self._waits_for.pattern, self._timeout
            reason = f"it has not said {wanted!r} within {limit:g} s"
            raise UnexpectedOutputError(self._console.name, reason)

    def _wait_for_port(self, deadline: float) -> None:
        waiting = (
            contextlib.nullcontext() if self._keyboard is None else self._keyboard.interruptible()
        )
        with waiting:
            while not self._console.is_connected and self._console.clock.now() < deadline:
                self._console.read(deadline)

    def _heed(self, keyboard: Keyboard) -> bool:
        """Do what was typed; tell whether to go on."""
        for typed in self._keys.feed(keyboard.read()):
            if typed is Key.LEAVE:
                return False
            self._do(typed)
        return True

    def _do(self, typed: Typed) -> None:
        match typed:
            case bytes():
                self._try(lambda: self._console.write(typed))
            case Key.RESET:
                self.reset()
            case Key.DOWNLOAD_MODE:
                self._try(self._console.enter_download_mode)
            case Key.OUTPUT:
                self._view.toggle_output()
            case Key.TIMESTAMPS:
                self._view.next_timestamps()
            case Key.HELP:
                self._view.say(HELP)
            case _:
                self._view.say("no such key in the menu; Ctrl-T Ctrl-H lists them")

    def _try(self, action: Callable[[], None]) -> None:
        """Do something that the port may not be able to do now; why is said once in a row."""
        try:
            action()
        except (CapabilityError, PortBusyError, TransportClosedError) as exc:
            if str(exc) != self._last_trouble:
                self._view.say(str(exc))
            self._last_trouble = str(exc)
        else:
            self._last_trouble = None
