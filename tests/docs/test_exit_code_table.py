"""The table of exit codes in docs/command-line.md is the one in the code."""

from __future__ import annotations

import re
from pathlib import Path

from esploader.commands.exit_codes import EXPLANATIONS

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
ROW = re.compile(r"^\| (\d+) \| `(\w+Error)` \| .+ \|$", re.MULTILINE)


def test_the_table_is_that_of_the_code() -> None:
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert [(int(code), name) for code, name in rows] == sorted(
        (explanation.code, error.__name__) for error, explanation in EXPLANATIONS.items()
    )
