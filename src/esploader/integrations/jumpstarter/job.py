"""What takes long is done in a thread, and told to an event loop while it is done.

Whoever waits may go: a client is killed, a lease ends. Then the thread is told so at the next thing
that it tells, and ends what it does as cleanly as that goes. It frees the port itself, and not who
has waited for it: the next one finds the port free, however the one before has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from esploader.classes import override
from esploader.errors import PortBusyError
from esploader.integrations.jumpstarter.wire import Event, Note

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

T = TypeVar("T")

PATIENCE: Final = 60.0
"""For how long an operation waits until the one before has ended, in seconds; and for how long
who closes an exporter waits for it."""

_LIBRARY: Final = logging.getLogger("esploader")


class GivenUpError(Exception):
    """Nobody waits for the operation any more. It never leaves the thread."""


class Job(Generic[T]):
    """One operation, as its thread and who waits for it have it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._is_given_up = threading.Event()
        self._found: Future[T] = Future()

    # For the thread -------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Tell of what was done, if there is somebody to tell.

        Raises:
            GivenUpError: there is nobody.
        """
        self.check()
        self.post(event)

    def check(self) -> None:
        """Go on only if somebody waits for it.

        Raises:
            GivenUpError: nobody does.
        """
        if self._is_given_up.is_set():
            raise GivenUpError

    def post(self, event: Event | None) -> None:
        """Hand over an event, or that there will be no more."""
        # The loop may have been closed meanwhile: then there is nobody to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def run(self, work: Callable[[Job[T]], T]) -> None:
        """Do it to its end, whatever that is."""
        try:
            self._found.set_result(work(self))
        except BaseException as exc:  # noqa: BLE001 - who waits raises it
            self._found.set_exception(exc)
        self.post(None)

    # For who waits --------------------------------------------------------------------------

    async def events(self) -> AsyncIterator[Event]:
        """Yield what is told, up to the end."""
        while (event := await self._events.get()) is not None:
            yield event

    def result(self) -> T:
        """Return what came of it, or raise that; at the end of :meth:`events`."""
        return self._found.result(timeout=0)

    def give_up(self) -> None:
        """Wait no more."""
        self._is_given_up.set()


class Worker:
    """Does one operation at a time with one port."""

    def __init__(self, port: str) -> None:
        self._port = port
        self._turn = threading.Lock()
        self._at_work: list[tuple[Callable[[], None], threading.Thread]] = []

    @contextlib.asynccontextmanager
    async def doing(
        self, work: Callable[[Job[T]], T], ended: Callable[[], object]
    ) -> AsyncIterator[Job[T]]:
        """Do ``work`` meanwhile, in a thread. It is given up at the end, if it goes on still.

        The thread calls ``ended`` when it has let go of the port, or never had it.
        """
        job = Job[T]()
        thread = threading.Thread(target=job.run, args=(self._in_turn(work, ended),))
        self._at_work = [each for each in self._at_work if each[1].is_alive()]
        self._at_work.append((job.give_up, thread))
        thread.start()
        try:
            yield job
        finally:
            job.give_up()

    def close(self) -> None:
        """Give up everything, and wait until the port is free."""
        for give_up, _ in self._at_work:
            give_up()
        for _, thread in self._at_work:
            thread.join(PATIENCE)

    def _in_turn(
        self, work: Callable[[Job[T]], T], ended: Callable[[], object]
    ) -> Callable[[Job[T]], T]:
        def done(job: Job[T]) -> T:
            if not self._turn.acquire(timeout=PATIENCE):
                raise PortBusyError(self._port, "another operation of this exporter has it")
            try:
                with _notes_to(job):
                    job.check()
                    return work(job)
            finally:
                self._turn.release()

        def done_and_ended(job: Job[T]) -> T:
            try:
                return done(job)
            finally:
                ended()

        return done_and_ended


@contextlib.contextmanager
def _notes_to(job: Job[T]) -> Iterator[None]:
    """Hand on what the library warns of in this thread: a client sees no log of the exporter."""
    handler = _Notes(job)
    _LIBRARY.addHandler(handler)
    try:
        yield
    finally:
        _LIBRARY.removeHandler(handler)


class _Notes(logging.Handler):
    """Makes notes of warnings of one thread."""

    def __init__(self, job: Job[T]) -> None:
        super().__init__(logging.WARNING)
        self._post: Callable[[Event], None] = job.post
        self._thread = threading.get_ident()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self._post(Note(record.getMessage()))
