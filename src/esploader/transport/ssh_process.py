"""``ssh`` as a program beside this one: how it is started, what it says, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, cast

import attrs

from esploader.classes import define
from esploader.errors import SshError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import IO

END_TIME: Final = 3.0
"""For how long it may take to end by itself when its pipe does, in seconds: that is a round trip,
and what it takes to end a program at the far end."""

TERMINATION_TIME: Final = 1.0
"""The same when it is told to end."""

MAX_SAID: Final = 4096
"""How much of what it says on stderr is kept, in bytes: the last of it."""

_LAST_WORDS_TIME: Final = 0.5
"""For how long the end of stderr is waited for, in seconds. What ssh leaves in the background, for
connections to come, may keep it open."""

_TYPED: Final = ("SIGINT", "SIGQUIT", "SIGHUP")
"""What a terminal sends to all programs in its foreground: Ctrl-C, Ctrl-\\, its own end."""


@define(eq=False)
class SshProcess:
    """A running ``ssh``. Its stdin and stdout are the caller's, its stderr is read here."""

    _process: subprocess.Popen[bytes]
    _on_words: Callable[[bytes], None]
    _said: bytes = attrs.field(default=b"", init=False)
    _listening: threading.Thread = attrs.field(init=False, repr=False)

    @classmethod
    def start(
        cls,
        port: str,
        words: Sequence[str],
        *,
        may_ask: bool,
        on_words: Callable[[bytes], None],
    ) -> SshProcess:
        """Run ``words``, the first of which is the program.

        What is typed at a terminal does not end it. Unless it ``may_ask`` there it is out of reach
        of whatever is sent to all programs that run in front, too. ``on_words`` is called, in a
        thread, with what comes on its stderr.

        Raises:
            SshError: it cannot be run.
        """
        try:
            with _typed_signals_blocked():
                # No shell; of the words that somebody else wrote none is an option.
                process = subprocess.Popen(  # noqa: S603
                    words,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    process_group=None if may_ask else 0,
                    creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                )
        except (OSError, ValueError) as exc:
            raise SshError(port, f"ssh cannot be run: {exc}") from exc
        started = cls(process, on_words)
        started._listening = threading.Thread(target=started._listen, daemon=True)
        started._listening.start()
        return started

    @property
    def stdin(self) -> IO[bytes]:
        """What it reads."""
        return cast("IO[bytes]", self._process.stdin)

    @property
    def stdout(self) -> IO[bytes]:
        """What it writes."""
        return cast("IO[bytes]", self._process.stdout)

    @property
    def exit_code(self) -> int | None:
        """``None`` as long as it runs; negative when a signal ended it."""
        return self._process.poll()

    def last_words(self) -> bytes:
        """Return the end of what it has said on stderr, all of it if that has ended."""
        self._listening.join(_LAST_WORDS_TIME)
        return self._said

    def wait(self) -> int | None:
        """Return its exit code, if it ends by itself within :data:`END_TIME`."""
        try:
            return self._process.wait(END_TIME)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> None:
        """See it end: by itself, for its pipe has ended, or because it is told to."""
        try:
            if self.wait() is None:
                self.terminate()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def terminate(self) -> None:
        """Have it end now."""
        self._process.terminate()
        try:
            self._process.wait(TERMINATION_TIME)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        with cast("IO[bytes]", self._process.stderr) as stderr:
            while data := stderr.read(MAX_SAID):
                self._said = (self._said + data)[-MAX_SAID:]
                self._on_words(data)


@contextmanager
def _typed_signals_blocked() -> Iterator[None]:
    """Have a program that is started meanwhile not see what is typed to end this one.

    It inherits what is blocked, and hands it on to what it starts. A process group of its own
    would do the same, but could ask for no password: the terminal is for the one in front.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    numbers = {getattr(signal, name) for name in _TYPED}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
