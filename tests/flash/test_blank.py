"""What is to be blank is erased, and neither sent nor programmed."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.flash.blank import blank_apart, is_blank
from esploader.flash.delta import CostModel
from esploader.flash.plan import Piece
from esploader.simulator import SimulatedDevice, SimulatedTransport
from stub_files import shared_stubs
from untouched import connect

OFFSET = 0x1_0000
BLOCK = 0x1_0000
CLOSE = CostModel(baudrate=921600, round_trip=0.001, turnaround=0.001)
FAR = CostModel(baudrate=921600, round_trip=0.2, turnaround=0.2)


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311 - data, not a secret


@pytest.mark.parametrize(
    ("chip", "has_stub"),
    [("esp32c3", True), ("esp32", True), ("esp32c3", False), ("esp32", False)],
)
@pytest.mark.parametrize("compress", [None, False])
def test_a_long_run_is_erased_and_not_sent(
    chip: str, *, has_stub: bool, compress: bool | None
) -> None:
    device = SimulatedDevice(chip)
    device.nor.program(0, bytes(0x10_0000))
    data = noise(BLOCK) + b"\xff" * 4 * BLOCK + noise(BLOCK + 0x3000)
    stub = shared_stubs() if has_stub else False
    with connect(SimulatedTransport(device), stub=stub) as target:
        (result,) = target.flash.write([(OFFSET, data)], compress=compress)
    assert device.nor.read(OFFSET, len(data)) == data
    assert result.written == len(data)
    assert result.sent <= 2 * BLOCK + 0x3000 + 0x100
    assert not any(device.nor.read(0, OFFSET)), "what is in front stays"
    end = OFFSET + len(data)
    assert not any(device.nor.read(end, 0x10_0000 - end)), "what is behind stays"


def test_the_rom_loader_of_the_esp8266_is_sent_nothing_to_leave_a_run_blank() -> None:
    size = 0x2000
    device = SimulatedDevice("esp8266")
    device.nor.program(0, bytes(0x4_0000))
    with connect(SimulatedTransport(device), stub=False) as target:
        (result,) = target.flash.write([(OFFSET, b"\xff" * size)])
    assert result.sent == 0
    assert device.nor.read(OFFSET, size) == b"\xff" * size
    assert not any(device.nor.read(0, OFFSET))
    assert not any(device.nor.read(OFFSET + size, 0x4_0000 - OFFSET - size))


@pytest.mark.parametrize("costs", [CLOSE, FAR])
def test_a_short_run_stays_in_its_download(costs: CostModel) -> None:
    piece = Piece(OFFSET, noise(BLOCK) + b"\xff" * 0xF000 + noise(0x1000) + noise(BLOCK))
    assert blank_apart(piece, costs, compressed=True) == [piece]


def test_on_a_slow_link_a_run_has_to_save_more() -> None:
    piece = Piece(OFFSET, noise(BLOCK) + b"\xff" * 2 * BLOCK + noise(BLOCK))
    assert len(blank_apart(piece, CLOSE, compressed=True)) == 3
    assert len(blank_apart(piece, FAR, compressed=True)) == 1
    assert len(blank_apart(piece, FAR, compressed=False)) == 3, "sending it costs more"


def test_runs_are_of_whole_erase_blocks() -> None:
    piece = Piece(OFFSET + 0x8000, noise(0x1000) + b"\xff" * 3 * BLOCK + noise(0x1000))
    parts = blank_apart(piece, CLOSE, compressed=True)
    assert [(part.offset, part.end) for part in parts] == [
        (0x1_8000, 0x2_0000),
        (0x2_0000, 0x4_0000),
        (0x4_0000, 0x4_A000),
    ]


@given(
    first_sector=st.integers(0, 64),
    runs=st.lists(st.tuples(st.booleans(), st.integers(1, 40)), min_size=1),
    costs=st.sampled_from([CLOSE, FAR]),
    compressed=st.booleans(),
)
def test_the_parts_are_the_piece(
    first_sector: int, runs: list[tuple[bool, int]], costs: CostModel, *, compressed: bool
) -> None:
    data = b"".join((b"\xff" if blank else b"x") * 0x1000 * count for blank, count in runs)
    piece = Piece(first_sector * 0x1000, data)
    parts = blank_apart(piece, costs, compressed=compressed)
    assert b"".join(part.data for part in parts) == data
    ends = [piece.offset, *(part.end for part in parts)]
    assert [part.offset for part in parts] == ends[:-1]
    kinds = [is_blank(part.data) for part in parts]
    assert all(one != other for one, other in pairwise(kinds)), "parts alternate"
