"""A printer for tests that do not look at what is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esploader.progress import ProgressEvent


class Silent:
    """Prints nothing."""

    def line(self, text: str = "") -> None:
        """Print nothing."""

    def labelled(self, label: str, text: str) -> None:
        """Print nothing."""

    def note(self, text: str) -> None:
        """Print nothing."""

    def progress(self, event: ProgressEvent) -> None:
        """Draw nothing."""
