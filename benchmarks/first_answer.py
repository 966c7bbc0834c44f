"""What it costs to ask a chip for its flash: whole processes, ours against esptool.

Our ``flash_id`` and esptool's, each through the ROM loader, in turn on one simulated ESP32-C3
that takes no time of its own and is served on a raw TCP port by a third process; and ours once
more with a simulated chip of its own, which it has to make. Nearly all of it is importing.
"""

from __future__ import annotations

import statistics
import sys

import attrs

from client_cost import cost_of
from processes import served_chip
from side_by_side import Goal, ratio, run


@attrs.frozen
class Extent:
    """How much is measured."""

    rounds: int = 15


def benchmark(extent: Extent) -> list[Goal]:
    """Run all in turn, print what they take, and return the ratios."""
    with served_chip("--tcp", "0") as served:
        url = served.urls["tcp"]
        jobs = {
            "esploader flash_id": ("esploader", "--no-stub", "--port", url, "flash_id"),
            "esptool flash-id": ("esptool", "--no-stub", "--port", url, "flash-id"),
            "esploader flash_id, sim://": (
                "esploader",
                "--no-stub",
                "--port",
                "sim://esp32c3",
                "flash_id",
            ),
        }
        costs: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(extent.rounds):
            for name, job in jobs.items():
                costs[name].append(cost_of(*job).cpu)
    medians = {name: statistics.median(each) for name, each in costs.items()}
    for name, seconds in medians.items():
        print(f"{name}: {1000 * seconds:.0f} ms CPU")
    ours, theirs, simulated = medians.values()
    return [
        Goal("CPU of flash_id / esptool's", ratio(ours, theirs), at_most=0.8),
        Goal("CPU of flash_id on sim:// / esptool's", ratio(simulated, theirs), at_most=1.1),
    ]


if __name__ == "__main__":
    sys.exit(run(benchmark, full=Extent(), smoke=Extent(rounds=1)))
