"""The simulated loaders answer as the recorded ones did, byte for byte.

No row is left out: none was found that shows the emulator rather than the chip. Whole sequences
are those of ``test_sequences.py``.
"""

from __future__ import annotations

import pytest

from esploader.simulator.flash.timings import UNPACED, Timings
from esploader.simulator.recordings.check import check_recording
from esploader.simulator.recordings.recording import read_recording
from recordings import VECTORS

FILES = sorted(path.name for path in VECTORS.glob("*.json"))


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("timings", [Timings(), UNPACED], ids=["paced", "unpaced"])
def test_recorded_answers(file: str, timings: Timings) -> None:
    recording = read_recording(VECTORS / file)
    rows = check_recording(recording, timings)
    assert len(rows) == len(recording.rows)
    for row in rows:
        assert row.actual == row.expected, row.name
