"""A plan covers what was asked for, sector by sector, or says why it cannot."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.errors import PlanError
from esploader.flash.plan import SECTOR_SIZE, Piece, plan_write

FLASH_SIZE = 1 << 20


def test_a_region_is_whole_sectors_and_the_rest_stays_erased() -> None:
    (region,) = plan_write([Piece(0x1100, b"abc")], FLASH_SIZE).regions
    assert region.offset == 0x1000
    assert region.data == b"\xff" * 0x100 + b"abc" + b"\xff" * (SECTOR_SIZE - 0x103)


def test_inputs_that_share_a_sector_are_merged() -> None:
    plan = plan_write([Piece(0x1800, b"second"), Piece(0x1000, b"first")], FLASH_SIZE)
    (region,) = plan.regions
    assert region.data[:5] == b"first"
    assert region.data[0x800:0x806] == b"second"


def test_inputs_that_touch_are_one_region_and_others_are_not() -> None:
    plan = plan_write(
        [Piece(0x1000, bytes(0x1000)), Piece(0x2000, b"x"), Piece(0x4000, b"y")], None
    )
    assert [(region.offset, region.end) for region in plan.regions] == [
        (0x1000, 0x3000),
        (0x4000, 0x5000),
    ]


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([Piece(0x1000, bytes(0x20)), Piece(0x101F, b"x")], "overlaps"),
        ([Piece(0x1000, b"x"), Piece(0x1000, b"x")], "overlaps"),
        ([Piece(FLASH_SIZE - 1, b"xy")], "beyond the flash"),
        ([Piece(FLASH_SIZE, b"x")], "beyond the flash"),
        ([Piece(-1, b"x")], "no offset"),
        ([Piece(0, b"")], "nothing to write"),
    ],
)
def test_what_cannot_be_planned(pieces: list[Piece], reason: str) -> None:
    with pytest.raises(PlanError, match=reason):
        plan_write(pieces, FLASH_SIZE)


def test_a_plan_can_be_printed() -> None:
    plan = plan_write([Piece(0x1000, b"x"), Piece(0x10000, bytes(5000))], FLASH_SIZE)
    assert str(plan) == (
        "0x00001000 to 0x00002000: 4096 bytes\n"
        "0x00010000 to 0x00012000: 8192 bytes\n"
        "0x00001001 to 0x00002000: erased as well, covered by no input\n"
        "0x00011388 to 0x00012000: erased as well, covered by no input"
    )
    assert plan.size == 3 * SECTOR_SIZE
    assert str(plan_write([], FLASH_SIZE)) == "nothing to write"


def test_a_plan_says_what_is_erased_and_covered_by_no_input() -> None:
    inputs = [Piece(0x1100, bytes(0x100)), Piece(0x1800, bytes(0x800)), Piece(0x3000, b"x")]
    assert [(lost.start, lost.end) for lost in plan_write(inputs, FLASH_SIZE).uncovered] == [
        (0x1000, 0x1100),
        (0x1200, 0x1800),
        (0x3001, 0x4000),
    ]
    assert plan_write([Piece(0x1000, bytes(0x2000))], FLASH_SIZE).uncovered == ()


pieces = st.builds(Piece, st.integers(0, 0x8000), st.binary(min_size=1, max_size=0x1800))


@given(st.lists(pieces, max_size=5))
def test_a_plan_holds_exactly_the_inputs(inputs: list[Piece]) -> None:
    expected: dict[int, int] = {}
    overlap = False
    for piece in inputs:
        for position, byte in enumerate(piece.data, piece.offset):
            overlap = overlap or position in expected
            expected[position] = byte
    try:
        plan = plan_write(inputs, FLASH_SIZE)
    except PlanError:
        assert overlap
        return
    assert not overlap
    uncovered = {at for lost in plan.uncovered for at in range(lost.start, lost.end)}
    covered = set(expected)
    sectors = {at for region in plan.regions for at in range(region.offset, region.end)}
    assert uncovered == sectors - covered
    for region in plan.regions:
        assert region.offset % SECTOR_SIZE == region.end % SECTOR_SIZE == 0
        for position, byte in enumerate(region.data, region.offset):
            assert byte == expected.pop(position, 0xFF)
    assert not expected
    assert all(one.end < other.offset for one, other in pairwise(plan.regions))
