"""What simulated chips cost: many in one process in virtual time, and one served in real time.

200 chips are flashed in one process, client included, and kept. Then a chip is served by a
process of its own, paced as a UART is, and what that process uses is what the system says of
it (Linux only): while a client writes and reads at 460800 baud, through the stub and through the
ROM loader, and while nothing happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from esploader import connect
from esploader.chips.registry import CHIPS
from esploader.simulator.device import SimulatedDevice
from side_by_side import Goal, conclude

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from esploader.loader.download_mode import Before

DEVICES = 200
IMAGE_SIZE = 256 * 1024
SERVED_SIZE = 512 * 1024
OFFSET = 0x10000
BAUDRATE = 460800
IDLE_SECONDS = 5.0
MIB = 1024 * 1024

# Of some chips nothing is known but what they are recognised by.
DESCRIBED = tuple(chip for chip in CHIPS if chip.is_described)

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


def flash(seed: int) -> SimulatedDevice:
    """Make a device, write its flash, and return it."""
    chip = DESCRIBED[seed % len(DESCRIBED)]
    device = SimulatedDevice(chip, seed=seed)
    with connect(device.open_transport(), baudrate=BAUDRATE) as connected:
        connected.flash.write([(OFFSET, image(seed, IMAGE_SIZE))])
    return device


def flash_many() -> tuple[float, float, float]:
    """Flash all; return seconds of CPU, simulated seconds and bytes of memory, for each."""
    for seed in range(len(DESCRIBED)):  # what loads once does not count
        flash(seed)
    memory, cpu = resident(), time.process_time()
    devices = [flash(seed) for seed in range(DEVICES)]
    cpu = time.process_time() - cpu
    memory = resident() - memory
    for seed, device in enumerate(devices):
        if device.nor.read(OFFSET, IMAGE_SIZE) != image(seed, IMAGE_SIZE):
            sys.exit(f"device {seed} does not hold what it should")
    simulated = sum(device.clock.now() for device in devices)
    return cpu / DEVICES, simulated / DEVICES, memory / DEVICES


@contextlib.contextmanager
def served_chip(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve a chip in a process of its own; yield it and the URL."""
    command = [sys.executable, "-m", "esploader", "sim", "serve", "--realtime", "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        text = ""
        while not text.endswith("\n}\n"):
            text += process.stdout.readline() if process.stdout is not None else ""
        (device,) = json.loads(text)["devices"]
        (url,) = device["urls"].values()
        try:
            yield process, url
        finally:
            process.terminate()


def cpu_of(process: subprocess.Popen[str]) -> float:
    """Ask the system how much CPU ``process`` has used by now, in seconds."""
    schedule = Path(f"/proc/{process.pid}/schedstat")
    if schedule.exists():
        return int(schedule.read_text(encoding="ascii").split()[0]) / 1e9
    status = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii")
    fields = status.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def shares(before: Before, *options: str, stub: bool = True) -> dict[str, float]:
    """Return which share of a core a served chip takes, by what happens to it."""
    payload = image(0, SERVED_SIZE)
    with served_chip(*options) as (process, url):

        def share(job: Callable[[], object]) -> float:
            cpu, start = cpu_of(process), time.perf_counter()
            job()
            return (cpu_of(process) - cpu) / (time.perf_counter() - start)

        with connect(url, baudrate=BAUDRATE, before=before, stub=stub) as device:
            device.flash.prepare()
            found = {
                "writing": share(lambda: device.flash.write([(OFFSET, payload)], skip=False)),
                "reading": share(lambda: device.flash.read(OFFSET, SERVED_SIZE)),
                "connected": share(lambda: time.sleep(IDLE_SECONDS)),
            }
        return {**found, "alone": share(lambda: time.sleep(IDLE_SECONDS))}


def main() -> int:
    """Measure, print, and return the exit code."""
    cpu, simulated, memory = flash_many()
    print(f"{DEVICES} chips, {IMAGE_SIZE // 1024} KiB each, in one process in virtual time:")
    print(f"a chip: {1000 * cpu:.0f} ms of CPU, client included, for {simulated:.1f} s")
    print(f"a chip: {memory / 1024:.0f} KiB of memory")
    goals = [
        Goal("CPU / simulated time", cpu / simulated, at_most=0.05),
        Goal("memory beyond the flash content, in MiB", (memory - IMAGE_SIZE) / MIB, at_most=1),
    ]
    for name, (found, reading_share) in {
        "RFC 2217": (shares("default-reset", "--rfc2217", "0"), TRANSFER_SHARE),
        "PTY": (shares("no-reset", "--pty"), TRANSFER_SHARE),
        "RFC 2217, without a stub": (
            shares("default-reset", "--rfc2217", "0", stub=False),
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
    return conclude(*goals)


if __name__ == "__main__":
    sys.exit(main())
