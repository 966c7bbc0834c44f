"""What holds for all tests."""

from __future__ import annotations

import os
from collections import Counter

import attrs
import pytest
from hypothesis import settings

from one_fault import Counts


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the slow tests to ``.ci/run --full``, which sets ``ESPLOADER_FULL=1``."""
    if os.environ.get("ESPLOADER_FULL") == "1":
        return
    for item in items:
        if item.get_closest_marker("slow") is not None:
            item.add_marker(pytest.mark.skip(reason="slow: only with ESPLOADER_FULL=1"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what came of the faults of ``scenarios/test_one_fault_everywhere.py``."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    columns = [field.name for field in attrs.fields(Counts)]
    reports = (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed"))
    for name, value in (item for report in reports for item in report.user_properties):
        if name == "one fault" and isinstance(value, list | tuple):
            operation, loader, *found = value
            for case in ((operation, loader), (operation, "all"), ("all", "all")):
                known = counts.setdefault(case, Counter())
                known.update(dict(zip(columns, found, strict=True)))
    if not counts:
        return
    terminalreporter.section("one fault everywhere")
    for (operation, loader), numbers in sorted(counts.items()):
        text = ", ".join(f"{numbers[column]} {column}" for column in columns)
        terminalreporter.write_line(f"{operation} on {loader}: {text}")


# Chance has a seed: what passes here passes there, and what fails can be looked at again.
settings.register_profile("seeded", derandomize=True)
settings.load_profile("seeded")
