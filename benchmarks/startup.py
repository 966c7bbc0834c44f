"""What starting costs, as whole processes: ours against ``import serial`` and esptool."""

from __future__ import annotations

import sys
from functools import partial

import attrs

from processes import run_python
from side_by_side import Goal, measure, run


@attrs.frozen
class Extent:
    """How much is measured."""

    rounds: int = 15


def benchmark(extent: Extent) -> list[Goal]:
    """Start everything in turn, print what it takes, and return the ratios."""
    jobs = {
        "python -c pass": ("-c", "pass"),
        "import serial": ("-c", "import serial"),
        "import esploader": ("-c", "import esploader"),
        "from esploader import connect": ("-c", "from esploader import connect"),
        "esploader version": ("-m", "esploader", "version"),
        "esptool version": ("-m", "esptool", "version"),
    }
    medians = measure(*(partial(run_python, *job) for job in jobs.values()), rounds=extent.rounds)
    times = dict(zip(jobs, medians, strict=True))
    for name, seconds in times.items():
        print(f"{name}: {1000 * seconds:.0f} ms")
    return [
        Goal(f"{ours} / {theirs}", times[ours] / times[theirs], at_most=limit)
        for ours, theirs, limit in (
            ("import esploader", "import serial", 1.6),
            ("from esploader import connect", "esptool version", 0.3),
            ("esploader version", "esptool version", 0.4),
        )
    ]


if __name__ == "__main__":
    sys.exit(run(benchmark, full=Extent(), smoke=Extent(rounds=1)))
