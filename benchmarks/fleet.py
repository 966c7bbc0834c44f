"""Many boards written at once from one process, against one of them alone.

The boards are simulated chips, served in real time by processes of their own: what they cost has
to fit on the machine as well, and what each side used is what the system says of it (Linux only).
All get the same artefact, and each its serial number besides.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING

import attrs

from esploader.fleet import Artefact, DeviceInput, Found, Job, flash_many
from processes import memory_of, served_chips
from server_load import cost_of
from side_by_side import Goal, ratio, run
from write_efficiency import firmware

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

BAUDRATE = 460800
OFFSET = 0x1_0000
SERIAL_NUMBER_OFFSET = 0x9000
MIB = 1024 * 1024

SERVER_COUNT = 2
"""Processes that serve the boards: one for all would be at the bounds of what one can do."""

CORES = 2
"""What all of it has to fit on."""

WALL_LIMIT = 1.3
"""Of the time that one board takes."""


@attrs.frozen
class Extent:
    """How much is measured."""

    board_count: int = 32
    size: int = MIB


@attrs.frozen
class Cost:
    """What writing some boards took."""

    wall: float
    """In seconds."""
    cpu: float
    """In seconds, of this process."""
    served_cpu: float
    """In seconds, of those that serve the boards."""
    memory: int
    """By how much this process grew, in bytes."""


@contextlib.contextmanager
def boards(count: int) -> Iterator[tuple[list[subprocess.Popen[str]], list[str]]]:
    """Serve boards; yield the processes and the URLs."""
    with contextlib.ExitStack() as stack:
        processes: list[subprocess.Popen[str]] = []
        urls: list[str] = []
        for number in range(SERVER_COUNT):
            chips = [f"sim://esp32c3?seed={seed}" for seed in range(number, count, SERVER_COUNT)]
            process, found = stack.enter_context(
                served_chips("--realtime", "--rfc2217", "0", *chips)
            )
            processes.append(process)
            urls += (url for each in found for url in each.values())
        yield processes, urls


def serial_number(found: Found) -> list[DeviceInput]:
    """Return what a board gets that no other does."""
    return [DeviceInput(SERIAL_NUMBER_OFFSET, str(found.mac).encode())]


def write(urls: Sequence[str], artefact: Artefact) -> None:
    """Write boards at once, and see that they hold what they should."""
    jobs = [
        Job(
            port=url,
            artefact=artefact,
            device_inputs=serial_number,
            baudrate=BAUDRATE,
            skip=False,
        )
        for url in urls
    ]
    for board in flash_many(jobs):
        if not board.is_verified:
            sys.exit(f"{board.port} does not hold what it should: {board.error}")


def cpu_of(processes: Sequence[subprocess.Popen[str]]) -> float:
    """Return how much CPU ``processes`` have used by now, in seconds."""
    return sum(cost_of(process).seconds for process in processes)


def write_all(
    urls: Sequence[str], artefact: Artefact, processes: Sequence[subprocess.Popen[str]]
) -> Cost:
    """Write boards at once, and measure what that takes."""
    served, cpu = cpu_of(processes), time.process_time()
    memory, start = memory_of(os.getpid(), "VmRSS"), time.perf_counter()
    write(urls, artefact)
    return Cost(
        wall=time.perf_counter() - start,
        cpu=time.process_time() - cpu,
        served_cpu=cpu_of(processes) - served,
        memory=memory_of(os.getpid(), "VmHWM") - memory,
    )


def benchmark(extent: Extent) -> list[Goal]:
    """Write one board and then all, print what it takes, and return the figures."""
    count = extent.board_count
    content = firmware(extent.size)
    with boards(count) as (processes, urls):
        # What is loaded and made once does not count: neither for one nor for all.
        write(urls[:1], Artefact.read([(OFFSET, content[: extent.size // 8])]))
        one = write_all(urls[:1], Artefact.read([(OFFSET, content)]), processes)
        every = write_all(urls, Artefact.read([(OFFSET, content)]), processes)
    for what, cost, number in (("one board", one, 1), (f"{count} boards", every, count)):
        print(
            f"{what}: {cost.wall:.1f} s; CPU for each: {1000 * cost.cpu / number:.0f} ms, "
            f"simulated by {1000 * cost.served_cpu / number:.0f} ms"
        )
    available = CORES * WALL_LIMIT * one.wall
    return [
        Goal("wall time", ratio(every.wall, one.wall), at_most=WALL_LIMIT),
        Goal("CPU, of what there is", ratio(every.cpu + every.served_cpu, available), at_most=1),
        Goal("CPU, of one core, without the boards", ratio(every.cpu, one.wall), at_most=1),
        Goal("memory of a board", every.memory / count / MIB, at_most=4, unit="MiB"),
    ]


if __name__ == "__main__":
    sys.exit(run(benchmark, full=Extent(), smoke=Extent(board_count=2, size=0x1000)))
