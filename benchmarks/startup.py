"""What starting costs, as whole processes: ours against ``import serial`` and esptool."""

from __future__ import annotations

import subprocess
import sys

from side_by_side import Goal, conclude, measure

ROUNDS = 15


def python(*arguments: str) -> None:
    """Run this interpreter to its end."""
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def main() -> int:
    """Measure, print, and return the exit code."""
    jobs = {
        "python -c pass": ("-c", "pass"),
        "import serial": ("-c", "import serial"),
        "import esploader": ("-c", "import esploader"),
        "from esploader import connect": ("-c", "from esploader import connect"),
        "esploader version": ("-m", "esploader", "version"),
        "esptool version": ("-m", "esptool", "version"),
    }
    times = dict(
        zip(
            jobs,
            measure(*(lambda job=job: python(*job) for job in jobs.values()), rounds=ROUNDS),
            strict=True,
        )
    )
    for name, seconds in times.items():
        print(f"{name}: {1000 * seconds:.0f} ms")
    esptool = times["esptool version"]
    return conclude(
        Goal(
            "import esploader / import serial",
            times["import esploader"] / times["import serial"],
            at_most=2.5,
        ),
        Goal(
            "from esploader import connect / esptool version",
            times["from esploader import connect"] / esptool,
            at_most=0.8,
        ),
        Goal(
            "esploader version / esptool version", times["esploader version"] / esptool, at_most=0.5
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
