"""What writing and reading 4 MiB costs the host: CPU and memory, against esptool.

Whole processes on one pseudo-terminal in front of one simulated ESP32-C3 that takes no time
of its own and is served by a third process. The time that zlib alone takes for the image is
subtracted from both; so is what the interpreter needs, from the memory.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import attrs

from processes import PATIENCE, GivenUpError, killed_after, served_chip
from side_by_side import Goal, ratio, run
from write_efficiency import firmware

MIB = 1 << 20


@attrs.frozen
class Extent:
    """How much is measured."""

    size: int = 4 * MIB
    rounds: int = 3


@attrs.frozen
class Cost:
    """What a process cost."""

    cpu: float
    """In seconds, user and system."""
    memory: int
    """The most that was resident, in bytes."""


# The memory that the system reports of a child begins with that of its parent. So each
# process looks at its own when it ends.
RUN_MODULE = """
import atexit, pathlib, runpy, sys

def report(path=sys.argv[1]):
    status = pathlib.Path("/proc/self/status").read_text()
    pathlib.Path(path).write_text(status.partition("VmHWM:")[2].split()[0])

atexit.register(report)
module, *sys.argv[1:] = sys.argv[2:]
if module:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def cost_of(module: str, *arguments: str) -> Cost:
    """Run a module to its end; no module for the interpreter alone.

    Raises:
        GivenUpError: it failed or did not end; says what it printed.
    """
    with tempfile.TemporaryFile() as output, tempfile.NamedTemporaryFile() as memory:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN_MODULE, memory.name, module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with killed_after(process, PATIENCE):
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise GivenUpError(output.read().decode())
        kibibytes = int(Path(memory.name).read_text(encoding="ascii"))
    return Cost(usage.ru_utime + usage.ru_stime, kibibytes * 1024)


def zlib_seconds(image: bytes) -> float:
    """Return what zlib alone takes for the image."""
    start = time.process_time()
    zlib.compress(image, 9)
    return time.process_time() - start


def median(costs: list[Cost]) -> Cost:
    """Return the median of each figure."""
    return Cost(
        statistics.median(cost.cpu for cost in costs),
        int(statistics.median(cost.memory for cost in costs)),
    )


def benchmark(extent: Extent) -> list[Goal]:
    """Write and read with both in turn, print what it costs, and return the figures."""
    image = firmware(extent.size)
    compressing = zlib_seconds(image)
    costs: dict[str, list[Cost]] = {}
    with tempfile.TemporaryDirectory() as folder, served_chip("--pty") as served:
        size = str(extent.size)
        path, copy = Path(folder, "image.bin"), Path(folder, "copy.bin")
        common = ("--port", served.urls["pty"], "--before", "no-reset", "--after", "no-reset")
        for number in range(extent.rounds):
            # Another image each time, or nothing would be written.
            content = random.Random(number).randbytes(16) + image[16:]  # noqa: S311 - data
            path.write_bytes(content)
            jobs = {
                "our write": ("esploader", *common, "write_flash", "--no-skip", "0", str(path)),
                "their write": ("esptool", *common, "write-flash", "0", str(path)),
                "our read": ("esploader", *common, "read_flash", "0", size, str(copy)),
                "their read": ("esptool", *common, "read-flash", "0", size, str(copy)),
            }
            for name, job in jobs.items():
                costs.setdefault(name, []).append(cost_of(*job))
                if name.endswith("read") and copy.read_bytes() != content:
                    raise GivenUpError(f"{name}: this is not what was written")
            costs.setdefault("interpreter", []).append(cost_of(""))
    medians = {name: median(each) for name, each in costs.items()}
    print(f"zlib: {compressing:.2f} s")
    for name, cost in medians.items():
        print(f"{name}: {cost.cpu:.2f} s CPU, {cost.memory / MIB:.1f} MiB")
    ours, theirs = (medians[f"{who} write"].cpu - compressing for who in ("our", "their"))
    base = medians["interpreter"].memory + extent.size
    return [
        Goal("CPU for writing / esptool's, without zlib", ratio(ours, theirs), at_most=0.25),
        Goal(
            "CPU for reading / esptool's",
            ratio(medians["our read"].cpu, medians["their read"].cpu),
            at_most=0.1,
        ),
        *(
            Goal(
                f"memory of {job} beyond interpreter and image",
                (medians[job].memory - base) / MIB,
                at_most=24,
                unit="MiB",
            )
            for job in ("our write", "our read")
        ),
    ]


if __name__ == "__main__":
    sys.exit(run(benchmark, full=Extent(), smoke=Extent(size=0x1000, rounds=1)))
