"""10,000 boards behind 300 exporters, in virtual time: what is busy first, and how long it takes.

What a board costs is measured in this run (``fleet_facts.py``): the real client writes the
artefact to a simulated chip over a network with a round trip, in virtual time, through a server
that obeys gates (ours) and through one that does not (ser2net); real servers relay bytes, and the
client writes to a chip in another process, both at the pace of a line, which tells what they take
of a processor. The queues in between are a model (``queueing.py``). What is assumed is printed.
Needs ``PYTHONPATH=tests/support``; Linux only.
"""

from __future__ import annotations

import random
import sys
import zlib
from typing import TYPE_CHECKING

import attrs

from fleet_facts import (
    BAUDRATE,
    MIB,
    Processors,
    Way,
    local_client_seconds,
    our_processors,
    ser2net_processors,
    way_beside_board,
    way_through_server,
)
from queueing import Job, Station
from queueing import run as run_jobs
from server_load import SETTLING
from side_by_side import Goal, ratio, run
from write_efficiency import firmware

if TYPE_CHECKING:
    from collections.abc import Iterable

OURS, SER2NET = "our server", "ser2net"

GIGABIT = 1e9 / 8
"""In bytes a second."""

SITE_CORES = 16
"""Of the machine at the coordinator's site, with a process of clients for each."""

EXPORTER_CORES = 4
"""Of a small industrial computer; ser2net has them all, a process a port."""

OUR_SERVER_CORES = FLEET_CORES = 1
"""What a process of Python makes use of: one serves all ports, one flashes all boards."""

FETCHING_ROUND_TRIPS = 5
"""What it takes to have an exporter fetch the artefact and begin: TCP, TLS, a request, an order."""

SEED = 16
"""What decides which exporter has how many boards."""

PIECES = 8
"""Into how many pieces a job is cut: more of them change the figures by less than a hundredth."""

BUSY = 0.9
"""The share of its time from which something counts as saturated."""

ASSUMED = f"""\
the boards are spread over the exporters by chance, and all of them begin at once
the lines to the boards have {BAUDRATE} baud
the site has {SITE_CORES} cores, and a process of clients for each
an exporter has {EXPORTER_CORES} cores; ser2net, a process a port, makes use of them all
our server and a fleet are a process each, which makes use of one core
an exporter's uplink has 1 Gbit/s; nothing is lost on the way, and TCP is never short of window
an exporter fetches the artefact once, in {FETCHING_ROUND_TRIPS} round trips"""


@attrs.frozen
class Extent:
    """How much there is of everything."""

    boards: int = 10_000
    exporters: int = 300
    size: int = MIB
    round_trips: tuple[float, ...] = (0.002, 0.02, 0.2)
    """Between the site and the exporters, in seconds."""
    site_uplinks: tuple[float, ...] = (GIGABIT, 10 * GIGABIT)
    ports: int = 32
    """Of our server, where it is measured."""
    relayed: int = 512 * 1024
    """What goes through each of them each way, in bytes."""
    settling: float = SETTLING


@attrs.frozen
class Outcome:
    """How a deployment does."""

    wall: float
    """Until the last board is done, in seconds."""
    through_site: float
    """In bytes."""
    sessions: int
    """Open at once, at the site."""
    exporter_cpu: float
    """Of the busiest exporter, in seconds of a processor."""
    exporter_share: float
    """Of the cores that it can make use of, while it lasts."""
    shares: dict[str, float]
    """How busy everything is that is shared, at the place where it is busiest."""

    @property
    def first(self) -> str:
        """What is busiest, and whether that is what everybody waits for."""
        name = max(self.shares, key=self.shares.__getitem__)
        share = self.shares[name]
        if share >= BUSY:
            return f"{name} first ({100 * share:.0f} %)"
        return f"nothing, but the lines to the boards; then {name} ({100 * share:.1f} %)"


def spread(extent: Extent) -> list[int]:
    """Return how many boards each exporter has."""
    chance = random.Random(SEED)  # noqa: S311 - the same in every run
    counts = [0] * extent.exporters
    for _ in range(extent.boards):
        counts[chance.randrange(extent.exporters)] += 1
    return counts


@attrs.define
class Deployment:
    """The boards and what is between them and the site."""

    counts: list[int]
    site_uplink: Station = attrs.field(factory=lambda: Station("the site's uplink"))
    site_cores: Station = attrs.field(factory=lambda: Station("the site's cores", SITE_CORES))
    uplinks: list[Station] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.uplinks = [Station("the exporters' uplinks") for _ in self.counts]

    def outcome(
        self,
        jobs: Iterable[Job],
        cores: list[Station],
        through_site: float,
        sessions: int,
    ) -> Outcome:
        """Run the jobs, and look at what has worked how much."""
        wall = max(run_jobs(jobs))
        stations = [self.site_uplink, self.site_cores, *self.uplinks, *cores]
        shares: dict[str, float] = {}
        for station in stations:
            shares[station.name] = max(shares.get(station.name, 0.0), station.share(wall))
        busiest = max(cores, key=lambda station: station.busy)
        return Outcome(wall, through_site, sessions, busiest.busy, busiest.share(wall), shares)


def clients_at_site(
    counts: list[int], way: Way, processors: Processors, cores: int, uplink: float
) -> Outcome:
    """All clients run at the site, each with a connection to its board's exporter."""
    deployment = Deployment(counts)
    servers = [Station("the exporters' cores", cores) for _ in counts]
    relaying = processors.server_per_mib * way.carried / MIB
    jobs = [
        Job(
            (
                (deployment.site_cores, processors.client / PIECES),
                (deployment.site_uplink, way.carried / uplink / PIECES),
                (deployment.uplinks[place], way.carried / GIGABIT / PIECES),
                (servers[place], relaying / PIECES),
            ),
            way.seconds / PIECES,
            PIECES,
        )
        for place, count in enumerate(counts)
        for _ in range(count)
    ]
    boards = len(jobs)
    return deployment.outcome(jobs, servers, boards * way.carried, boards)


def fleets_on_exporters(
    counts: list[int], way: Way, client: float, artefact: int, round_trip: float, uplink: float
) -> Outcome:
    """The artefact goes to each exporter once, and a fleet there writes it to all of its boards."""
    deployment = Deployment(counts)
    cores = [Station("the exporters' cores", FLEET_CORES) for _ in counts]
    fetching = [
        Job(
            ((deployment.site_uplink, artefact / uplink), (each, artefact / GIGABIT)),
            FETCHING_ROUND_TRIPS * round_trip,
            1,
        )
        for each in deployment.uplinks
    ]
    jobs = [
        Job(((cores[place], client / PIECES),), way.seconds / PIECES, PIECES, start)
        for place, (count, start) in enumerate(zip(counts, run_jobs(fetching), strict=True))
        for _ in range(count)
    ]
    return deployment.outcome(jobs, cores, len(counts) * artefact, len(counts))


def show(round_trip: float, uplink: float, who: str, outcome: Outcome) -> None:
    """Print a line."""
    print(
        f"{1000 * round_trip:4.0f} ms, {8 * uplink / 1e9:2.0f} Gbit/s, {who}: "
        f"{outcome.wall:.1f} s, {outcome.through_site / 1e9:.2f} GB through the site, "
        f"{outcome.sessions} sessions, busiest exporter {outcome.exporter_cpu:.1f} s of CPU "
        f"({100 * outcome.exporter_share:.1f} %); saturated: {outcome.first}"
    )


def show_limits(round_trip: float, who: str, way: Way, processors: Processors, cores: int) -> None:
    """Print what a board takes, and how many at once are as much as there is."""
    relaying = processors.server_per_mib * way.carried / MIB
    print(
        f"{1000 * round_trip:4.0f} ms, one board, {who}: {way.seconds:.1f} s, "
        f"{way.carried / 1000:.0f} kB; as many at once saturate 1 Gbit/s: "
        f"{GIGABIT * way.seconds / way.carried:.0f}, the site's cores: "
        f"{SITE_CORES * way.seconds / processors.client:.0f}, an exporter's: "
        f"{ratio(cores * way.seconds, relaying):.0f}"
    )


def benchmark(extent: Extent) -> list[Goal]:
    """Measure what a board costs, let the model run, print what comes out."""
    image = firmware(extent.size)
    artefact = len(zlib.compress(image, 9))
    ours = our_processors(image, extent.ports, extent.relayed, extent.settling)
    measured = ser2net_processors(image, extent.relayed)
    processors = {OURS: ours, SER2NET: measured or ours}
    cores = {OURS: OUR_SERVER_CORES, SER2NET: EXPORTER_CORES}
    for who, each in processors.items():
        print(
            f"{who}: {1000 * each.server_per_mib:.1f} ms of CPU per MiB at the pace of a line, "
            f"{1000 * each.client:.0f} ms for its client, compressing not counted"
        )
    local, beside = local_client_seconds(image), way_beside_board(image)
    print(f"beside the board: {beside.seconds:.1f} s, {1000 * local:.0f} ms for the client")
    for line in ASSUMED.splitlines():
        print(f"assumed: {line}")
    counts = spread(extent)
    print(f"{sum(counts)} boards, {len(counts)} exporters, the fullest with {max(counts)}")
    last: dict[str, Outcome] = {}
    for round_trip in extent.round_trips:
        ways = {who: way_through_server(image, round_trip, gates=who == OURS) for who in processors}
        for who, way in ways.items():
            show_limits(round_trip, who, way, processors[who], cores[who])
        for uplink in extent.site_uplinks:
            for who, way in ways.items():
                last[who] = clients_at_site(counts, way, processors[who], cores[who], uplink)
                show(round_trip, uplink, f"clients at the site, {who}", last[who])
            last["fleet"] = fleets_on_exporters(counts, beside, local, artefact, round_trip, uplink)
            show(round_trip, uplink, "fleets on the exporters", last["fleet"])
    return [
        Goal(
            "bytes through the site, fleets on the exporters / clients at the site",
            ratio(last["fleet"].through_site, last[OURS].through_site),
            at_most=0.05,
        ),
        Goal(
            "wall time at the longest round trip, fleets on the exporters / ser2net",
            ratio(last["fleet"].wall, last[SER2NET].wall),
            at_most=0.7,
        ),
    ]


if __name__ == "__main__":
    smoke = Extent(
        boards=60,
        exporters=6,
        size=0x1000,
        round_trips=(0.02,),
        site_uplinks=(GIGABIT,),
        ports=2,
        relayed=0x800,
        settling=0.0,
    )
    sys.exit(run(benchmark, full=Extent(), smoke=smoke))
