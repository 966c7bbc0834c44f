"""What the loggers of the library say, kept apart by the thread in which they say it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, override

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

MAX_LINES: Final = 200
"""Of the log of a board: the last ones are kept."""
MAX_WARNINGS: Final = 100
"""Of a board: the first ones are kept, others only counted."""
MAX_LINE_SIZE: Final = 500
"""Characters of a line."""

_LOGGER: Final = "esploader"


@define(eq=False)
class BoardLog:
    """What is said of one board."""

    on_warning: Callable[[str], object]
    _lines: deque[str] = attrs.field(factory=lambda: deque(maxlen=MAX_LINES), init=False)
    _warnings: list[str] = attrs.field(factory=list, init=False)
    _surplus: int = attrs.field(default=0, init=False)

    @property
    def lines(self) -> tuple[str, ...]:
        """All that is kept."""
        return tuple(self._lines)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was warned of."""
        more = (f"and {self._surplus} more",) if self._surplus else ()
        return (*self._warnings, *more)

    def take(self, record: logging.LogRecord) -> None:
        """Keep what a logger said."""
        try:
            text = record.getMessage()
        except Exception as exc:  # noqa: BLE001 - what is logged may be anybody's object
            text = f"{record.msg} ({type(exc).__name__})"
        if record.levelno >= logging.WARNING:
            self.warn(text)
        else:
            self._keep(f"{record.levelname}: {text}")

    def warn(self, text: str) -> None:
        """Keep a warning, and pass it on."""
        text = text[:MAX_LINE_SIZE]
        self._keep(f"WARNING: {text}")
        if len(self._warnings) == MAX_WARNINGS:
            self._surplus += 1
            return
        self._warnings.append(text)
        self.on_warning(text)

    def _keep(self, line: str) -> None:
        self._lines.append(line[:MAX_LINE_SIZE])


class LogOfThreads(logging.Handler):
    """Hands what is said in a thread to the log of its board, while it is in use.

    It sets no level, and takes no lock for which one board could wait on account of another: each
    thread has a log of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logs: dict[int, BoardLog] = {}

    @override
    def handle(self, record: logging.LogRecord) -> bool:
        """Keep what is said in the thread of a board, without the lock that handlers have."""
        self.emit(record)
        return True

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Keep what is said in the thread of a board."""
        log = self._logs.get(record.thread or 0)
        if log is not None:
            log.take(record)

    def follow(self, log: BoardLog) -> None:
        """Have what this thread says go to ``log``."""
        self._logs[threading.get_ident()] = log

    def forget(self) -> None:
        """Have what this thread says go nowhere."""
        self._logs.pop(threading.get_ident(), None)

    def __enter__(self) -> Self:
        logging.getLogger(_LOGGER).addHandler(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        logging.getLogger(_LOGGER).removeHandler(self)
