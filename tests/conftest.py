"""What holds for all tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import settings

if TYPE_CHECKING:
    import pytest


IS_FULL = os.environ.get("ESPLOADER_FULL") == "1"
"""What ``.ci/run --full`` asks for: the slow tests too, and more examples of what is drawn."""


def pytest_report_header() -> str:
    """Say which tests there are."""
    return "slow tests: run, too" if IS_FULL else "slow tests: left out; ESPLOADER_FULL=1 runs them"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow tests out, if they were not asked for."""
    if IS_FULL:
        return
    slow = [item for item in items if item.get_closest_marker("slow") is not None]
    if slow:
        config.hook.pytest_deselected(items=slow)
        left_out = set(slow)
        items[:] = [item for item in items if item not in left_out]


# Chance has a seed: what passes here passes there, and what fails can be looked at again.
settings.register_profile("seeded", derandomize=True)
settings.load_profile("seeded")
