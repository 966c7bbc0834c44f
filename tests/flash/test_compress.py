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
    max_compressed_size,
    plain_blocks,
)

NOISE = random.Random(0).randbytes(300_000)  # noqa: S311 - data, not a secret

contents = st.binary(max_size=5000) | st.integers(0, 300_000).map(lambda size: NOISE[:size])


@given(contents, st.sampled_from([0x40, 0x400, 0x4000]))
def test_compressed_blocks_are_one_stream(data: bytes, block_size: int) -> None:
    blocks = list(compressed_blocks(data, block_size))
    stream = b"".join(block.data for block in blocks)
    assert zlib.decompress(stream) == data
    assert all(len(block.data) == block_size for block in blocks[:-1])
    assert len(stream) <= max_compressed_size(len(data))
    assert blocks[-1].covered == len(data)


@given(contents, st.sampled_from([0x40, 0x400, 0x4000]))
def test_no_block_stands_for_more_than_it_says(data: bytes, block_size: int) -> None:
    inflater = zlib.decompressobj()
    inflated = 0
    for block in compressed_blocks(data, block_size):
        inflated += len(inflater.decompress(block.data))
        assert inflated <= block.covered


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
