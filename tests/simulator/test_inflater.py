"""Decompression as the ROM does it."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.simulator.rom.inflater import (
    WINDOW_SIZE,
    AdlerError,
    EndlessError,
    InflateError,
    Inflater,
)

contents = st.binary(max_size=2000) | st.builds(
    lambda data, count: data * count, st.binary(min_size=1, max_size=50), st.integers(0, 3000)
)


def inflate(stream: bytes, piece_size: int) -> tuple[bytes, Inflater]:
    inflater = Inflater()
    output = bytearray()
    for start in range(0, len(stream), piece_size):
        for window in inflater.feed(stream[start : start + piece_size]):
            assert len(window) == WINDOW_SIZE
            output += window
    output += inflater.take(inflater.filled)
    return bytes(output), inflater


@given(contents, st.integers(0, 9), st.sampled_from([1, 2, 3, 1000, 100_000]))
def test_it_inverts_zlib_however_the_stream_is_cut(data: bytes, level: int, size: int) -> None:
    output, inflater = inflate(zlib.compress(data, level), size)

    assert output == data
    assert inflater.ended


@given(st.binary(max_size=300), st.integers(1, 50))
def test_garbage_ends_in_one_error(stream: bytes, size: int) -> None:
    try:
        _, inflater = inflate(stream, size)
    except (InflateError, EndlessError):
        return
    # Too short to tell, or a stream after all.
    assert not inflater.ended or zlib.decompressobj().decompress(stream) is not None


@pytest.mark.parametrize(
    "header", ["5555", "789b", "7920", "889a", "78bb"], ids=lambda header: header
)
def test_wrong_headers_are_noticed(header: str) -> None:
    with pytest.raises(InflateError):
        inflate(bytes.fromhex(header) + zlib.compress(b"data")[2:], 100)


@pytest.mark.parametrize("piece_size", [1, 100])
def test_a_wrong_checksum_is_an_error_of_its_own(piece_size: int) -> None:
    stream = zlib.compress(b"data" * 100)

    with pytest.raises(AdlerError):
        inflate(stream[:-1] + bytes((stream[-1] ^ 0x80,)), piece_size)


def test_nothing_takes_what_comes_after_the_end() -> None:
    inflater = Inflater()
    with pytest.raises(EndlessError):
        list(inflater.feed(zlib.compress(b"data") + b"more"))
    with pytest.raises(EndlessError):
        list(inflater.feed(b"and more"))
    assert list(inflater.feed(b"")) == []
    assert inflater.take(inflater.filled) == b"data"


def test_a_stream_that_failed_fails_again() -> None:
    inflater = Inflater()
    for piece in (b"garbage", zlib.compress(b"data")):
        with pytest.raises(InflateError):
            list(inflater.feed(piece))


def test_a_last_piece_may_fill_one_window_more() -> None:
    """Where zeros stand for a byte, they come without end."""
    literal = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_HUFFMAN_ONLY)
    stream = literal.compress(bytes(1000)) + literal.flush()
    inflater = Inflater()

    assert list(inflater.feed(stream[:20], is_last=True)) == [bytes(WINDOW_SIZE)]


def test_a_stream_is_not_complete_without_its_checksum() -> None:
    stream = zlib.compress(b"data")
    inflater = Inflater()
    list(inflater.feed(stream[:-4]))
    list(inflater.feed(stream[-4:-1]))
    assert not inflater.ended
    list(inflater.feed(stream[-1:]))

    assert inflater.ended


def test_the_window_keeps_what_earlier_streams_left_behind_the_data() -> None:
    window = bytearray(WINDOW_SIZE)
    earlier = Inflater(window)
    list(earlier.feed(zlib.compress(b"earlier")))
    later = Inflater(window)
    list(later.feed(zlib.compress(b"now")))

    assert later.filled == 3
    assert later.take(WINDOW_SIZE) == b"nowlier" + bytes(WINDOW_SIZE - 7)
    assert later.filled == 0


@pytest.mark.parametrize("piece_size", [1, 100])
def test_a_block_of_no_type_is_noticed_behind_data_too(piece_size: int) -> None:
    # A stored block of four bytes, then one of the type that there is not.
    stream = bytes.fromhex("7801 00 0400 fbff") + b"data" + b"\x07"
    with pytest.raises(InflateError):
        inflate(stream, piece_size)
