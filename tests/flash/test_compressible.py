"""What compresses to nothing is written step by step: there is progress, and a place to stop."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from esploader import connect
from esploader.flash.progress import Phase, Progress, ProgressEvent
from esploader.simulator import SimulatedDevice
from stub_files import shared_stubs

if TYPE_CHECKING:
    from pathlib import Path

MEGABYTE = bytes(1024 * 1024)
STEP = 64 * 1024


@pytest.fixture(name="stub", params=[False, True], ids=["rom", "stub"])
def _stub(request: pytest.FixtureRequest) -> Path | None:
    return shared_stubs() if request.param else None


def test_a_megabyte_of_zeros_are_reported_in_steps_of_64_kib(stub: Path | None) -> None:
    done = [0]

    def note(event: ProgressEvent) -> None:
        if isinstance(event, Progress) and event.phase is Phase.WRITE:
            done.append(event.done)

    simulated = SimulatedDevice("esp32c3")
    with connect(simulated.open_transport(), stub=stub or False) as device:
        device.flash.write([(0x10000, MEGABYTE)], skip=False, on_progress=note)
    assert simulated.flash.rstrip(b"\xff") == b"\xff" * 0x10000 + MEGABYTE
    assert done[-1] == len(MEGABYTE)
    assert max(later - before for before, later in itertools.pairwise(done)) <= STEP


def test_a_megabyte_of_zeros_can_be_stopped_in_the_middle(stub: Path | None) -> None:
    def stop(event: ProgressEvent) -> None:
        if isinstance(event, Progress) and event.done >= len(MEGABYTE) // 2:
            raise KeyboardInterrupt

    with connect("sim://esp32c3", stub=stub or False) as device:
        with pytest.raises(KeyboardInterrupt):
            device.flash.write([(0x10000, MEGABYTE)], skip=False, on_progress=stop)
        rest = device.flash.read(0x10000 + len(MEGABYTE) - 0x1000, 0x1000)
    assert rest == b"\xff" * 0x1000
