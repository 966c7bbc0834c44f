"""A terminal whose keys come one by one, and that is as before, however that ends (POSIX)."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from esploader.commands.ending import signal_of
from esploader.commands.keys import LEAVE_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

if sys.platform != "win32":  # tests/commands/test_monitor_in_a_terminal.py
    import termios

Control: TypeAlias = "list[bytes | int]"
Mode: TypeAlias = "list[int | Control]"
"""What ``tcgetattr`` returns."""

_STANDARD_INPUT: Final = 0
_READ_SIZE: Final = 4096

_INPUT, _LOCAL, _CHARACTERS = 0, 3, 6
"""Where in that something is."""


class LeftError(Exception):
    """The key to leave was typed while something was waited for."""


class Keyboard:
    """Keys of a terminal, which stays able to show lines.

    While the caller waits for something, in :meth:`interruptible`, the key to leave is a signal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before = termios.tcgetattr(descriptor)
        self._mode = self._before

    @classmethod
    @contextlib.contextmanager
    def of_standard_input(cls) -> Iterator[Keyboard | None]:
        """Have the keys of the terminal at stdin meanwhile; ``None`` where it is none of ours."""
        if sys.platform == "win32":  # no test
            yield None
            return
        if not _is_ours(_STANDARD_INPUT):
            yield None
            return
        keyboard = cls(_STANDARD_INPUT)
        stopping = signal.signal(signal.SIGTSTP, keyboard._stop)
        try:
            keyboard._set(_raw(keyboard._before))
            yield keyboard
        finally:
            signal.signal(signal.SIGTSTP, stopping)
            keyboard._set(keyboard._before)

    def read(self) -> bytes:
        """Return what has been typed, without waiting; the end of it, too, is nothing typed."""
        try:
            if not select.select([self._descriptor], [], [], 0)[0]:
                return b""
            return os.read(self._descriptor, _READ_SIZE)
        except OSError:
            # The terminal is gone, which a signal tells.
            return b""

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Have the key to leave end what is done meanwhile; other keys are thrown away.

        Raises:
            LeftError: it was typed.
        """
        self._set(_waiting(self._before))
        try:
            yield
        except KeyboardInterrupt as exc:
            if signal_of(exc) == signal.SIGINT:
                raise LeftError from None
            raise
        finally:
            self._set(_raw(self._before))
        if LEAVE_KEY in self.read():
            raise LeftError

    def _set(self, mode: Mode) -> None:
        self._mode = mode
        # A terminal that is gone needs nothing any more.
        with contextlib.suppress(termios.error, OSError):
            termios.tcsetattr(self._descriptor, termios.TCSANOW, mode)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        """Be stopped with the terminal as it was, and take it again when that is over."""
        mode = self._mode
        self._set(self._before)
        os.kill(os.getpid(), signal.SIGSTOP)
        self._set(mode)


def _is_ours(descriptor: int) -> bool:
    """Tell whether it is a terminal, and what is typed there is for us."""
    try:
        return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False


def _raw(before: Mode) -> Mode:
    """Return the mode in which each key comes at once, as it is; what is shown stays as it was."""
    translations = termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON | termios.ISTRIP
    meanings = termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN
    control = [*cast("Control", before[_CHARACTERS])]
    control[termios.VMIN], control[termios.VTIME] = 1, 0
    mode = [*before]
    mode[_INPUT] = cast("int", mode[_INPUT]) & ~translations
    mode[_LOCAL] = cast("int", mode[_LOCAL]) & ~meanings
    mode[_CHARACTERS] = control
    return mode


def _waiting(before: Mode) -> Mode:
    """Return the mode in which the key to leave interrupts, and no other key does anything."""
    mode = _raw(before)
    control = [*cast("Control", mode[_CHARACTERS])]
    control[termios.VINTR] = bytes((LEAVE_KEY,))
    control[termios.VQUIT] = control[termios.VSUSP] = b"\0"
    mode[_LOCAL] = cast("int", mode[_LOCAL]) | termios.ISIG
    mode[_CHARACTERS] = control
    return mode
