"""Lines of what a device says, for whoever looks for something in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINE_SIZE: Final = 4096
"""Characters of a line that are looked at; what is longer counts as several lines."""

_COLOUR: Final = re.compile(r"\x1b\[[0-9;:]*m")


@define(eq=False)
class LineCollector:
    """Makes lines of a text that comes in pieces."""

    open: str = attrs.field(default="", init=False)
    """The beginning of the line whose end has not come."""

    def feed(self, text: str) -> Iterator[tuple[str, str | None]]:
        """Yield ``text`` in pieces, each with the line that it ends, if it ends one.

        Lines are without colours and without their ends.
        """
        for piece in re.findall("[^\n]*\n|[^\n]+", text):
            self.open += _COLOUR.sub("", piece)
            if piece.endswith("\n") or len(self.open) > MAX_LINE_SIZE:
                line, self.open = self.open.rstrip("\r\n")[:MAX_LINE_SIZE], ""
                yield piece, line
            else:
                yield piece, None
