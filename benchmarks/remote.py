"""Remote ports: ``flash_id`` and a write of 300 kB, ours against ``esptool``'s.

Whole processes, in turn, each on the same unpaced simulated ESP32-C3: through ser2net in
front of its pseudo-terminal, and through our server over networks with a round trip of
100 ms and, for esptool may not finish there, of 50 ms. What is written differs from run to
run, so that nothing of it is there already. Takes about eight minutes, nearly all of them
esptool's. In a smoke run esptool has the pseudo-terminal itself, and no slow network.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from flash_id import ser2net
from processes import LOOPBACK, GivenUpError, run_module, served_chip
from side_by_side import Goal, measure, run
from slow_network import slow_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

OFFSET = "0x10000"

RUN_TIME = 300.0
"""When a run that does not end is given up, in seconds: esptool's, on the slow network."""

OURS, THEIRS = "esploader", "esptool"


@attrs.frozen
class Extent:
    """How much is measured."""

    size: int = 300_000
    round_trips: tuple[float, ...] = (0.1, 0.05)
    """Of the slow networks, in seconds. esptool may not finish on the first."""
    rounds: int = 3
    esptool_is_remote: bool = True


@attrs.define
class Jobs:
    """Makes jobs for a device: one run of a program each."""

    folder: Path
    size: int
    urls: Mapping[str, str]
    """Where the device is, by program."""
    _seeds: Iterator[int] = attrs.field(factory=itertools.count, init=False)

    def flash_id(self, program: str) -> Callable[[], None]:
        """Return what reads the flash id."""
        return lambda: self._run(program, "Detected flash size: 4MB", "flash-id")

    def write(self, program: str) -> Callable[[], None]:
        """Return what writes an image that nobody wrote before, and verifies it."""

        def job() -> None:
            image = self.folder / "image"
            image.write_bytes(firmware(next(self._seeds), self.size))
            self._run(program, "Hash of data verified.", "write-flash", OFFSET, str(image))

        return job

    def _run(self, program: str, proof: str, *command: str) -> None:
        printed = run_module(program, "--port", self.urls[program], *command, timeout=RUN_TIME)
        if proof not in printed:
            raise GivenUpError(printed)


def firmware(seed: int, size: int) -> bytes:
    """Return bytes that compress to about 55 %, as code does."""
    source = random.Random(seed)  # noqa: S311 - the same in every run
    pieces = (
        source.randbytes(17) + bytes((source.randrange(256),)) * 15 for _ in range(size // 32 + 1)
    )
    return b"".join(pieces)[:size]


def through_ser2net(extent: Extent, folder: Path) -> list[Goal]:
    """Measure in front of a pseudo-terminal: the chip waits in download mode."""
    with served_chip("--pty") as served, ser2net(served.urls["pty"]) as port:
        url = f"rfc2217://{LOOPBACK}:{port}"
        # esptool waits for an answer that ser2net gives for no pseudo-terminal.
        theirs_at = f"{url}?ign_set_control" if extent.esptool_is_remote else served.urls["pty"]
        jobs = Jobs(folder, extent.size, {OURS: url, THEIRS: theirs_at})
        goals = []
        for name, make, limit in (("flash_id", jobs.flash_id, 0.1), ("write", jobs.write, 0.25)):
            ours, theirs = measure(make(OURS), make(THEIRS), rounds=extent.rounds)
            print(f"{name} through ser2net: esploader {ours:.2f} s, esptool {theirs:.2f} s")
            goals.append(Goal(f"{name} through ser2net", ours / theirs, at_most=limit))
    return goals


def identify_far_away(extent: Extent, folder: Path) -> Goal:
    """Measure our ``flash_id`` through our server; this one is about real time."""
    round_trip = extent.round_trips[0]
    with far_away(extent, folder, round_trip) as jobs:
        (seconds,) = measure(jobs.flash_id(OURS), rounds=extent.rounds)
    name = f"flash_id through our server at {round_trip * 1000:.0f} ms"
    return Goal(name, seconds, at_most=2.5, unit="s")


def write_far_away(extent: Extent, folder: Path, round_trip: float) -> Goal | None:
    """Measure a write through our server; ``None`` where esptool does not finish."""
    name = f"write through our server at {round_trip * 1000:.0f} ms"
    with far_away(extent, folder, round_trip) as jobs:
        (ours,) = measure(jobs.write(OURS), rounds=extent.rounds)
        if not extent.esptool_is_remote:
            print(f"{name}: esploader {ours:.2f} s")
            return None
        started = time.perf_counter()
        try:
            (theirs,) = measure(jobs.write(THEIRS), rounds=1)
        except GivenUpError as exc:
            seconds = time.perf_counter() - started
            print(f"{name}: esploader {ours:.2f} s, esptool does not finish ({seconds:.0f} s):")
            print(next((line for line in str(exc).splitlines() if "rror" in line), str(exc)))
            return None
    print(f"{name}: esploader {ours:.2f} s, esptool {theirs:.2f} s")
    return Goal(name, ours / theirs, at_most=0.2)


@contextlib.contextmanager
def far_away(extent: Extent, folder: Path, round_trip: float) -> Iterator[Jobs]:
    """Serve a chip across a slow network; yield what makes jobs for it."""
    with (
        served_chip("--rfc2217", "0") as served,
        slow_network(served.tcp_ports[0], round_trip) as port,
    ):
        url = f"rfc2217://{LOOPBACK}:{port}"
        yield Jobs(folder, extent.size, {OURS: url, THEIRS: url})


def benchmark(extent: Extent) -> list[Goal]:
    """Do the jobs with both in turn, print what they take, and return the figures."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        goals = [identify_far_away(extent, folder)]
        writes = (write_far_away(extent, folder, each) for each in extent.round_trips)
        goals += filter(None, writes)
        goals += through_ser2net(extent, folder)
        return goals


if __name__ == "__main__":
    smoke = Extent(size=0x1000, round_trips=(0.01,), rounds=1, esptool_is_remote=False)
    sys.exit(run(benchmark, full=Extent(), smoke=smoke))
