"""Remote ports: ``flash_id`` and a write of 300 kB, ours against ``esptool``'s.

Whole processes, in turn, each on the same unpaced simulated ESP32-C3: through ser2net in
front of its pseudo-terminal, and through our server over networks with a round trip of
100 ms and, for esptool may not finish there, of 50 ms. What is written differs from run to
run, so that nothing of it is there already. Takes about eight minutes, nearly all of them
esptool's.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from esploader.server.serve import Server
from esploader.simulator.url import open_served, parse
from flash_id import LOOPBACK, ser2net
from side_by_side import Goal, conclude, measure
from slow_network import slow_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZE = 300_000
OFFSET = "0x10000"

ROUND_TRIPS = (0.1, 0.05)
"""Of the slow networks, in seconds. esptool may not finish on the first."""

ROUNDS = 3

PATIENCE = 300.0
"""When esptool is given up on the slow network, in seconds."""

OURS = ("esploader",)
THEIRS = ("esptool",)


@attrs.define
class Jobs:
    """Makes jobs for a port: one run of a program each."""

    url: str
    folder: Path
    _seeds: Iterator[int] = attrs.field(factory=itertools.count, init=False)

    def flash_id(self, program: tuple[str, ...], query: str = "") -> Callable[[], None]:
        """Return what reads the flash id."""
        return lambda: self._run(program, query, "Detected flash size: 4MB", "flash-id")

    def write(self, program: tuple[str, ...], query: str = "") -> Callable[[], None]:
        """Return what writes an image that nobody wrote before, and verifies it."""

        def job() -> None:
            image = self.folder / "image"
            image.write_bytes(firmware(next(self._seeds)))
            proof = "Hash of data verified."
            self._run(program, query, proof, "write-flash", OFFSET, str(image))

        return job

    def _run(self, program: tuple[str, ...], query: str, proof: str, *command: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", *program, "--port", self.url + query, *command],
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        if done.returncode or proof not in done.stdout:
            raise UnfinishedError(done.stdout + done.stderr)


class UnfinishedError(Exception):
    """A program did not do its job."""


def firmware(seed: int) -> bytes:
    """Return bytes that compress to about 55 %, as code does."""
    source = random.Random(seed)  # noqa: S311 - the same in every run
    pieces = (
        source.randbytes(17) + bytes((source.randrange(256),)) * 15 for _ in range(SIZE // 32 + 1)
    )
    return b"".join(pieces)[:SIZE]


def through_ser2net(folder: Path) -> list[Goal]:
    """Measure in front of a pseudo-terminal: the chip waits in download mode."""
    device = open_served(parse("sim://esp32c3?state=download"))
    with device, Server(device) as server, ser2net(server.open_pty()) as port:
        server.start()
        jobs = Jobs(f"rfc2217://{LOOPBACK}:{port}", folder)
        goals = []
        for name, make, limit in (("flash_id", jobs.flash_id, 0.1), ("write", jobs.write, 0.25)):
            # esptool waits for an answer that ser2net gives for no pseudo-terminal.
            ours, theirs = measure(make(OURS), make(THEIRS, "?ign_set_control"), rounds=ROUNDS)
            print(f"{name} through ser2net: esploader {ours:.2f} s, esptool {theirs:.2f} s")
            goals.append(Goal(f"{name} through ser2net", ours / theirs, at_most=limit))
    return goals


@contextlib.contextmanager
def served_chip() -> Iterator[int]:
    """Serve a chip with our server from a process of its own; yield the TCP port."""
    command = [sys.executable, "-m", "esploader", "sim", "serve", "--rfc2217", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - for the type checker
            line = next(each for each in process.stdout if "rfc2217://" in each)
            yield int(line.rpartition(":")[2])
        finally:
            process.terminate()


def identify_far_away(folder: Path) -> Goal:
    """Measure our ``flash_id`` through our server; this one is about real time."""
    with served_chip() as server, slow_network(server, ROUND_TRIPS[0]) as port:
        jobs = Jobs(f"rfc2217://{LOOPBACK}:{port}", folder)
        (seconds,) = measure(jobs.flash_id(OURS), rounds=ROUNDS)
    name = f"flash_id through our server at {ROUND_TRIPS[0] * 1000:.0f} ms"
    return Goal(name, seconds, at_most=2.5, unit="s")


def write_far_away(folder: Path, round_trip: float) -> Goal | None:
    """Measure a write through our server; ``None`` where esptool does not finish."""
    with served_chip() as server, slow_network(server, round_trip) as port:
        jobs = Jobs(f"rfc2217://{LOOPBACK}:{port}", folder)
        name = f"write through our server at {round_trip * 1000:.0f} ms"
        (ours,) = measure(jobs.write(OURS), rounds=ROUNDS)
        started = time.perf_counter()
        try:
            (theirs,) = measure(jobs.write(THEIRS), rounds=1)
        except (UnfinishedError, subprocess.TimeoutExpired) as exc:
            seconds = time.perf_counter() - started
            print(f"{name}: esploader {ours:.2f} s, esptool does not finish ({seconds:.0f} s):")
            print(next((line for line in str(exc).splitlines() if "rror" in line), str(exc)))
            return None
    print(f"{name}: esploader {ours:.2f} s, esptool {theirs:.2f} s")
    return Goal(name, ours / theirs, at_most=0.2)


def main() -> int:
    """Measure, print, and return the exit code."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        goals = [identify_far_away(folder)]
        goals += filter(None, (write_far_away(folder, each) for each in ROUND_TRIPS))
        goals += through_ser2net(folder)
        return conclude(*goals)


if __name__ == "__main__":
    sys.exit(main())
