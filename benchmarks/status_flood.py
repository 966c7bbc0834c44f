"""What transfers lose while somebody floods the status page of the same server.

One server process has a pseudo-terminal, through which bytes go as fast as they can, and a
simulated chip in a process of its own, which is written at the pace of a line. Both transfers are
made in pairs, without the flood and with it, all on the loopback interface (Linux only). The flood
is a process of its own, which gives way to the others as it would if it came from another machine.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, cast

import attrs

from esploader import connect
from flooding import flooded
from processes import GivenUpError, read_document, running, served_chip
from server_load import SETTLING, Line, cost_of, exchange
from side_by_side import Goal, ratio, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MIB = 1024 * 1024


@attrs.frozen
class Extent:
    """How much is measured."""

    rounds: int
    size: int
    """What goes through the pseudo-terminal in each direction, in bytes."""
    image_size: int
    """What is written to the chip, in bytes: random, so that it is as much on the line."""
    rest: float
    """For how long the flood has the server to itself before each transfer, in seconds."""
    settling: float = SETTLING


FULL = Extent(rounds=5, size=40 * MIB, image_size=256 * 1024, rest=10.0)
SMOKE = Extent(rounds=1, size=0x4000, image_size=0x400, rest=0.0, settling=0.0)

LONGEST = 150.0
"""After how long a flood ends by itself, in seconds."""


@attrs.frozen
class Server:
    """A server process, and where it is reached."""

    process: subprocess.Popen[str]
    line: Line
    tcp_port: int
    """Of the pseudo-terminal."""
    chip_url: str
    status_port: int


@contextlib.contextmanager
def server(settling: float) -> Iterator[Server]:
    """Serve a pseudo-terminal, a simulated chip and a status page."""
    with (
        contextlib.closing(Line()) as line,
        served_chip("--realtime", "--rfc2217", "0", "--chip", "esp32c3") as board,
    ):
        chip = board.urls["rfc2217"]
        options = ("--json", "-p", "0", "--status=0", line.path, chip)
        command = (sys.executable, "-m", "esploader", "serve", *options)
        with running(*command, errors=subprocess.DEVNULL) as process:
            document = read_document(process)
            urls = cast("Mapping[str, str]", document["urls"])
            tcp_port, status_port = (
                int(str(url).rstrip("/").rpartition(":")[2])
                for url in (urls[line.path], document["status_url"])
            )
            time.sleep(settling)
            yield Server(process, line, tcp_port, urls[chip], status_port)


def bytes_at_once(served: Server, size: int) -> None:
    """Send bytes there and back as fast as it goes."""
    exchange([served.tcp_port], [served.line], size)


def bytes_of_a_line(served: Server, size: int) -> None:
    """Write the chip at 460800 baud, and see that it holds what it should."""
    # Another one each time: what the chip holds already is not written.
    image = random.randbytes(size)  # noqa: S311 - no secret
    with connect(served.chip_url, stub=False, baudrate=460800) as device:
        device.flash.write([(0x10000, image)])
        if device.flash.verify([(0x10000, image)]):
            raise GivenUpError("the chip does not hold what it should")


@attrs.frozen
class Taken:
    """What a transfer has taken."""

    seconds: float
    of_cpu: float
    """Of the server, in seconds: of the flood, too."""

    @property
    def line(self) -> str:
        """What is printed of it."""
        return f"{self.seconds:.2f} s ({self.of_cpu:.2f} s of CPU)"


def taken(served: Server, job: Callable[[], None]) -> Taken:
    """Return what a transfer takes."""
    before, start = cost_of(served.process).seconds, time.perf_counter()
    job()
    seconds = time.perf_counter() - start
    return Taken(seconds, cost_of(served.process).seconds - before)


def compare(served: Server, extent: Extent, job: Callable[[], None]) -> float:
    """Return how much longer a job takes under the flood, as the median of pairs."""
    ratios = []
    for _ in range(extent.rounds):
        alone = taken(served, job)
        with flooded(served.status_port, LONGEST):
            time.sleep(extent.rest)
            flood = taken(served, job)
        ratios.append(ratio(flood.seconds, alone.seconds))
        print(f"  alone {alone.line}, in the flood {flood.line}")
    return statistics.median(ratios)


def benchmark(extent: Extent) -> list[Goal]:
    """Transfer with and without the flood, and return how much longer that takes."""
    with server(extent.settling) as served:
        bytes_at_once(served, 0x1000)
        print("as fast as it goes:")
        fast = compare(served, extent, lambda: bytes_at_once(served, extent.size))
        print("at the pace of a line:")
        paced = compare(served, extent, lambda: bytes_of_a_line(served, extent.image_size))
    # A tenth of the rate less is 1.11 of the time.
    return [
        Goal("time in the flood / alone, as fast as it goes", fast, at_most=1 / 0.9),
        Goal("time in the flood / alone, at the pace of a line", paced, at_most=1 / 0.9),
    ]


if __name__ == "__main__":
    sys.exit(run(benchmark, full=FULL, smoke=SMOKE))
