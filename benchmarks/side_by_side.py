"""How every benchmark here is run, measures and reports."""

from __future__ import annotations

import argparse
import math
import statistics
import time
from typing import TYPE_CHECKING, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


def run(benchmark: Callable[[T], Iterable[Goal]], *, full: T, smoke: T) -> int:
    """Run a benchmark as the command line says, and return the exit code.

    ``full`` and ``smoke`` say how much of everything there is. A smoke run shows that the
    benchmark works: its figures mean nothing, and are not judged.
    """
    parser = argparse.ArgumentParser(description="What it compares: benchmarks/README.md.")
    parser.add_argument(
        "--smoke", action="store_true", help="tiny sizes, to see that it runs; judge no figure"
    )
    is_smoke = parser.parse_args().smoke
    goals = list(benchmark(smoke if is_smoke else full))
    for goal in goals:
        print(goal.figure if is_smoke else goal.verdict)
    return 0 if is_smoke or all(goal.is_met for goal in goals) else 1


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


def ratio(ours: float, theirs: float) -> float:
    """Return ``ours`` over ``theirs``; not a number where theirs was too little to measure."""
    return ours / theirs if theirs > 0 else math.nan


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

    @property
    def figure(self) -> str:
        """What was measured, as a line."""
        return f"{self.name}: {self.ratio:.3g} {self.unit}"

    @property
    def verdict(self) -> str:
        """That with the goal, and whether it was met."""
        limit = f"at most {self.at_most:g}" if self.at_most is not None else ""
        if self.at_least is not None:
            limit = f"at least {self.at_least:g}"
        return f"{self.figure} (goal: {limit}; {'met' if self.is_met else 'MISSED'})"
