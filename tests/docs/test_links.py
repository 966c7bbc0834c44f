"""Links from one page of the documentation lead to another one, or to a heading of it."""

from __future__ import annotations

import functools
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\((?!\w+:)([^)#]*)(?:#([^)]*))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@functools.cache
def anchors(page: Path) -> set[str]:
    """Return what links may say after ``#``, as the usual renderers make it of headings."""
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
            target = page.parent / path if path else page
            if not target.exists() or (anchor and anchor not in anchors(target.resolve())):
                broken.append(f"{page.relative_to(ROOT)}: {path}#{anchor}")
    assert PAGES
    assert broken == []
