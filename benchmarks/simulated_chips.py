"""What simulated chips cost: many in one process in virtual time, and one served in real time.

200 chips are flashed in one process, client included, and kept. Then a chip is served by a
process of its own, paced as a UART is, and what that process uses is what the system says of
it (Linux only): while a client writes and reads at 460800 baud, through the stub and through the
ROM loader, and while nothing happens.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from esploader import connect
from esploader.chips.registry import CHIPS
from esploader.simulator.device import SimulatedDevice
from processes import served_chip
from side_by_side import Goal, run

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from esploader.loader.download_mode import Before

OFFSET = 0x10000
BAUDRATE = 460800
MIB = 1024 * 1024

# Of some chips nothing is known but what they are recognised by.
DESCRIBED = tuple(chip for chip in CHIPS if chip.is_described)


@attrs.frozen
class Extent:
    """How much is measured."""

    device_count: int = 200
    image_size: int = 256 * 1024
    served_size: int = 512 * 1024
    idle_time: float = 5.0
    """In seconds, twice for each front end."""


TRANSFER_SHARE = 0.03
"""Of a core."""

ROM_READING_SHARE = 0.25
"""Of a core: the ROM hands over 64 bytes an exchange, and each of 600 a second wakes the server."""


def image(seed: int, size: int) -> bytes:
    """Return bytes that do not compress, so that all of them are on the wire."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - data


def resident() -> int:
    """Return how much memory this process has now, in bytes."""
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def flash(seed: int, size: int) -> SimulatedDevice:
    """Make a device, write its flash, and return it."""
    chip = DESCRIBED[seed % len(DESCRIBED)]
    device = SimulatedDevice(chip, seed=seed)
    with connect(device.open_transport(), baudrate=BAUDRATE) as connected:
        connected.flash.write([(OFFSET, image(seed, size))])
    return device


def flash_many(count: int, size: int) -> tuple[float, float, float]:
    """Flash all; return seconds of CPU, simulated seconds and bytes of memory, for each."""
    for seed in range(min(count, len(DESCRIBED))):  # what loads once does not count
        flash(seed, size)
    memory, cpu = resident(), time.process_time()
    devices = [flash(seed, size) for seed in range(count)]
    cpu = time.process_time() - cpu
    memory = resident() - memory
    for seed, device in enumerate(devices):
        if device.nor.read(OFFSET, size) != image(seed, size):
            sys.exit(f"device {seed} does not hold what it should")
    simulated = sum(device.clock.now() for device in devices)
    return cpu / count, simulated / count, memory / count


def cpu_of(process: subprocess.Popen[str]) -> float:
    """Ask the system how much CPU ``process`` has used by now, in seconds."""
    schedule = Path(f"/proc/{process.pid}/schedstat")
    if schedule.exists():
        return int(schedule.read_text(encoding="ascii").split()[0]) / 1e9
    status = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii")
    fields = status.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def shares(extent: Extent, before: Before, *options: str, stub: bool = True) -> dict[str, float]:
    """Return which share of a core a served chip takes, by what happens to it."""
    payload = image(0, extent.served_size)
    with served_chip("--realtime", *options) as served:
        process = served.process
        (url,) = served.urls.values()

        def share(job: Callable[[], object]) -> float:
            cpu, start = cpu_of(process), time.perf_counter()
            job()
            return (cpu_of(process) - cpu) / (time.perf_counter() - start)

        with connect(url, baudrate=BAUDRATE, before=before, stub=stub) as device:
            device.flash.prepare()
            found = {
                "writing": share(lambda: device.flash.write([(OFFSET, payload)], skip=False)),
                "reading": share(lambda: device.flash.read(OFFSET, extent.served_size)),
                "connected": share(lambda: time.sleep(extent.idle_time)),
            }
        return {**found, "alone": share(lambda: time.sleep(extent.idle_time))}


def benchmark(extent: Extent) -> list[Goal]:
    """Flash many and serve a few, print what they cost, and return the figures."""
    count, size = extent.device_count, extent.image_size
    cpu, simulated, memory = flash_many(count, size)
    print(f"{count} chips, {size // 1024} KiB each, in one process in virtual time:")
    print(f"a chip: {1000 * cpu:.0f} ms of CPU, client included, for {simulated:.1f} s")
    print(f"a chip: {memory / 1024:.0f} KiB of memory")
    goals = [
        Goal("CPU / simulated time", cpu / simulated, at_most=0.05),
        Goal(
            "memory beyond the flash content",
            (memory - size) / MIB,
            at_most=1,
            unit="MiB",
        ),
    ]
    for name, (found, reading_share) in {
        "RFC 2217": (shares(extent, "default-reset", "--rfc2217", "0"), TRANSFER_SHARE),
        "PTY": (shares(extent, "no-reset", "--pty"), TRANSFER_SHARE),
        "RFC 2217, without a stub": (
            shares(extent, "default-reset", "--rfc2217", "0", stub=False),
            ROM_READING_SHARE,
        ),
    }.items():
        for what, share in found.items():
            print(f"a chip served on {name}, {what}: {100 * share:.3f} % of a core")
        idle = max(found["connected"], found["alone"])
        goals += [
            Goal(f"{name}: share of a core, writing", found["writing"], at_most=TRANSFER_SHARE),
            Goal(f"{name}: share of a core, reading", found["reading"], at_most=reading_share),
            Goal(f"{name}: share of a core when idle", idle, at_most=0.0005),
        ]
    return goals


if __name__ == "__main__":
    smoke = Extent(device_count=2, image_size=0x1000, served_size=0x400, idle_time=0.02)
    sys.exit(run(benchmark, full=Extent(), smoke=smoke))
