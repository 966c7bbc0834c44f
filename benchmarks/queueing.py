"""Jobs that pass through queues again and again, in virtual time: what is busy, and when all end.

A job is cut into equal pieces, each of which visits the same stations one after the other and then
takes some time that nobody else has a part in. A station serves whoever came first.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@attrs.define(eq=False)
class Station:
    """Something that jobs share: processors, or a link."""

    name: str
    servers: int = 1
    """How many pieces it serves at once."""
    busy: float = attrs.field(default=0.0, init=False)
    """What it has worked, all servers together, in seconds."""
    _free_at: list[float] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._free_at = [0.0] * self.servers

    def serve(self, now: float, seconds: float) -> float:
        """Take in a piece that comes now; return when it is done."""
        start = max(now, self._free_at[0])
        heapq.heapreplace(self._free_at, start + seconds)
        self.busy += seconds
        return start + seconds

    def share(self, wall: float) -> float:
        """Return how much of what it could have worked in that time it has."""
        return self.busy / (wall * self.servers)


@attrs.frozen(eq=False)
class Job:
    """What is to be done, as often as there are pieces."""

    visits: Sequence[tuple[Station, float]]
    """Where a piece goes, and how long it is served there, in seconds."""
    alone: float
    """What a piece takes besides, in seconds."""
    pieces: int
    start: float = 0.0


def run(jobs: Iterable[Job]) -> list[float]:
    """Run all jobs; return when each has ended, in their order."""
    queued = list(jobs)
    ends = [0.0] * len(queued)
    # The number breaks ties, so that nothing depends on anything but the jobs.
    events = [(job.start, number, 0) for number, job in enumerate(queued)]
    heapq.heapify(events)
    while events:
        now, number, step = events[0]
        job = queued[number]
        piece, visit = divmod(step, len(job.visits) + 1)
        if piece == job.pieces:
            ends[number] = now
            heapq.heappop(events)
            continue
        if visit < len(job.visits):
            station, seconds = job.visits[visit]
            moment = station.serve(now, seconds)
        else:
            moment = now + job.alone
        heapq.heapreplace(events, (moment, number, step + 1))
    return ends
