"""Segments are found one behind the other, and nowhere outside the data."""

from __future__ import annotations

import pytest

from esploader.errors import ImageError
from esploader.image.segment import Segment, parse_segments

TWO = bytes.fromhex("aa  00000840 04000000 01020304  00000000 02000000 0506")


def test_segments_follow_each_other() -> None:
    segments = parse_segments(TWO, 1, 2)

    assert segments == (Segment(0x4008_0000, 9, 4), Segment(0, 21, 2))
    assert [TWO[each.offset : each.end] for each in segments] == [b"\1\2\3\4", b"\5\6"]


def test_what_is_behind_the_last_segment_is_left_alone() -> None:
    assert parse_segments(TWO, 1, 1) == (Segment(0x4008_0000, 9, 4),)
    assert parse_segments(TWO, 1, 0) == ()


def test_an_empty_segment_may_end_the_data() -> None:
    assert parse_segments(bytes(8), 0, 1) == (Segment(0, 8, 0),)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (TWO[:13], "ends before segment 2 of 2"),
        (TWO[:20], "ends before segment 2 of 2"),
        (TWO[:-1], "ends within segment 2 of 2"),
        (TWO[:5] + b"\xff\xff\xff\x00" + TWO[9:], "ends within segment 1 of 2"),
        (TWO[:5] + b"\x00\x00\x00\x01" + TWO[9:], "cannot have 0x1000000 bytes"),
        (TWO[:5] + b"\xff\xff\xff\xff" + TWO[9:], "cannot have 0xffffffff bytes"),
    ],
    ids=["no header", "half a header", "data cut off", "too long", "16 MiB", "4 GiB"],
)
def test_what_is_no_segment(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        parse_segments(data, 1, 2)
