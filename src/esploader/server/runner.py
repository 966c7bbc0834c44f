"""A loop that somebody else may start, stop and wait for: in this thread or another."""

from __future__ import annotations

import abc
import asyncio
import logging
import signal
import threading
from typing import TYPE_CHECKING, TypeAlias

from esploader.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType, TracebackType
    from typing import Self

_Handler: TypeAlias = "Callable[[int, FrameType | None], object] | int | None"

_logger = logging.getLogger(__name__)


class Runner(abc.ABC):
    """Runs until it is stopped.

    Used as a context manager it stops at the end, and has then closed everything that it
    opened.
    """

    def __init__(self) -> None:
        self._stop_wanted = threading.Event()
        self._lock = threading.RLock()  # a signal handler may stop us while we hold it
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._signal: int | None = None
        self._old_handlers: list[tuple[int, _Handler]] = []
        self.failure: TransportError | None = None
        """Why it ended by itself, if it did."""

    def run(self) -> None:
        """Serve until :meth:`stop` is called, by another thread or a signal handler.

        Raises:
            KeyboardInterrupt: a signal that it heeds ended it, other than SIGTERM; its number is
                the argument. Everything is closed.
            TransportError: the only port failed, and nobody knows how to open it again.
        """
        with asyncio.Runner(loop_factory=self._make_loop) as runner:
            runner.run(self._main())
        if self._signal is not None:
            raise KeyboardInterrupt(self._signal)
        if self.failure is not None:
            raise self.failure

    def heed_signals(self, numbers: Iterable[int]) -> None:
        """Have signals of these numbers stop :meth:`run`, even before it has begun.

        For programs that do nothing else, in their main thread. A second one ends them at once,
        unless it is SIGTERM: kill, systemd and CI send that; nothing has gone wrong then.
        """
        for number in numbers:
            self.on_signal(number, self._heed)

    def on_signal(self, number: int, handler: Callable[[int, FrameType | None], None]) -> None:
        """Have a signal mean something else, in the main thread, until this is closed."""
        self._old_handlers.append((number, signal.signal(number, handler)))

    def start(self) -> None:
        """Serve in a thread until :meth:`stop` is called."""
        self._thread = threading.Thread(
            target=self._run_in_thread, name=type(self).__name__, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Make :meth:`run` return soon. Any thread may call this, and more than once."""
        self._stop_wanted.set()
        with self._lock:
            if self._loop is not None and self._stopping is not None:
                self._loop.call_soon_threadsafe(self._stopping.set)

    def close(self) -> None:
        """Stop, wait for that and close everything that was opened."""
        self.stop()
        if self._thread is not None:
            self._thread.join()
        for number, handler in reversed(self._old_handlers):
            signal.signal(number, handler)
        self._old_handlers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @abc.abstractmethod
    async def _serve(self, stopping: asyncio.Event) -> None:
        """Serve until ``stopping`` is set, and close everything in the loop."""

    def _make_loop(self) -> asyncio.AbstractEventLoop:
        """Return what runs: the loop that waits for sockets and descriptors on all systems."""
        return asyncio.SelectorEventLoop()

    def _fail(self, exc: TransportError) -> None:
        """End, because of ``exc``."""
        self.failure = exc
        self.stop()

    def _heed(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_DFL)
            self._signal = number
        self.stop()

    async def _main(self) -> None:
        stopping = asyncio.Event()
        with self._lock:
            self._loop, self._stopping = asyncio.get_running_loop(), stopping
        try:
            if not self._stop_wanted.is_set():
                await self._serve(stopping)
        finally:
            with self._lock:
                self._loop = self._stopping = None

    def _run_in_thread(self) -> None:
        try:
            self.run()
        except TransportError as exc:
            _logger.warning("%s", exc)
