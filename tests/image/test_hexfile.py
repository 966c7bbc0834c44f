"""Intel HEX files: what they hold, and that damaged ones are refused."""

from __future__ import annotations

import io
import itertools
import random
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intelhex import IntelHex
from typing_extensions import override

from esploader.errors import PlanError
from esploader.image import hexfile
from esploader.image.hexfile import (
    MAX_TEXT_PER_BYTE,
    MIN_TEXT_SIZE,
    READ_SIZE,
    SAMPLE_SIZE,
    is_hex,
    read_file,
    read_segments,
)
from esploader.image.runs import MAX_RUNS, Run

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


FIRST = record(0x0100, bytes.fromhex("214601360121470136007EFE09D21901"))
A_WHOLE_SAMPLE = FIRST * (SAMPLE_SIZE // len(FIRST) + 1)


@pytest.mark.parametrize(
    "beginning",
    [
        FIRST,
        FIRST.lower(),
        FIRST.rstrip(),
        b"\r\n" + FIRST.replace(b"\n", b"\r\n") + END,
        END,
        # Damaged, and to be refused as that.
        FIRST.replace(b"40\n", b"41\n"),
        FIRST + b"and so on",
        # Behind the sample nobody looks yet.
        A_WHOLE_SAMPLE + b"\x00",
    ],
    ids=["record", "lower", "no_line_end", "dos", "end", "wrong_sum", "more_text", "long"],
)
def test_an_intel_hex_file_is_told_by_its_content(beginning: bytes) -> None:
    assert is_hex(beginning)


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b":",
        b":)\n",
        b":" + bytes(range(256)),
        FIRST + b"\x00\x01",
        A_WHOLE_SAMPLE[: SAMPLE_SIZE - 1] + b"\xff",
        FIRST.replace(b":10", b":11"),
        FIRST.replace(b"\n", b" a comment\n"),
        b" " + FIRST,
        b":0000\n",
        FIRST[:20],
    ],
    ids=[
        "empty",
        "colon",
        "smile",
        "binary",
        "binary_later",
        "binary_at_the_end",
        "another_size",
        "comment",
        "indented",
        "short",
        "cut_off",
    ],
)
def test_what_merely_begins_with_a_colon_is_none(beginning: bytes) -> None:
    assert not is_hex(beginning)


@given(st.binary(max_size=600))
def test_no_binary_data_are_taken_for_one(data: bytes) -> None:
    assert not is_hex(b":" + data + b"\x00")


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
    assert read_segments(text) == (Run(0x10, b"first"), Run(0x1_8000, b"second"))
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
        (record(0, b"x" * 255)[:-1] + b"00\n" + END, "line 1: it is longer than it says"),
        (b"\xff\xfe\n" + END, "line 1: it does not begin"),
        (b"\xef\xbb\xbf" + record(0, b"x") + END, "line 1: it does not begin"),
        (b":\xb2\n" + END, "line 1: behind the colon are"),
        (record(0, b"x") + b" \n" + END, "line 2: it is blank"),
        (b"".join(record(2 * n, b"x") for n in range(MAX_RUNS + 1)) + END, "4096 pieces"),
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
    assert read_segments(text) == (Run(0xF_0010, b"low"), Run(0x10_0020, b"high"))


def joined(pieces: Iterable[tuple[int, bytes]]) -> dict[int, int]:
    """Return what is to be at each address; of two pieces the later one counts."""
    return {start + at: byte for start, data in pieces for at, byte in enumerate(data)}


def held(segments: Iterable[Run]) -> dict[int, int]:
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


def test_a_file_that_is_cut_anywhere_is_refused() -> None:
    text = written({**dict.fromkeys(range(40), 7), 0x12_3456: 8}, {"EIP": 0x4000}, "native")
    for size in range(len(text.rstrip())):
        with pytest.raises(PlanError):
            read_segments(text[:size])


@given(st.lists(st.binary(max_size=30)), st.booleans())
def test_any_text_is_segments_or_a_plan_error(lines: list[bytes], is_hex: bool) -> None:  # noqa: FBT001 - drawn
    text = b"".join(b":" + (line.hex().encode() if is_hex else line) + b"\n" for line in lines)
    try:
        segments = read_segments(text + END)
    except PlanError:
        return
    assert all(segment.data for segment in segments)


ROOM = 1000
MOST_TEXT = MIN_TEXT_SIZE + MAX_TEXT_PER_BYTE * ROOM


def test_more_data_than_there_is_room_for_are_refused() -> None:
    fitting = b"".join(record(10 * n, b"0123456789") for n in range(ROOM // 10))
    assert read_segments(fitting + END, max_size=ROOM) == (Run(0, b"0123456789" * 100),)
    with pytest.raises(PlanError, match="more than 1000 bytes is too much"):
        read_segments(fitting + record(0x8000, b"x") + END, max_size=ROOM)


@pytest.mark.parametrize(
    "filler", [b"\n", b" ", b":", b"\r"], ids=["lines", "blanks", "colons", "cr"]
)
def test_text_without_end_is_not_read_to_its_end(filler: bytes) -> None:
    file = io.BytesIO(filler * 4 * MOST_TEXT)
    with pytest.raises(PlanError, match=r"not read here|do not end|it is longer"):
        read_file(file, max_size=ROOM)
    assert file.tell() <= MOST_TEXT + 2 * READ_SIZE


@given(contents, st.integers(1, 50), st.sampled_from(["\n", "\r\n", "\r"]))
def test_however_a_file_is_cut_it_is_the_same(
    content: dict[int, int], size: int, line_end: str
) -> None:
    text = written(content, None, "native").replace(b"\n", line_end.encode())

    class Slow(io.BytesIO):
        @override
        def read(self, _: int | None = -1) -> bytes:
            return super().read(size)

    assert read_file(Slow(text)) == read_segments(text)


@pytest.mark.parametrize("order", ["forwards", "backwards", "odd ones last", "shuffled"])
def test_records_come_in_any_order(order: str) -> None:
    data = random.Random(0).randbytes(0x1_0800)  # noqa: S311 - data, not a secret
    base = [record(0, n.to_bytes(2, "big"), kind=4) for n in range(2)]
    starts = list(range(0xE000, len(data)))
    match order:
        case "backwards":
            starts.reverse()
        case "odd ones last":
            starts.sort(key=lambda start: start % 2)
        case "shuffled":
            random.Random(0).shuffle(starts)  # noqa: S311 - no secret
        case _:
            pass
    records = (base[at >> 16] + record(at & 0xFFFF, data[at : at + 1]) for at in starts)
    text = b"".join(records) + END
    assert read_segments(text) == (Run(0xE000, data[0xE000:]),)
    with pytest.raises(PlanError, match="given twice"):
        read_segments(text[: -len(END)] + base[0] + record(0xE007, b"x") + END)


@pytest.mark.parametrize("size", [0x1_0000, 0x8_0000], ids=["64 KiB", "512 KiB"])
def test_reading_takes_little_more_memory_than_the_data(size: int) -> None:
    data = random.Random(0).randbytes(size)  # noqa: S311 - data, not a secret
    lines = []
    for base in range(0, size, 0x1_0000):
        lines.append(record(0, (base >> 16).to_bytes(2, "big"), kind=4))
        span = data[base : base + 0x1_0000]
        lines += (record(at, span[at : at + 16]) for at in range(0, len(span), 16))
    file = io.BytesIO(b"".join((*lines, END)))
    del lines
    tracemalloc.start()
    try:
        assert read_file(file) == (Run(0, data),)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A piece of the text at a time, and its lines.
    assert peak < 3 * size + 6 * READ_SIZE


def test_what_is_scattered_is_not_read_to_its_end() -> None:
    # Each record has one byte, which none of the others touches: twelve times that in memory.
    lines = []
    for base in range(5):
        lines.append(record(0, base.to_bytes(2, "big"), kind=4))
        lines += (record(at, b"x") for at in range(0, 0x1_0000, 2))
    file = io.BytesIO(b"".join((*lines, END)))
    with pytest.raises(PlanError, match="in more than 65536 pieces is not read"):
        read_file(file)
    assert file.tell() < len(file.getbuffer())


def test_suffixes_are_in_lower_case() -> None:
    assert all(suffix == suffix.lower() for suffix in hexfile.SUFFIXES)


def as_runs(content: dict[int, int]) -> tuple[Run, ...]:
    """Return what is at each address as runs, of which some touch each other."""
    runs: list[Run] = []
    for address in sorted(content):
        byte = bytes((content[address],))
        if runs and runs[-1].end == address and len(runs[-1].data) < 23:
            runs[-1] = Run(runs[-1].address, runs[-1].data + byte)
        else:
            runs.append(Run(address, byte))
    return tuple(runs)


@given(contents)
def test_what_is_written_is_what_intelhex_writes(content: dict[int, int]) -> None:
    text = b"".join(hexfile.written(as_runs(content)))
    assert text == written(content, None, "native")
    assert held(read_segments(text)) == content


@pytest.mark.parametrize(
    ("runs", "lines"),
    [
        ((), [":00000001FF"]),
        ((Run(0xFFFF, b"\1"),), [":01FFFF000100", ":00000001FF"]),
        (
            (Run(0xFFFF, b"\1\2"),),
            [":020000040000FA", ":01FFFF000100", ":020000040001F9", ":0100000002FD", ":00000001FF"],
        ),
        (
            (Run(0xFFFF_FFFF, b"\1"),),
            [":02000004FFFFFC", ":01FFFF000100", ":00000001FF"],
        ),
    ],
    ids=["nothing", "no_base", "two_bases", "last_address"],
)
def test_bases_are_given_where_one_does_not_do(runs: tuple[Run, ...], lines: list[str]) -> None:
    assert b"".join(hexfile.written(runs)).decode().splitlines() == lines


def test_neighbours_share_a_line() -> None:
    first, second = Run(8, b"0123"), Run(12, b"4567")
    whole = (Run(8, b"01234567"),)
    assert [*hexfile.written((first, second))] == [*hexfile.written(whole)]


def test_a_large_file_is_written_in_parts() -> None:
    data = bytes(512 * 1024)
    sizes = [len(part) for part in hexfile.written((Run(8, data), Run(0x7F0_0000, data)))]
    assert sum(sizes) > 2.5 * 2 * len(data)
    # Those of 64 KiB.
    assert max(sizes) == 4096 * len(":10000000") + 4096 * len("00") * 17 + 4096 * len("\n")
