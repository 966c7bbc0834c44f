"""The stub decompresses as miniz does when it is called block by block."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.simulator.rom.inflater import InflateError
from esploader.simulator.stub.inflater import WINDOW_SIZE, StubInflater

contents = st.binary(max_size=2000) | st.builds(
    lambda seed, size: random.Random(seed).randbytes(size) + bytes(size),  # noqa: S311 - no secret
    st.integers(0, 9),
    st.sampled_from([WINDOW_SIZE // 2, WINDOW_SIZE - 1, WINDOW_SIZE, 2 * WINDOW_SIZE + 1]),
)


def inflate(inflater: StubInflater, *blocks: bytes) -> bytes:
    """Decompress blocks, emptying the window whenever it is full."""
    output = bytearray()
    for index, block in enumerate(blocks):
        rest, first_call = block, index == 0
        while (rest or inflater.is_full) and not inflater.ended:
            if inflater.is_full:
                output += inflater.window
                inflater.window.clear()
            rest, _ = inflater.take(rest, has_header=first_call)
            first_call = False
    return bytes(output + inflater.window)


@given(content=contents, size=st.integers(1, 40_000))
def test_it_inverts_compression_in_blocks_of_any_size(content: bytes, size: int) -> None:
    stream = zlib.compress(content, 1)
    size = max(size, len(stream) // 50)
    blocks = [stream[start : start + size] for start in range(0, len(stream), size)]
    inflater = StubInflater()

    assert inflate(inflater, *blocks) == content
    assert inflater.ended


@pytest.mark.parametrize(
    "garbage", [b"\x78\x9b\x03", b"\x88\x1c\x03", b"garbage!", b"\x78\xda\x07"]
)
def test_what_is_no_stream_fails_for_good(garbage: bytes) -> None:
    inflater = StubInflater()

    for _ in range(2):
        with pytest.raises(InflateError):
            inflater.take(garbage, has_header=True)
    inflater.restart()
    assert inflate(inflater, zlib.compress(b"content")) == b"content"


def test_a_stream_that_begins_without_its_first_block_is_taken_for_raw() -> None:
    compressor = zlib.compressobj(wbits=-15)
    raw = compressor.compress(b"content") + compressor.flush()
    inflater = StubInflater()

    assert inflater.take(raw, has_header=False) == (b"", 7)
    assert inflater.window == b"content"


def spoilt(content: bytes) -> bytes:
    stream = zlib.compress(content)
    return stream[:-1] + bytes((stream[-1] ^ 1,))


def test_only_a_stream_of_one_call_is_held_against_its_checksum() -> None:
    with pytest.raises(InflateError):
        inflate(StubInflater(), spoilt(b"content"))
    stream = spoilt(b"content")
    assert inflate(StubInflater(), stream[:5], stream[5:]) == b"content"
    assert inflate(StubInflater(), stream[:-2], stream[-2:]) == b"content"
    large = bytes(WINDOW_SIZE + 1)
    assert inflate(StubInflater(), spoilt(large)) == large


def test_what_follows_a_stream_is_left() -> None:
    inflater = StubInflater()

    assert inflater.take(zlib.compress(b"content") + b"more", has_header=True) == (b"more", 7)
    assert inflater.ended


@given(blocks=st.lists(st.binary(max_size=60), max_size=6), header=st.booleans())
def test_no_input_raises_anything_else(blocks: list[bytes], *, header: bool) -> None:
    inflater = StubInflater()
    prefix = [b"\x78\xda"] if header else []
    try:
        inflate(inflater, *prefix, *blocks)
    except InflateError:
        return
    assert len(inflater.window) <= WINDOW_SIZE
