"""The log of the library, shown to whoever runs a command."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from esploader.commands.output import Output


@contextlib.contextmanager
def log_shown(output: Output, arguments: argparse.Namespace) -> Iterator[None]:
    """Show the log of the library on stderr while the command runs: the wire, if asked."""
    logger = logging.getLogger("esploader")
    handler = logging.StreamHandler(output)
    if arguments.trace:
        text, level = "TRACE %(relativeCreated)8.1f ms  %(message)s", logging.DEBUG
    elif arguments.command == "serve":
        text = "%(asctime)s %(levelname)s: %(message)s"
        level = logging.DEBUG if arguments.verbose else logging.INFO
    else:
        text, level = "%(levelname)s: %(message)s", logging.WARNING
    handler.setFormatter(logging.Formatter(text))
    old_level = logger.level
    logger.setLevel(level)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(old_level)
