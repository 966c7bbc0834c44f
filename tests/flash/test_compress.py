"""Blocks hold the whole stream, in order, and leave before it is complete."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.flash.compress import (
    compressed_blocks,
    is_worth_compressing,
    max_block_count,
    max_compressed_size,
    plain_blocks,
)

NOISE = random.Random(0).randbytes(300_000)  # noqa: S311 - data, not a secret

sizes = st.integers(0, 300_000)
contents = (
    st.binary(max_size=5000)
    | sizes.map(lambda size: NOISE[:size])
    | sizes.map(bytes)
    | st.tuples(sizes, sizes).map(lambda each: bytes(each[0]) + NOISE[: each[1]] + bytes(each[0]))
)


@given(contents, st.sampled_from([0x40, 0x400, 0x4000]))
def test_compressed_blocks_are_one_stream(data: bytes, block_size: int) -> None:
    blocks = list(compressed_blocks(data, block_size))
    stream = b"".join(block.data for block in blocks)
    assert zlib.decompress(stream) == data
    assert all(0 < len(block.data) <= block_size for block in blocks)
    assert len(stream) <= max_compressed_size(len(data))
    assert len(blocks) <= max_block_count(len(data), block_size)
    assert blocks[-1].covered == len(data)


@given(contents, st.sampled_from([0x40, 0x400, 0x4000]))
def test_a_block_stands_for_what_it_says_and_for_no_more_than_64_kib(
    data: bytes, block_size: int
) -> None:
    inflater = zlib.decompressobj()
    inflated = 0
    for block in compressed_blocks(data, block_size):
        size = len(inflater.decompress(block.data))
        inflated += size
        assert size <= 64 * 1024
        assert inflated == block.covered


def test_a_block_is_cut_short_only_where_it_would_stand_for_too_much() -> None:
    blocks = list(compressed_blocks(NOISE, 0x4000))
    assert all(len(block.data) == 0x4000 for block in blocks[:-1])
    # A megabyte that becomes a kilobyte.
    assert 16 <= len(list(compressed_blocks(bytes(1_000_000), 0x4000))) <= 24


@given(contents, st.sampled_from([0x40, 0x400, 0x4000]))
def test_plain_blocks_are_the_data(data: bytes, block_size: int) -> None:
    blocks = list(plain_blocks(data, block_size))
    assert b"".join(block.data for block in blocks) == data
    assert [block.covered for block in blocks] == [
        min((index + 1) * block_size, len(data)) for index in range(len(blocks))
    ]


def test_the_first_block_is_there_before_the_whole_is_compressed() -> None:
    first = next(compressed_blocks(NOISE, 0x4000))
    assert first.covered < len(NOISE) // 2


@pytest.mark.parametrize(
    ("data", "expected"),
    [(bytes(100_000), True), (NOISE, False), (b"text " * 30_000, True), (NOISE[:100], False)],
    ids=["zeros", "noise", "text", "a little noise"],
)
def test_samples_tell_what_compression_is_worth(data: bytes, *, expected: bool) -> None:
    assert is_worth_compressing(data) is expected
