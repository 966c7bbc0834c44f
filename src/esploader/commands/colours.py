"""Colours for what people must not overlook, on terminals alone."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.commands.standard_stream import StandardStream

_RESET: Final = "\x1b[0m"
_RED: Final = "\x1b[1;31m"
_YELLOW: Final = "\x1b[1;33m"
_CYAN: Final = "\x1b[1;36m"

_COLOURS: Final = {
    "A fatal error occurred": _RED,
    "ERROR": _RED,
    "WARNING": _YELLOW,
    "NOTE": _CYAN,
    "HINT": _CYAN,
}
_FIRST_WORDS: Final = rf"(?m)^({'|'.join(_COLOURS)}):"


def has_colours(stream: StandardStream, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether ``stream`` is a terminal that shows colours, and nobody objects.

    ``NO_COLOR`` objects when it is set and not empty (https://no-color.org), and so does
    ``TERM=dumb``. On Windows only Windows Terminal says that it is able, by ``WT_SESSION``.
    """
    if sys.platform == "win32":  # no test
        is_able = "WT_SESSION" in environment
    else:
        is_able = environment.get("TERM") != "dumb"
    return is_able and not environment.get("NO_COLOR") and stream.isatty()


def coloured(text: str) -> str:
    """Return ``text`` with the words coloured that say how grave a line is."""
    return re.sub(_FIRST_WORDS, lambda found: f"{_COLOURS[found[1]]}{found[0]}{_RESET}", text)
