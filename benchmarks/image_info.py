"""What it costs to look into an image of 4 MiB: whole processes, ours against esptool.

Our ``image_info`` and esptool's in turn, on one file with the image of an ESP32-C3.
"""

from __future__ import annotations

import functools
import hashlib
import operator
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

import attrs

from client_cost import cost_of
from side_by_side import Goal, ratio, run

MIB: Final = 1 << 20

HEADER: Final = bytes.fromhex("e901022f20000042ee0000000500000000ffff0000000001")
"""One segment, DIO, 80 MHz, 4 MB, entered at 0x4200_0020, for every ESP32-C3, with a digest."""

ADDRESS: Final = 0x4200_0020


@attrs.frozen
class Extent:
    """How much is measured."""

    size: int = 4 * MIB
    rounds: int = 15


def image_of(size: int) -> bytes:
    """Return an intact image of so many bytes."""
    data = random.Random(0).randbytes(size - 80)  # noqa: S311 - data, not a secret
    segment = ADDRESS.to_bytes(4, "little") + len(data).to_bytes(4, "little") + data
    checksum = functools.reduce(operator.xor, data, 0xEF)
    body = (HEADER + segment).ljust(size - 33, b"\0") + bytes((checksum,))
    return body + hashlib.sha256(body).digest()


def benchmark(extent: Extent) -> list[Goal]:
    """Run both in turn, print what they take, and return the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.bin"
        path.write_bytes(image_of(extent.size))
        jobs = {
            "esploader image_info": ("esploader", "image_info", str(path)),
            "esptool image-info": ("esptool", "image-info", str(path)),
        }
        costs: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(extent.rounds):
            for name, job in jobs.items():
                costs[name].append(cost_of(*job).cpu)
    medians = {name: statistics.median(each) for name, each in costs.items()}
    for name, seconds in medians.items():
        print(f"{name}: {1000 * seconds:.0f} ms CPU")
    ours, theirs = medians.values()
    return [Goal("CPU of image_info / esptool's", ratio(ours, theirs), at_most=0.5)]


if __name__ == "__main__":
    sys.exit(run(benchmark, full=Extent(), smoke=Extent(size=MIB // 64, rounds=1)))
