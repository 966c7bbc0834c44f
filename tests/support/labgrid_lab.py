"""A lab of labgrid on this machine: coordinator, exporter and client, each a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines import require_engine

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = ("labgrid==26.0.1",)


def require_labgrid() -> Path:
    """Return the folder of the programs of labgrid; skip the test where it cannot be had."""
    return require_engine("labgrid", PACKAGES)
