"""Intel HEX files: what they hold, and that damaged ones are refused."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.errors import PlanError
from esploader.image import hexfile
from esploader.image.hexfile import MAX_SEGMENTS, MAX_TEXT_SIZE, HexSegment, read_segments

END = b":00000001FF\n"


def record(address: int, data: bytes, kind: int = 0) -> bytes:
    """Return a line. Written down here once more, as the specification has it."""
    body = bytes((len(data), address >> 8, address & 0xFF, kind)) + data
    checksum = -sum(body) & 0xFF
    return b":" + (body + bytes((checksum,))).hex().upper().encode() + b"\n"


def test_a_vector_of_the_specification() -> None:
    assert record(0x0100, bytes.fromhex("214601360121470136007EFE09D21901")) == (
        b":10010000214601360121470136007EFE09D2190140\n"
    )


def test_what_is_apart_is_a_segment_of_its_own() -> None:
    text = b"".join(
        (
            record(0, b"\x00\x01", kind=4),
            record(0x8000, b"second"),
            record(0, b"\x00\x00", kind=4),
            record(0x10, b"fir"),
            record(0x13, b"st"),
            record(0, b"\x12\x34\x56\x78", kind=5),
            END,
        )
    )
    assert read_segments(text) == (HexSegment(0x10, b"first"), HexSegment(0x1_8000, b"second"))
    assert read_segments(text.lower().replace(b"\n", b"\r\n")) == read_segments(text)


def test_a_file_without_data_has_no_segment() -> None:
    assert read_segments(END) == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "at its end"),
        (b"\xe9\x04\x02\x20" * 100, "at its end"),
        (record(0, b"cut off"), "at its end"),
        (record(0, b"one") + END + record(8, b"more") + END, "nowhere else"),
        (record(0, b"byte").replace(b"62", b"63") + END, "damaged"),
        (record(0, b"twice") + record(2, b"twice") + END, "damaged"),
        (record(0, b"", kind=9) + END, "damaged"),
        (b"no record\n" + END, "damaged"),
        (b"\xff\xfe\n" + END, "damaged"),
        (b"\n" * MAX_TEXT_SIZE + END, "more than 16777216 bytes"),
        (b"".join(record(2 * n, b"x") for n in range(MAX_SEGMENTS + 1)) + END, "4096 pieces"),
    ],
    ids=[
        "empty",
        "binary",
        "cut off",
        "two ends",
        "checksum",
        "overlap",
        "unknown record",
        "text",
        "not ASCII",
        "too large",
        "too many pieces",
    ],
)
def test_what_is_no_sound_hex_file_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(PlanError, match=reason):
        read_segments(text)


@given(st.lists(st.binary(max_size=30)), st.booleans())
def test_any_text_is_segments_or_a_plan_error(lines: list[bytes], is_hex: bool) -> None:  # noqa: FBT001 - drawn
    text = b"".join(b":" + (line.hex().encode() if is_hex else line) + b"\n" for line in lines)
    try:
        segments = read_segments(text + END)
    except PlanError:
        return
    assert all(segment.data for segment in segments)


def test_without_intelhex_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "intelhex", None)
    with pytest.raises(PlanError, match=r"pip install 'esploader\[hex\]'"):
        read_segments(record(0, b"data") + END)


def test_suffixes_are_in_lower_case() -> None:
    assert all(suffix == suffix.lower() for suffix in hexfile.SUFFIXES)
