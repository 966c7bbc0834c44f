"""What tells a process to end: signals become an exception, and in the end the process dies of it.

Only programs may do that; a library leaves signals to the program that it is part of.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU", "SIGBREAK")
"""Ctrl-C; what kill, systemd and CI send; a terminal that was closed; Ctrl-\\; a limit of time;
on Windows Ctrl-Break, or a console that was closed."""

FIRST_SIGNAL_EXIT_CODE: Final = 128
"""What a shell adds to the number of the signal that ended a program."""

PATIENCE: Final = 1.0
"""For how long a signal after the first says nothing new, in seconds: a terminal that is closed
sends several, and so do the programs between it and us. Whoever still wants the end then does not
want to wait for it."""

# STATUS_CONTROL_C_EXIT
_WINDOWS_EXIT_CODE: Final = 0xC000_013A


class EndedBySignalError(KeyboardInterrupt):
    """A signal tells this process to end.

    As :exc:`KeyboardInterrupt` it is no :exc:`Exception`: nobody recovers from it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        """Of the signal."""


class _Handler:
    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.first: int | None = None
        self.first_at = 0.0

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.first is None:
            self.first, self.first_at = number, now
        elif now < self.first_at + self.patience:
            return
        raise EndedBySignalError(self.first)


def signals_to_heed() -> list[int]:
    """Return those of this system that are not ignored: nohup, for one, has that done."""
    known = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]


def has_terminal() -> bool:
    """Tell whether this process hears by SIGHUP that its terminal is gone."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return False
    os.close(descriptor)
    return True


@contextmanager
def signals_raised(patience: float = PATIENCE) -> Iterator[None]:
    """Have the first signal raise :exc:`EndedBySignalError` meanwhile, in the main thread.

    So do later ones, once ``patience`` is over, in seconds. Afterwards signals end the process at
    once.
    """
    numbers = signals_to_heed()
    handler = _Handler(patience)
    for number in numbers:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def signal_of(interrupt: KeyboardInterrupt) -> int:
    """Return the signal behind an exception."""
    number = interrupt.args[0] if interrupt.args else signal.SIGINT
    return number if isinstance(number, int) else signal.SIGINT


def die_of(number: int) -> NoReturn:
    """End as a process does that was ended by that signal, so that others can tell."""
    if sys.platform == "win32":  # no test
        os._exit(_WINDOWS_EXIT_CODE)
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    # The first process of a container does not die of signals.
    sys.exit(FIRST_SIGNAL_EXIT_CODE + number)
