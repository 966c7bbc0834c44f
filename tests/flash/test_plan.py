"""A plan covers what was asked for, sector by sector, or says why it cannot."""

from __future__ import annotations

from itertools import pairwise

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.errors import PlanError
from esploader.flash.plan import SECTOR_SIZE, InputPart, Piece, WritePlan, plan_write, share

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
    covered = set(expected)
    sectors = {at for region in plan.regions for at in range(region.offset, region.end)}
    assert _lost(plan) == sectors - covered
    for region in plan.regions:
        assert region.offset % SECTOR_SIZE == region.end % SECTOR_SIZE == 0
        for position, byte in enumerate(region.data, region.offset):
            assert byte == expected.pop(position, 0xFF)
    assert not expected
    assert all(one.end < other.offset for one, other in pairwise(plan.regions))


def _contents(plan: WritePlan) -> dict[int, bytes]:
    """Return what ``plan`` writes, by sectors."""
    return {
        start: bytes(region.data[start - region.offset : start - region.offset + SECTOR_SIZE])
        for region in plan.regions
        for start in range(region.offset, region.end, SECTOR_SIZE)
    }


def _parts(plan: WritePlan) -> list[tuple[str | None, int]]:
    """Return which bytes of which inputs go where."""
    return [
        (part.name, at)
        for region in plan.regions
        for part in region.inputs
        for at in range(part.offset, part.offset + part.size)
    ]


def _lost(plan: WritePlan) -> set[int]:
    """Return which bytes are erased and covered by no input."""
    return {at for lost in plan.uncovered for at in range(lost.start, lost.end)}


def _named(name: str, piece: Piece) -> Piece:
    part = InputPart(name=name, offset=piece.offset, size=len(piece.data))
    return attrs.evolve(piece, inputs=(part,))


@given(st.lists(st.tuples(pieces, st.booleans()), max_size=6))
def test_a_plan_for_many_devices_writes_the_same(inputs: list[tuple[Piece, bool]]) -> None:
    named = [_named(str(index), piece) for index, (piece, _) in enumerate(inputs)]
    common = [piece for piece, (_, is_common) in zip(named, inputs, strict=True) if is_common]
    own = [piece for piece, (_, is_common) in zip(named, inputs, strict=True) if not is_common]
    try:
        alone = plan_write(named, FLASH_SIZE)
    except PlanError:
        return
    shared = share(common)
    assert [piece.data for piece in shared] == [piece.data for piece in common]
    plan = plan_write([*shared, *own], FLASH_SIZE)
    assert _contents(plan) == _contents(alone)
    assert _parts(plan) == _parts(alone)
    assert _lost(plan) == _lost(alone)
    assert all(one.end <= other.offset for one, other in pairwise(plan.regions))
    # The parts of one device are in none of what many get.
    sectors = {at // SECTOR_SIZE for piece in own for at in range(piece.offset, piece.end)}
    assert sectors.isdisjoint(
        at // SECTOR_SIZE
        for region in plan.regions
        if region.shared
        for at in range(region.offset, region.end, SECTOR_SIZE)
    )


@pytest.mark.parametrize(
    ("offset", "mixed"),
    [(0x0FF0, 0x0000), (0x4010, 0x4000), (0x8F10, 0x8000), (0x9000, 0x9000)],
    ids=["in front of it", "in a gap", "in the sector of its end", "behind it"],
)
def test_what_one_device_gets_besides_is_joined_with_no_more_than_a_sector(
    offset: int, mixed: int
) -> None:
    shared = share([Piece(0x1000, bytes(0x3010)), Piece(0x4100, bytes(0x4E00))])
    plan = plan_write([*shared, Piece(offset, b"serial number")], FLASH_SIZE)
    (own,) = (region for region in plan.regions if not region.shared)
    assert (own.offset, own.end) == (mixed, mixed + SECTOR_SIZE)


def test_what_is_encrypted_shares_no_sector_with_what_one_device_gets_in_plain() -> None:
    shared = share([Piece(0x1000, bytes(0x900), encrypted=True)])
    with pytest.raises(PlanError, match="writing one would erase the other"):
        plan_write([*shared, Piece(0x1A00, b"plain")], FLASH_SIZE)
    plan = plan_write([*shared, Piece(0x1A00, b"not plain", encrypted=True)], FLASH_SIZE)
    (region,) = plan.regions
    assert (region.offset, region.end, region.encrypted) == (0x1000, 0x1A09, True)


def test_what_cannot_be_written_together_is_not_shared() -> None:
    with pytest.raises(PlanError, match="overlaps"):
        share([Piece(0x1000, bytes(0x20)), Piece(0x101F, b"x")])
