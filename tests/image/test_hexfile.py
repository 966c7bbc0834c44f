"""Intel HEX files: what they hold, and that damaged ones are refused."""

from __future__ import annotations

import io
import itertools
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intelhex import IntelHex

from esploader.errors import PlanError
from esploader.image import hexfile
from esploader.image.hexfile import MAX_SEGMENTS, MAX_TEXT_SIZE, HexSegment, read_segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
        (b"", "no end record"),
        (b"\n \n", "no end record"),
        (b"\xe9\x04\x02\x20" * 100, "line 1: it does not begin with a colon"),
        (record(0, b"cut off"), "no end record"),
        ((record(0, b"cut off") + END)[:-3], "line 2: it is shorter or longer than it says"),
        (record(0, b"one") + END + record(8, b"more") + END, "line 3: there is more behind"),
        (record(0, b"one") + END + END, "line 3: there is more behind"),
        (record(0, b"one") + END + b"\n\n;", "line 5: there is more behind"),
        (record(0, b"one") + END + b"\0" * 100, "line 3: there is more behind"),
        (record(0, b"one") + END + b"\x1a", "line 3: there is more behind"),
        (record(0, b"a") + b":00100001EF\n" + record(8, b"b") + END, "line 2: an end record is"),
        (record(0, b"a") + b":00100001EF\n", "line 2: an end record is :00000001FF"),
        (record(0, b"a") + record(0, b"x", kind=1) + END, "line 2: an end record is"),
        (record(0, b"byte").replace(b"62", b"63") + END, "damaged.*line 1"),
        (record(0, b"twice") + record(2, b"twice") + END, "damaged.*line 2"),
        (record(0, b"twice") * 2 + END, "damaged.*line 2"),
        (record(0, b"", kind=9) + END, "damaged.*line 1"),
        (record(0, b"", kind=0) + END, "line 1: it has no data"),
        (record(0xFFF0, b"x" * 17) + END, "line 1: its data go on behind"),
        (record(0, b"\xff\xff", 4) + record(0xFFFF, b"xx") + END, "line 2: its data go on"),
        (record(0, b"\xff\xff", 2) + record(0xFFFF, b"xx") + END, "line 2: its data go on"),
        (record(0, b"\0\1", 4) + record(0, b"\x10\0", 2) + record(0, b"x") + END, "two bases"),
        (record(0, b"\x10\0", 2) + record(0, b"\0\1", 4) + record(0, b"x") + END, "two bases"),
        (record(0, b"\0", kind=4) + END, "damaged.*line 1"),
        (record(4, b"\0\0", kind=4) + END, "damaged.*line 1"),
        (record(0, b"\0\0\0\0", kind=5) * 2 + END, "damaged.*line 2"),
        (b"no record\n" + END, "line 1: it does not begin with a colon"),
        (END[1:], "line 1: it does not begin with a colon"),
        (b" " + END, "line 1: it does not begin with a colon"),
        (record(0, b"x") + b"\x0b\n" + END, "damaged.*line 2"),
        (record(0, b"x")[:-1] + END, "line 1: behind the colon are"),
        (b":\n" + END, "line 1: it is shorter"),
        (b":0\n" + END, "line 1: behind the colon are"),
        (b":04000000\n" + END, "line 1: it is shorter"),
        (record(0, b"x")[:-1] + b" \n" + END, "line 1: behind the colon are"),
        (b"\xff\xfe\n" + END, "line 1: it does not begin"),
        (b"\xef\xbb\xbf" + record(0, b"x") + END, "line 1: it does not begin"),
        (b":\xb2\n" + END, "line 1: behind the colon are"),
        (b"\n" * MAX_TEXT_SIZE + END, "more than 16777216 bytes"),
        (b"".join(record(2 * n, b"x") for n in range(MAX_SEGMENTS + 1)) + END, "4096 pieces"),
    ],
    ids=itertools.count(),
)
def test_what_is_no_sound_hex_file_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(PlanError, match=reason) as caught:
        read_segments(text)
    assert "\n" not in str(caught.value)


def test_two_bases_of_which_one_is_zero_are_no_riddle() -> None:
    # As GNU objcopy goes from one kind to the other.
    text = b"".join(
        (
            record(0, b"\xf0\x00", kind=2),
            record(0x10, b"low"),
            record(0, b"\x00\x00", kind=2),
            record(0, b"\x00\x10", kind=4),
            record(0x20, b"high"),
            END,
            b"\n\r\n  \n",
        )
    )
    assert read_segments(text) == (HexSegment(0xF_0010, b"low"), HexSegment(0x10_0020, b"high"))


def joined(pieces: Iterable[tuple[int, bytes]]) -> dict[int, int]:
    """Return what is to be at each address; of two pieces the later one counts."""
    return {start + at: byte for start, data in pieces for at, byte in enumerate(data)}


def held(segments: Iterable[HexSegment]) -> dict[int, int]:
    return joined((segment.address, segment.data) for segment in segments)


starts = st.integers(0, 0xFFFF_FFC0) | st.integers(0xFFE0, 0x1_0020) | st.integers(0, 200)
contents = st.lists(st.tuples(starts, st.binary(min_size=1, max_size=60)), max_size=4).map(joined)
entries = st.none() | st.just({"EIP": 0x1234_5678}) | st.just({"CS": 0x1234, "IP": 0x5678})


def written(content: dict[int, int], entry: dict[str, int] | None, line_end: str) -> bytes:
    """Return a file as intelhex writes it."""
    memory = IntelHex(content)
    memory.start_addr = entry
    file = io.StringIO()
    memory.write_hex_file(file, eolstyle=line_end, byte_count=16)
    # It follows the system in what it gives to a file that is open.
    return file.getvalue().replace("\r\n", "\n").replace("\n", line_ends[line_end]).encode()


line_ends = {"native": "\n", "CRLF": "\r\n"}


@given(contents, entries, st.sampled_from(list(line_ends)), st.sampled_from([str.lower, str.upper]))
def test_what_intelhex_writes_is_read(
    content: dict[int, int],
    entry: dict[str, int] | None,
    line_end: str,
    case: Callable[[str], str],
) -> None:
    text = case(written(content, entry, line_end).decode()).encode()
    assert held(read_segments(text)) == content


@given(contents, entries, st.sampled_from(list(line_ends)), st.data())
def test_a_change_of_one_character_is_refused_or_changes_no_data(
    content: dict[int, int], entry: dict[str, int] | None, line_end: str, data: st.DataObject
) -> None:
    text = written(content, entry, line_end)
    place = data.draw(st.integers(0, len(text)))
    some = st.sampled_from(b"0123456789ABCDEFabcdef:\r\n \0") | st.integers(0, 0xFF)
    new = data.draw(st.just(b"") | some.map(lambda byte: bytes((byte,))))
    taken = data.draw(st.integers(0, 1))
    changed = text[:place] + new + text[place + taken :]
    try:
        segments = read_segments(changed)
    except PlanError:
        return
    assert held(segments) == content


@given(contents, st.data())
def test_the_beginning_of_a_file_is_refused(content: dict[int, int], data: st.DataObject) -> None:
    text = written(content, None, "native")
    with pytest.raises(PlanError):
        read_segments(text[: data.draw(st.integers(0, len(text) - 2))])


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
