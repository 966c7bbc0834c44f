"""The tests that the documentation names exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/.]*)(?:::(\w+))?`")
FEWEST = 40


def test_named_tests_exist() -> None:
    named = {
        match
        for page in (ROOT / "docs").rglob("*.md")
        for match in NAMED.findall(page.read_text(encoding="utf-8"))
    }
    assert len(named) > FEWEST
    missing = [f"{path}::{name}" for path, name in sorted(named) if not _exists(path, name)]
    assert missing == []


def _exists(path: str, name: str) -> bool:
    file = ROOT / path
    if not file.exists():
        return False
    return not name or f"\ndef {name}(" in file.read_text(encoding="utf-8")
