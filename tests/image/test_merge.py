"""Many runs become one file: every byte is where it was said to go, and gaps are blank."""

from __future__ import annotations

import itertools
import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.errors import PlanError
from esploader.image import hexfile, uf2
from esploader.image.merge import MAX_RAW_SIZE, merge
from esploader.image.runs import Run

KIB = Run(0, random.Random(0).randbytes(1024)).data  # noqa: S311 - data, not a secret


def raw(*runs: Run, start: int = 0, pad_to: int | None = None) -> bytes:
    return b"".join(merge(runs, start=start).raw(pad_to=pad_to))


def test_gaps_are_filled_in_whatever_order_the_runs_come() -> None:
    runs = [Run(0, KIB), Run(0x1000, KIB), Run(0x1_0000, KIB)]
    expected = KIB.ljust(0x1000, b"\xff") + KIB.ljust(0xF000, b"\xff") + KIB
    assert {raw(*order) for order in itertools.permutations(runs)} == {expected}


def test_what_comes_before_the_first_is_blank_up_to_the_start() -> None:
    assert raw(Run(0x3000, b"x")) == b"\xff" * 0x3000 + b"x"
    assert raw(Run(0x3000, b"x"), start=0x1000) == b"\xff" * 0x2000 + b"x"
    assert raw(Run(0x3000, b"x"), start=0x3000) == b"x"


def test_it_is_filled_up_to_the_end_of_the_flash() -> None:
    assert raw(Run(0, KIB), pad_to=0x1000) == KIB + b"\xff" * 0xC00
    assert raw(Run(0, KIB), pad_to=0x400) == KIB
    # Wherever the file begins.
    assert len(raw(Run(0x1000, KIB), start=0x1000, pad_to=0x20_0000)) == 0x1F_F000


def test_more_than_the_size_is_refused() -> None:
    with pytest.raises(PlanError, match="ends at 0x400, beyond a size of 0x3ff bytes"):
        raw(Run(0, KIB), pad_to=0x3FF)


def test_runs_may_share_a_sector_and_no_byte() -> None:
    assert raw(Run(0, b"one"), Run(3, b"two"), Run(8, b"x")) == b"onetwo\xff\xffx"
    with pytest.raises(PlanError, match="goes to 0x0 ends at 0x3 and overlaps what goes to 0x2"):
        merge([Run(2, b"two"), Run(0, b"one")])


def test_what_lies_before_the_start_is_refused() -> None:
    with pytest.raises(PlanError, match="goes to 0xfff lies before 0x1000"):
        merge([Run(0x2000, b"x"), Run(0xFFF, b"x")], start=0x1000)


@pytest.mark.parametrize("runs", [[], [Run(0x1000, b"")]], ids=["none", "empty"])
def test_nothing_is_no_file(runs: list[Run]) -> None:
    with pytest.raises(PlanError, match="there is nothing to merge"):
        merge(runs)


def test_a_gap_that_no_flash_has_is_refused_and_costs_nothing() -> None:
    merged = merge([Run(MAX_RAW_SIZE, b"x")])
    with pytest.raises(PlanError, match="268435457 bytes from 0x0 to 0x10000001 are in no flash"):
        merged.raw()
    assert next(merged.hex()) == b":020000041000EA\n"
    assert b"".join(merge([Run(MAX_RAW_SIZE, b"x")], start=MAX_RAW_SIZE).raw()) == b"x"


def test_addresses_of_more_than_32_bits_are_refused() -> None:
    merged = merge([Run(0xFFFF_FFFF, b"xy")], start=0xFFFF_FFFF)
    with pytest.raises(PlanError, match="0xffffffff is out of reach of HEX files"):
        merged.hex()
    with pytest.raises(PlanError, match="0xffffffff is out of reach of a UF2 file"):
        merged.uf2(7)


def test_a_whole_flash_is_written_in_parts() -> None:
    merged = merge([Run(0x1000, KIB), Run(0x7F0_0000, KIB)])
    tracemalloc.start()
    try:
        size = sum(len(part) for part in merged.raw(pad_to=0x800_0000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == 0x800_0000
    assert peak < 0x20_0000


contents = st.lists(
    st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=600)), min_size=1, max_size=5
).map(
    lambda pairs: [Run(0x4000 * number + start, data) for number, (start, data) in enumerate(pairs)]
)


@given(contents, st.data())
def test_all_kinds_of_file_hold_the_same(runs: list[Run], data: st.DataObject) -> None:
    merged = merge(data.draw(st.permutations(runs)))
    flash = bytearray(b"\xff" * merged.end)
    for run in runs:
        flash[run.address : run.end] = run.data
    assert b"".join(merged.raw()) == flash
    assert hexfile.read_segments(b"".join(merged.hex())) == tuple(runs)
    assert uf2.read_blocks(b"".join(merged.uf2(7))) == uf2.Uf2Content(tuple(runs), 7)
