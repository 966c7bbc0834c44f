"""Wait for a program that is still starting."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 30.0
"""When to give up, in seconds."""

_INTERVAL = 0.02

T = TypeVar("T")


def eventually(
    attempt: Callable[[], T],
    error: type[Exception] | tuple[type[Exception], ...],
    *,
    patience: float = PATIENCE,
) -> T:
    """Return what ``attempt`` returns, once it no longer raises ``error``, or one of these."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return attempt()
        except error:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_INTERVAL)
