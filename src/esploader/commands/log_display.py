"""The log of the library, shown to whoever runs a command."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING

from esploader.classes import override

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from esploader.commands.output import Json, Output


class _Collector(logging.Handler):
    """Keeps warnings for the JSON document."""

    def __init__(self, warnings: list[Json]) -> None:
        super().__init__(logging.WARNING)
        self._warnings = warnings

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Keep one more."""
        self._warnings.append(record.getMessage())


@contextlib.contextmanager
def log_shown(output: Output, arguments: argparse.Namespace) -> Iterator[None]:
    """Show the log of the library on stderr while the command runs: the wire, if asked.

    What it warns of is kept in ``output``, too.
    """
    logger = logging.getLogger("esploader")
    handler = logging.StreamHandler(output)
    collector = _Collector(output.warnings)
    if arguments.trace:
        thread = "[%(threadName)s] " if arguments.command == "fleet" else ""
        text = f"TRACE %(relativeCreated)8.1f ms  {thread}%(message)s"
        level = logging.DEBUG
    elif arguments.command == "serve":
        text = "%(asctime)s %(levelname)s: %(message)s"
        # Where nobody listens in, only what explains a failure counts.
        usual = logging.WARNING if arguments.stdio else logging.INFO
        level = logging.DEBUG if arguments.verbose else usual
    else:
        level = logging.ERROR if arguments.silent else logging.WARNING
        text = "%(levelname)s: %(message)s"
    handler.setFormatter(logging.Formatter(text))
    if arguments.command == "fleet":
        # What is said of a board in its own thread comes with its label.
        own = threading.get_ident()
        for each in (collector, *(() if arguments.trace else (handler,))):
            each.addFilter(lambda record: record.thread == own)
    old_level = logger.level
    logger.setLevel(level)
    logger.addHandler(handler)
    logger.addHandler(collector)
    try:
        yield
    finally:
        logger.removeHandler(collector)
        logger.removeHandler(handler)
        logger.setLevel(old_level)
