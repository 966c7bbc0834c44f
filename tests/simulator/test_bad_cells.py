"""Cells that are worn or bad stay as they are, and whoever writes there is told the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.errors import FlashError
from esploader.simulator import SimulatedDevice
from esploader.simulator.flash.nor import NorFlash, PowerLostError
from esploader.simulator.flash.timings import UNPACED
from simulated import incompressible
from stub_files import stub_directory
from untouched import connect

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 256 * 1024
SECTOR = 0x1000
OFFSET = 0x10000
IMAGE = incompressible(3 * SECTOR)

positions = st.integers(0, 3 * SECTOR - 1)
bits = st.integers(1, 0xFF)


@given(
    bad=st.dictionaries(positions, bits, max_size=5),
    pieces=st.lists(st.tuples(positions, st.binary(min_size=1, max_size=600)), max_size=4),
)
def test_bad_bits_stay_set_and_others_are_programmed(
    bad: dict[int, int], pieces: list[tuple[int, bytes]]
) -> None:
    flash = NorFlash(SIZE, UNPACED)
    model = bytearray(b"\xff" * (4 * SECTOR))
    for position, mask in bad.items():
        flash.mark_bad(position, mask)
    for offset, data in pieces:
        flash.program(offset, data)
        for position, value in enumerate(data, start=offset):
            model[position] &= value | bad.get(position, 0)

    assert flash.read(0, len(model)) == model


def test_a_bit_that_was_programmed_before_it_went_bad_is_still_erased() -> None:
    flash = NorFlash(SIZE, UNPACED)
    flash.program(5, b"\x00")
    flash.mark_bad(5)
    flash.program(5, b"\x00")
    assert flash.read(5, 1) == b"\x00"
    flash.erase(0, SECTOR)
    flash.program(5, b"\x00")

    assert flash.read(5, 1) == b"\xff"


def test_bits_go_bad_one_after_the_other() -> None:
    flash = NorFlash(SIZE, UNPACED)
    flash.mark_bad(7, 0x01)
    flash.mark_bad(7, 0x80)
    flash.program(7, b"\x00")

    assert flash.read(7, 1) == b"\x81"


def test_a_worn_sector_keeps_what_it_holds_and_its_neighbours_do_not() -> None:
    flash = NorFlash(SIZE, UNPACED)
    flash.program(0, bytes(4 * SECTOR))
    flash.wear_out(SECTOR + 5, SECTOR)
    flash.erase(0, 4 * SECTOR)

    assert flash.read(0, 4 * SECTOR) == b"\xff" * SECTOR + bytes(2 * SECTOR) + b"\xff" * SECTOR
    assert flash.erase_counts == {0: 1, 1: 1, 2: 1, 3: 1}


def test_a_worn_sector_is_not_half_erased_either() -> None:
    flash = NorFlash(SIZE, UNPACED)
    flash.program(0, bytes(SECTOR))
    flash.wear_out(0)
    flash.fails_after = flash.operation_count
    with pytest.raises(PowerLostError):
        flash.erase(0, SECTOR)

    assert flash.read(0, SECTOR) == bytes(SECTOR)


@pytest.fixture(name="stub", params=["rom", "stub"])
def _stub(request: pytest.FixtureRequest, tmp_path: Path) -> Path | bool:
    return stub_directory(tmp_path) if request.param == "stub" else False


def test_a_write_to_a_worn_sector_fails_and_says_where(*, stub: Path | bool) -> None:
    simulated = SimulatedDevice("esp32c3", flash={OFFSET: bytes(len(IMAGE))})
    simulated.nor.wear_out(OFFSET + SECTOR)
    with connect(simulated.open_transport(), stub=stub) as device:
        with pytest.raises(FlashError) as caught:
            device.flash.write([(OFFSET, IMAGE)])
        found = device.flash.verify([(OFFSET, IMAGE)])

    held = simulated.flash[OFFSET : OFFSET + len(IMAGE)]
    different = {OFFSET + i for i, value in enumerate(IMAGE) if held[i] != value}
    assert caught.value.offset == OFFSET + SECTOR
    assert {i for part in found for i in range(part.start, part.end)} == different
    assert held[: 2 * SECTOR] == IMAGE[:SECTOR] + bytes(SECTOR)


def test_a_write_to_a_bad_byte_fails_and_says_where(*, stub: Path | bool) -> None:
    position = next(i for i, value in enumerate(IMAGE) if i > 2 * SECTOR and not value & 1)
    simulated = SimulatedDevice("esp32c3")
    simulated.nor.mark_bad(OFFSET + position, 0x01)
    with connect(simulated.open_transport(), stub=stub) as device:
        with pytest.raises(FlashError) as caught:
            device.flash.write([(OFFSET, IMAGE)])
        found = device.flash.verify([(OFFSET, IMAGE)])

    assert caught.value.offset == OFFSET + 2 * SECTOR
    start = OFFSET + position
    assert (found[0].start, found[0].end) == (start, start + 1)


def test_a_bad_byte_that_is_not_to_be_programmed_is_no_obstacle(*, stub: Path | bool) -> None:
    position = next(i for i, value in enumerate(IMAGE) if value & 1)
    simulated = SimulatedDevice("esp32c3")
    simulated.nor.mark_bad(OFFSET + position, 0x01)
    with connect(simulated.open_transport(), stub=stub) as device:
        device.flash.write([(OFFSET, IMAGE)])

    assert simulated.flash[OFFSET : OFFSET + len(IMAGE)] == IMAGE
