"""On a line that loses, garbles, delays or breaks off: the right flash, or no success.

Time is virtual and every seed fixed. The whole matrix is slow; a part of it is not.
"""

from __future__ import annotations

import itertools
import os
import random
from typing import TYPE_CHECKING, TypeAlias

import attrs
import pytest

from esploader.errors import EsploaderError
from esploader.simulator import (
    Corrupt,
    Cut,
    Delay,
    Drop,
    FaultyTransport,
    SimulatedDevice,
    SimulatedTransport,
    Stall,
)
from stub_files import shared_stubs
from untouched import connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esploader.device.device import Device

Fault: TypeAlias = Drop | Corrupt | Delay | Stall | Cut

OFFSET = 0x10000
SIZE = 256 * 1024

LINES: dict[str, tuple[Fault, ...]] = {
    "drops 1e-5": (Drop(rate=1e-5),),
    "drops 1e-6": (Drop(rate=1e-6),),
    "corrupts 1e-5": (Corrupt(rate=1e-5),),
    "corrupts 1e-6": (Corrupt(rate=1e-6),),
    "drops and corrupts 1e-5": (Drop(rate=5e-6), Corrupt(rate=5e-6)),
}
"""Lines on which at least 99 of 100 writes must succeed."""

BROKEN_LINES: dict[str, tuple[Fault, ...]] = {
    "delays": (Delay(rate=1e-5, seconds=0.3),),
    "stalls": (Stall(rate=3e-6, seconds=5.0),),
    "cuts off and returns": (Cut(rate=3e-6, seconds=1.0),),
}
"""Lines on which a write succeeds unless it is hit while connecting."""

TERRIBLE_LINES: dict[str, tuple[Fault, ...]] = {
    "drops 1e-4": (Drop(rate=1e-4),),
    "corrupts 1e-4": (Corrupt(rate=1e-4),),
}
"""Lines on which a write may fail, and must not lie."""

LOADERS = [("esp32c3", True), ("esp32", True), ("esp32c3", False)]
SEEDS = 12

WHOLE_MATRIX = os.environ.get("ESPLOADER_FULL") == "1"


@attrs.frozen
class Case:
    """One run: a line, a loader, a seed."""

    faults: tuple[Fault, ...]
    chip: str
    has_stub: bool
    seed: int


def cases(lines: dict[str, tuple[Fault, ...]]) -> Iterator[Case]:
    """Yield all, or each line with a loader in its turn, and each loader."""
    seeds = SEEDS if WHOLE_MATRIX else 1
    turns = min(len(lines), len(LOADERS))
    for seed, (row, faults), (column, loader) in itertools.product(
        range(seeds), enumerate(lines.values()), enumerate(LOADERS)
    ):
        if WHOLE_MATRIX or (row - column) % turns == 0:
            yield Case(faults, *loader, seed)


def image(seed: int) -> bytes:
    """Return data that compresses about as firmware does."""
    source = random.Random(seed)  # noqa: S311 - data, not a secret
    words = [source.randbytes(4) for _ in range(256)]
    return b"".join(
        source.choice(words) if source.random() < 0.8 else source.randbytes(4)
        for _ in range(SIZE // 4)
    )


IMAGE = image(0)
CHANGED = 0x1_2345
CHANGED_IMAGE = IMAGE[:CHANGED] + bytes((IMAGE[CHANGED] ^ 1,)) + IMAGE[CHANGED + 1 :]
HOLLOW_IMAGE = IMAGE[:0x8000] + b"\xff" * 0x2_8000 + IMAGE[0x3_0000:]
"""Most of it is only to be erased."""


def on_bad_line(case: Case, stubs: Path, content: bytes) -> tuple[SimulatedDevice, Device]:
    """Return a simulated device with ``content``, and our end of the bad line to it."""
    device = SimulatedDevice(case.chip)
    device.nor.program(OFFSET, content)
    line = FaultyTransport(SimulatedTransport(device), case.faults, seed=case.seed)
    stub = stubs if case.has_stub else False
    target = connect(line, baudrate=460800, stub=stub)
    target.link.reopen = line.reopen
    return device, target


def written(case: Case, stubs: Path, content: bytes = IMAGE) -> bool:
    """Write over a bad line; tell whether it said that it succeeded."""
    try:
        device, target = on_bad_line(case, stubs, bytes(SIZE))
        with target:
            target.flash.write([(OFFSET, content)])
    except EsploaderError:
        return False
    assert bytes(device.nor.read(OFFSET, SIZE)) == content, f"{case} lied"
    return True


def was_read(case: Case, stubs: Path) -> bool:
    """Read over a bad line; tell whether it said that it succeeded."""
    try:
        _, target = on_bad_line(case, stubs, IMAGE)
        with target:
            data = target.flash.read(OFFSET, SIZE)
    except EsploaderError:
        return False
    assert data == IMAGE, f"{case} lied"
    return True


def was_verified(case: Case, stubs: Path, content: bytes) -> bool:
    """Compare over a bad line; tell whether it came to an end."""
    try:
        _, target = on_bad_line(case, stubs, IMAGE)
        with target:
            differences = target.flash.verify([(OFFSET, content)])
    except EsploaderError:
        return False
    found = [(difference.start - OFFSET, difference.end - OFFSET) for difference in differences]
    expected = [] if content == IMAGE else [(CHANGED, CHANGED + 1)]
    assert found == expected, f"{case} lied"
    return True


@pytest.fixture(name="stubs")
def _stubs() -> Path:
    return shared_stubs()


def test_writes_get_through_bad_lines(stubs: Path) -> None:
    outcomes = [written(case, stubs) for case in cases(LINES)]
    assert sum(outcomes) >= 0.99 * len(outcomes)


def test_writes_of_hollow_images_get_through_bad_lines(stubs: Path) -> None:
    outcomes = [
        written(case, stubs, HOLLOW_IMAGE) for case in (*cases(LINES), *cases(TERRIBLE_LINES))
    ]
    assert sum(outcomes) >= 0.9 * len(outcomes)


def test_reads_get_through_bad_lines(stubs: Path) -> None:
    outcomes = [was_read(case, stubs) for case in cases(LINES)]
    assert sum(outcomes) >= 0.99 * len(outcomes)


@pytest.mark.parametrize("content", [IMAGE, CHANGED_IMAGE], ids=["same", "changed"])
def test_comparisons_get_through_bad_lines(stubs: Path, content: bytes) -> None:
    outcomes = [was_verified(case, stubs, content) for case in cases(LINES)]
    assert sum(outcomes) >= 0.99 * len(outcomes)


@pytest.mark.parametrize("content", [IMAGE, CHANGED_IMAGE], ids=["same", "changed"])
def test_comparisons_over_terrible_lines_never_lie(stubs: Path, content: bytes) -> None:
    outcomes = [was_verified(case, stubs, content) for case in cases(TERRIBLE_LINES)]
    assert any(outcomes)


def test_writes_survive_breaks(stubs: Path) -> None:
    outcomes = [written(case, stubs) for case in cases(BROKEN_LINES)]
    assert sum(outcomes) >= 0.97 * len(outcomes)


def test_reads_survive_breaks(stubs: Path) -> None:
    outcomes = [was_read(case, stubs) for case in cases(BROKEN_LINES)]
    assert sum(outcomes) >= 0.97 * len(outcomes)


def test_writes_over_terrible_lines_never_lie(stubs: Path) -> None:
    outcomes = [written(case, stubs) for case in cases(TERRIBLE_LINES)]
    assert any(outcomes)


def test_reads_over_terrible_lines_never_lie(stubs: Path) -> None:
    outcomes = [was_read(case, stubs) for case in cases(TERRIBLE_LINES)]
    assert any(outcomes)
