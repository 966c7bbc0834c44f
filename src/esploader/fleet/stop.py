"""When a run over many boards begins nothing new any more: too much has gone wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.classes import define, frozen
from esploader.fleet.job import require_at_least, require_real
from esploader.fleet.results import Status

if TYPE_CHECKING:
    from esploader.fleet.results import BoardResult


@frozen(kw_only=True)
class StopRules:
    """When no more boards are begun; those that are under way are finished. ``None``: never."""

    failures: int | None = None
    """After so many boards that are not done."""
    in_a_row: int | None = None
    """After so many of them one after the other, in the order in which they end."""
    share: float | None = None
    """When more than this share of all that have ended, 0 to 1, are not done,"""
    share_after: int = 10
    """as soon as so many have ended."""

    def check(self) -> None:
        """Refuse numbers that make no sense.

        Raises:
            ConfigError: one makes none.
        """
        require_at_least("stop.failures", self.failures, 1)
        require_at_least("stop.in_a_row", self.in_a_row, 1)
        require_real("stop.share", self.share, 0.0, 1.0)
        require_at_least("stop.share_after", self.share_after, 1)


@define
class Tally:
    """Counts what became of boards, and says when to begin no more."""

    rules: StopRules
    ended: int = attrs.field(default=0, init=False)
    failures: int = attrs.field(default=0, init=False)
    in_a_row: int = attrs.field(default=0, init=False)
    reason: str | None = attrs.field(default=None, init=False)
    """Why no more boards are begun; ``None`` as long as they are."""

    def count(self, result: BoardResult) -> None:
        """Count one more."""
        self.ended += 1
        is_bad = result.status is not Status.DONE
        self.failures += is_bad
        self.in_a_row = self.in_a_row + 1 if is_bad else 0
        if self.reason is None:
            self.reason = self._judged(result)

    def _judged(self, result: BoardResult) -> str | None:
        rules = self.rules
        if result.status is Status.UNRECORDED or result.record_failure is not None:
            return f"what is done cannot be recorded: {result.record_failure}"
        if rules.failures is not None and self.failures >= rules.failures:
            return f"{self.failures} boards have failed"
        if rules.in_a_row is not None and self.in_a_row >= rules.in_a_row:
            return f"{self.in_a_row} boards in a row have failed"
        if (
            rules.share is not None
            and self.ended >= rules.share_after
            and self.failures > rules.share * self.ended
        ):
            return f"{self.failures} of {self.ended} boards have failed"
        return None
