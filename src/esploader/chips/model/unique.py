"""Names that must differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def require_unique(what: str, values: Iterable[object]) -> None:
    """Raise :exc:`ValueError` when two of ``values`` are the same."""
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"there are two of {what} {value!r}")
        seen.add(value)
