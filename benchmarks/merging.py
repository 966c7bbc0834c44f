"""What it costs to merge four files into one of 4 MiB: whole processes, ours against esptool.

Both make a raw file, an Intel HEX file and a UF2 file of the same four inputs, in turn. That the
results are the same is looked at. Our bytecode is made beforehand, as it is when a package is
installed; that of esptool was.
"""

from __future__ import annotations

import compileall
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

import esploader
from client_cost import cost_of
from side_by_side import Goal, ratio, run

if TYPE_CHECKING:
    from collections.abc import Sequence

MIB: Final = 1 << 20
FORMATS: Final = ("raw", "hex", "uf2")

# Offsets, and the end of each file in parts of the whole.
LAYOUT: Final = ((0x0, 0x6000), (0x8000, 0x8C00), (0x1_0000, 0x28_0000), (0x28_0000, 0x40_0000))


@attrs.frozen
class Extent:
    """How much is measured."""

    size: int = 4 * MIB
    rounds: int = 7
    formats: tuple[str, ...] = FORMATS


def inputs(folder: Path, size: int) -> list[str]:
    """Make four files that end at ``size`` bytes, and return the words that name them."""
    dice = random.Random(0)  # noqa: S311 - data, not a secret
    words: list[str] = []
    for number, (start, end) in enumerate(LAYOUT):
        scale = size / (4 * MIB)
        first, last = (int(place * scale) // 0x1000 * 0x1000 for place in (start, end + 0xFFF))
        path = folder / f"{number}.bin"
        path.write_bytes(dice.randbytes(max(last - first, 0x1000) - 7))
        words += [hex(first if scale == 1 else number * size), str(path)]
    return words


def command(output: Path, kind: str, files: Sequence[str]) -> list[str]:
    """Return the words behind the name of either program."""
    options = ("--output", str(output), "--format", kind)
    return ["--chip", "esp32c3", "merge-bin", *options, *files]


def benchmark(extent: Extent) -> list[Goal]:
    """Run all in turn, print what they take, and return the ratios."""
    goals: list[Goal] = []
    compileall.compile_dir(str(Path(esploader.__file__).parent), quiet=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = inputs(folder, extent.size)
        for kind in extent.formats:
            costs: dict[str, list[float]] = {"esploader": [], "esptool": []}
            for _ in range(extent.rounds):
                for module, taken in costs.items():
                    taken.append(cost_of(module, *command(folder / module, kind, files)).cpu)
            if (folder / "esploader").read_bytes() != (folder / "esptool").read_bytes():
                raise ValueError(f"the {kind} files differ")
            ours, theirs = (statistics.median(taken) for taken in costs.values())
            print(f"{kind}: {1000 * ours:.0f} ms CPU, esptool {1000 * theirs:.0f} ms")
            goals.append(
                Goal(f"CPU of a {kind} file / esptool's", ratio(ours, theirs), at_most=0.5)
            )
    return goals


if __name__ == "__main__":
    smoke = Extent(size=MIB // 16, rounds=1, formats=("uf2",))
    sys.exit(run(benchmark, full=Extent(), smoke=smoke))
