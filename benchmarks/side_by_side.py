"""How every benchmark here measures and reports."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable


def measure(*jobs: Callable[[], object], rounds: int) -> list[float]:
    """Run all jobs in turn, ``rounds`` times over, and return the median seconds of each.

    In turn, so that a slow moment of the machine hits all of them.
    """
    seconds: list[list[float]] = [[] for _ in jobs]
    for _ in range(rounds):
        for job, taken in zip(jobs, seconds, strict=True):
            start = time.perf_counter()
            job()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


@attrs.frozen
class Goal:
    """A figure, usually a ratio, and what it should be."""

    name: str
    ratio: float
    at_most: float | None = None
    at_least: float | None = None
    unit: str = "x"

    @property
    def is_met(self) -> bool:
        """The ratio is what it should be."""
        return (self.at_most is None or self.ratio <= self.at_most) and (
            self.at_least is None or self.ratio >= self.at_least
        )

    def report(self) -> str:
        """Return a line that says so, or that it is not."""
        limit = f"at most {self.at_most:g}" if self.at_most is not None else ""
        if self.at_least is not None:
            limit = f"at least {self.at_least:g}"
        verdict = "met" if self.is_met else "MISSED"
        return f"{self.name}: {self.ratio:.3g} {self.unit} (goal: {limit}; {verdict})"


def conclude(*goals: Goal) -> int:
    """Print every goal and return the exit code: 0 when all are met."""
    for goal in goals:
        print(goal.report())
    return 0 if all(goal.is_met for goal in goals) else 1
