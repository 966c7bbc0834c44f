"""The simulated loaders answer as the recorded ones did, byte for byte.

No row is left out: none was found that shows the emulator rather than the chip. Whole sequences
are those of ``test_sequences.py``.
"""

from __future__ import annotations

import functools

import pytest

from esploader.simulator.flash.timings import UNPACED, Timings
from esploader.simulator.recordings.check import CheckedRow, check_recording
from esploader.simulator.recordings.recording import read_recording
from recordings import VECTORS

FILES = sorted(path.name for path in VECTORS.glob("*.json"))


@functools.cache
def checked(file: str, timings: Timings) -> tuple[CheckedRow, ...]:
    return check_recording(read_recording(VECTORS / file), timings)


def row_count(file: str) -> int:
    return len(read_recording(VECTORS / file).rows)


@pytest.mark.parametrize(
    ("file", "index"), [(file, index) for file in FILES for index in range(row_count(file))]
)
@pytest.mark.parametrize("timings", [Timings(), UNPACED], ids=["paced", "unpaced"])
def test_recorded_answer(file: str, index: int, timings: Timings) -> None:
    row = checked(file, timings)[index]

    assert row.actual == row.expected, row.name
