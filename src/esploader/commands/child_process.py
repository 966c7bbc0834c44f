"""Run a program in place of this one: with our signals, and for our exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Final

from esploader.commands.ending import FIRST_SIGNAL_EXIT_CODE, EndedBySignalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

_FORWARDED: Final = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
# A terminal sends these to all programs in the foreground itself.
_OF_TERMINALS: Final = frozenset({"SIGINT", "SIGQUIT"})


def run_child(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a program to its end, with variables added to its environment.

    Signals that end programs are passed on to it. Returns its exit code; where a signal
    ended it, the one that a shell has for that.

    Raises:
        OSError: it cannot be run.
        EndedBySignalError: a signal that was for us, too, has ended it.
    """
    forwarder = _Forwarder()
    with (
        forwarder.catching(),
        # What the user asked for is what is run.
        subprocess.Popen(command, env={**os.environ, **environment}) as child,  # noqa: S603
    ):
        forwarder.serve(child)
        code = child.wait()
    if code >= 0:
        return code
    if -code in forwarder.caught:
        raise EndedBySignalError(-code)
    return FIRST_SIGNAL_EXIT_CODE - code


class _Forwarder:
    """Passes signals on to a program, those that came before it ran, too."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._pending: list[int] = []
        self.caught: set[int] = set()
        """All that came."""

    @contextlib.contextmanager
    def catching(self) -> Iterator[None]:
        """Have signals caught meanwhile."""
        numbers = [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]
        handlers = [(number, signal.signal(number, self._forward)) for number in numbers]
        try:
            yield
        finally:
            for number, handler in handlers:
                signal.signal(number, handler)

    def serve(self, child: subprocess.Popen[bytes]) -> None:
        """Pass on to ``child`` from now on."""
        self._child = child
        for number in self._pending:
            child.send_signal(number)

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        self.caught.add(number)
        if self._child is None:
            self._pending.append(number)
        elif signal.Signals(number).name not in _OF_TERMINALS or not _is_in_foreground():
            self._child.send_signal(number)


def _is_in_foreground() -> bool:
    """Tell whether what is typed at our terminal, Ctrl-C included, is for us and our child."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
