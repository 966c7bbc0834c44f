"""The page on chips is what the registry makes of it."""

from __future__ import annotations

from chips_page import PAGE, page
from esploader.chips.registry import CHIPS


def test_the_page_is_current() -> None:
    # PYTHONPATH=src python tests/support/chips_page.py
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_chip_is_on_the_page() -> None:
    text = page()

    for chip in CHIPS:
        assert f"### {chip.name}\n" in text
