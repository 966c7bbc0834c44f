"""A status page takes a share of the processor, whatever is asked of it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.server.status.budget import BURST, SHARE, Budget, PacedSelector


class Times:
    """What two clocks show."""

    def __init__(self) -> None:
        self.wall = 100.0
        self.used = 5.0

    def budget(self) -> Budget:
        return Budget(wall=lambda: self.wall, used=lambda: self.used)


def test_who_does_little_never_rests() -> None:
    times = Times()
    budget = times.budget()
    for _ in range(1000):
        times.wall += 1.0
        times.used += 0.9 * SHARE
        assert budget.rest() == 0.0


def test_a_burst_is_allowed_and_paid_back() -> None:
    times = Times()
    budget = times.budget()
    times.wall += 0.2
    times.used += 0.2
    assert budget.rest() == 0.0
    times.used += BURST
    rest = budget.rest()
    assert rest == pytest.approx((0.2 + BURST - BURST) / SHARE)
    times.wall += rest
    assert budget.rest() == pytest.approx(0.0, abs=1e-9)


def test_idleness_is_not_saved_up_without_a_limit() -> None:
    times = Times()
    budget = times.budget()
    times.wall += 1_000_000.0
    times.used += 2 * BURST
    assert budget.rest() == pytest.approx(BURST / SHARE)


@given(st.lists(st.tuples(st.floats(0.0, 0.5), st.floats(0.0, 0.5)), max_size=60))
def test_no_more_than_the_share_and_one_burst_is_ever_used(
    steps: list[tuple[float, float]],
) -> None:
    times = Times()
    budget = times.budget()
    begun, used_before = times.wall, times.used
    largest = 0.0
    for idle, work in steps:
        times.wall += budget.rest() + idle
        times.wall += work
        times.used += work
        largest = max(largest, work)
    times.wall += budget.rest()
    used, passed = times.used - used_before, times.wall - begun
    assert used <= passed * SHARE + BURST + 1e-6


def test_a_loop_that_never_stops_working_gets_its_share_and_ends_at_once() -> None:
    hurry = threading.Event()
    used: list[float] = []

    async def work() -> None:
        begun = time.thread_time()
        end = asyncio.get_running_loop().time() + 1.0
        while asyncio.get_running_loop().time() < end:
            sum(range(1000))
            await asyncio.sleep(0)
        used.append(time.thread_time() - begun)

    with asyncio.Runner(
        loop_factory=lambda: asyncio.SelectorEventLoop(PacedSelector(hurry))
    ) as runner:
        runner.run(work())
        # A turn of the loop is the least that is done at once.
        assert used[0] <= BURST + 1.5 * SHARE + 0.05
        hurry.set()
        begun = time.monotonic()
        runner.run(asyncio.sleep(0))
        assert time.monotonic() - begun < 1.0
