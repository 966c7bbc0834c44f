"""What a person sees of what was written to a terminal: as much of one as is needed here."""

from __future__ import annotations

import re
from typing import Final

_PART: Final = re.compile(
    r"\x1b\[(?P<n>[0-9;?]*)(?P<act>[A-Za-z])|(?P<one>[\r\n\b])|(?P<text>[^\x1b\r\n\b])"
)


def lines_on_screen(written: str, *, columns: int) -> list[str]:
    """Return the lines of a terminal of that width, none of which has scrolled away.

    What fills a line leaves the cursor behind its last column, and wraps with the next character.
    """
    lines = [[" "] * columns]
    row = column = 0
    for part in _PART.finditer(written):
        if part["text"]:
            if column == columns:
                row, column = row + 1, 0
            lines += [[" "] * columns for _ in range(row + 1 - len(lines))]
            lines[row][column] = part["text"]
            column += 1
        elif part["one"] == "\r":
            column = 0
        elif part["one"] == "\n":
            row += 1
            lines += [[" "] * columns for _ in range(row + 1 - len(lines))]
        elif part["one"] == "\b":
            column = max(column - 1, 0)
        elif part["act"] == "A":
            row = max(row - int(part["n"] or 1), 0)
        elif part["act"] == "K":
            start = 0 if part["n"] == "2" else column
            lines[row][start:] = " " * (columns - start)
    return ["".join(line).rstrip() for line in lines]
