"""A status page takes a share of the processor, whatever is asked of it."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.classes import override
from esploader.server.status.budget import BURST, SHARE, Budget, PacedSelector

TURN = 0.02
"""What one turn of a loop takes, in seconds."""


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


@pytest.mark.parametrize("waking", [0.0, 0.01], ids=["quick", "slow to wake up"])
def test_a_loop_that_never_stops_working_gets_its_share_and_ends_at_once(waking: float) -> None:
    times = Times()
    rests: list[float] = []

    class Hurry(threading.Event):
        @override
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            rests.append(timeout)
            times.wall += timeout
            times.used += waking
            return self.is_set()

    async def work(seconds: float) -> None:
        end = times.wall + seconds
        while times.wall < end:
            times.wall += TURN
            times.used += TURN
            await asyncio.sleep(0)

    hurry = Hurry()
    with asyncio.Runner(
        loop_factory=lambda: asyncio.SelectorEventLoop(PacedSelector(hurry, times.budget))
    ) as runner:
        begun, used_before = times.wall, times.used
        runner.run(work(1000.0))
        used, passed = times.used - used_before, times.wall - begun
        assert 0.9 * passed * SHARE < used <= passed * SHARE + BURST + TURN + waking
        # No turn waits twice.
        assert len(rests) <= used / (TURN + waking) + 1
        hurry.set()
        rests.clear()
        runner.run(work(1.0))
        assert not rests
