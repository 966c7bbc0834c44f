"""What differs by platform names its test, or says that it has none, and is on a page."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "esploader"
PAGE = ROOT / "docs" / "platforms.md"
BRANCH = re.compile(r"^ *(?:el)?if .*\bplatform\b [!=]= .*$", re.MULTILINE)
REMARK = re.compile(r"  # (?:no test|(tests/[\w/]+\.py))$")
FEWEST = 12


def branches() -> list[tuple[str, str]]:
    """Return every line that asks which platform this is, with the path of its module."""
    return [
        (path.relative_to(SOURCE).as_posix(), line)
        for path in sorted(SOURCE.rglob("*.py"))
        for line in BRANCH.findall(path.read_text(encoding="utf-8"))
    ]


def test_every_branch_names_its_test_or_says_that_it_has_none() -> None:
    found = branches()
    assert len(found) >= FEWEST
    silent = [each for each in found if REMARK.search(each[1]) is None]
    assert silent == []
    named = [match[1] for _, line in found if (match := REMARK.search(line)) and match[1]]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_page_has_every_module_with_a_branch() -> None:
    page = PAGE.read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[`([\w/]+\.py)`\]", page, re.MULTILINE)
    assert sorted(listed) == sorted({path for path, _ in branches()})
