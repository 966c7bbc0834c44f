"""Blocks that many devices get are made once, as they are asked for, and kept within bounds."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from esploader.flash.compress import WireBlock, compressed_blocks
from esploader.flash.shared import KEPT_BLOCKS, SharedBlocks, SharedData

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NOISE = random.Random(0).randbytes(0x2_0000)  # noqa: S311 - data, not a secret
SIZE = len(NOISE)
BLOCK_SIZE = 0x400
BLOCKS = list(compressed_blocks(NOISE, BLOCK_SIZE))


def begun(blocks: Iterable[WireBlock]) -> Iterator[WireBlock]:
    """Return a device's way through ``blocks``, of which it has got the first."""
    way = iter(blocks)
    next(way)
    return way


def are_the_same(ways: Iterable[list[WireBlock]]) -> bool:
    """Tell whether all got not only equal blocks, but one and the same."""
    return all(len(set(map(id, same))) == 1 for same in zip(*ways, strict=True))


@given(st.lists(st.integers(0, 3), max_size=400))
def test_each_gets_all_blocks_in_whatever_turns_they_come(turns: list[int]) -> None:
    shared = SharedBlocks(NOISE, BLOCK_SIZE)
    ways = [iter(shared) for _ in range(4)]
    found: list[list[WireBlock]] = [[] for _ in ways]
    for turn in turns:
        found[turn] += islice(ways[turn], 1)
    for index, way in enumerate(ways):
        found[index] += way
    assert found == [BLOCKS] * 4
    assert are_the_same(found)


def test_threads_get_the_same_blocks() -> None:
    shared = SharedBlocks(NOISE, BLOCK_SIZE)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(list[WireBlock], [shared] * 8))
    assert found == [BLOCKS] * 8
    assert are_the_same(found)


class Interrupting(bytes):
    """Data whose first reader is interrupted in the middle."""

    readings: list[int]

    @override
    def __getitem__(self, where: object) -> bytes:  # type: ignore[override]  # slices only
        assert isinstance(where, slice)
        if where.start == SIZE // 2 and not self.readings:
            self.readings.append(where.start)
            raise KeyboardInterrupt
        return NOISE[where]


def test_who_is_interrupted_at_compressing_leaves_the_others_the_whole() -> None:
    data = Interrupting(NOISE)
    data.readings = []
    shared = SharedBlocks(data, BLOCK_SIZE)
    other = begun(shared)
    with pytest.raises(KeyboardInterrupt):
        list(shared)
    assert [BLOCKS[0], *other] == list(shared) == BLOCKS


def test_blocks_are_kept_for_those_who_come_later() -> None:
    data = SharedData(0x1000, NOISE)
    first, later = (list(data.compressed_blocks(0x1000, 0x1000 + SIZE, BLOCK_SIZE)) for _ in "ab")
    assert first == BLOCKS
    assert are_the_same([first, later])
    # For other loaders they have another size.
    larger = list(data.compressed_blocks(0x1000, 0x1000 + SIZE, 4 * BLOCK_SIZE))
    assert larger == list(compressed_blocks(NOISE, 4 * BLOCK_SIZE))


def test_a_part_has_blocks_of_its_own() -> None:
    data = SharedData(0x1000, NOISE)
    part = list(data.compressed_blocks(0x2000, 0x5000, BLOCK_SIZE))
    assert part == list(compressed_blocks(NOISE[0x1000:0x4000], BLOCK_SIZE))


def test_no_more_is_kept_than_a_bound() -> None:
    data = SharedData(0, NOISE)
    in_use = [begun(data.compressed_blocks(0, SIZE, size)) for size in (64, 128)]
    assert len(in_use) == KEPT_BLOCKS
    for start in range(0, SIZE, 0x1000):
        alone = data.compressed_blocks(start, start + 0x1000, BLOCK_SIZE)
        again = data.compressed_blocks(start, start + 0x1000, BLOCK_SIZE)
        assert not are_the_same([list(alone), list(again)])
    # What is in use stays for those who come while it is.
    assert are_the_same([list(data.compressed_blocks(0, SIZE, 64)) for _ in range(2)])
    assert list(in_use[0]) == list(compressed_blocks(NOISE, 64))[1:]


def test_what_nobody_uses_makes_room() -> None:
    data = SharedData(0, NOISE)
    for start in range(0, SIZE, 0x1000):
        list(data.compressed_blocks(start, start + 0x1000, BLOCK_SIZE))
    whole = [list(data.compressed_blocks(0, SIZE, size)) for size in (64, 128, 64, 128)]
    assert are_the_same(whole[::2])
    assert are_the_same(whole[1::2])
    # What was left alone for the longest time has gone for it.
    begun(data.compressed_blocks(0, SIZE, BLOCK_SIZE))
    assert not are_the_same([list(data.compressed_blocks(0, SIZE, 64)), whole[0]])


def test_what_is_made_of_a_part_is_made_once() -> None:
    data = SharedData(0x1000, NOISE)
    seen: list[bytes] = []

    def work(part: bytes | memoryview, times: int) -> bytes:
        seen.append(bytes(part))
        return bytes(part[:2]) * times

    for _ in range(2):
        assert data.once(0x2000, 0x3000, work, 2) == NOISE[0x1000:0x1002] * 2
        assert data.once(0x2000, 0x3000, work, times=3) == NOISE[0x1000:0x1002] * 3
        assert data.once(0x3000, 0x4000, work, 2) == NOISE[0x2000:0x2002] * 2
    assert seen == [NOISE[0x1000:0x2000]] * 2 + [NOISE[0x2000:0x3000]]
