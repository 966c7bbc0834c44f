"""What holds for all tests."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the slow tests to ``.ci/run --full``, which sets ``ESPLOADER_FULL=1``."""
    if os.environ.get("ESPLOADER_FULL") == "1":
        return
    for item in items:
        if item.get_closest_marker("slow") is not None:
            item.add_marker(pytest.mark.skip(reason="slow: only with ESPLOADER_FULL=1"))
