"""The queues in the model of a fleet: who comes first is served first, and nothing twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueing import Job, Station, run

SECONDS = st.integers(0, 50).map(lambda number: number / 8)


def test_jobs_wait_for_one_another() -> None:
    link = Station("link")
    jobs = [Job(((link, 2.0),), 1.0, 1) for _ in range(3)]
    assert run(jobs) == [3.0, 5.0, 7.0]
    assert (link.busy, link.share(12.0)) == (6.0, 0.5)


def test_as_many_are_served_at_once_as_there_are_servers() -> None:
    cores = Station("cores", 2)
    assert run([Job(((cores, 2.0),), 0.0, 1) for _ in range(4)]) == [2.0, 2.0, 4.0, 4.0]
    assert cores.share(4.0) == 1.0


def test_who_comes_later_waits_even_if_it_is_named_first() -> None:
    link = Station("link")
    late, early = Job(((link, 2.0),), 0.0, 1, start=1.0), Job(((link, 2.0),), 0.0, 1)
    assert run([late, early]) == [4.0, 2.0]


def test_pieces_of_one_job_follow_one_another() -> None:
    first, second = Station("first"), Station("second")
    assert run([Job(((first, 1.0), (second, 2.0)), 3.0, 4)]) == [24.0]


@given(
    st.lists(st.tuples(SECONDS, SECONDS, SECONDS), min_size=1, max_size=12),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_nobody_is_quicker_than_alone_and_no_server_works_more_than_there_is_time(
    times: list[tuple[float, float, float]], servers: int, pieces: int
) -> None:
    station = Station("station", servers)
    jobs = [Job(((station, served),), alone, pieces, start) for served, alone, start in times]

    ends = run(jobs)

    for (served, alone, start), end in zip(times, ends, strict=True):
        assert end >= start + pieces * (served + alone)
    assert station.busy == pytest.approx(pieces * sum(served for served, _, _ in times))
    assert station.busy <= servers * max(ends)
