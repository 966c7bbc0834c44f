"""UF2 files: what they hold, what is written, and that damaged ones are refused."""

from __future__ import annotations

import io
import itertools
import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from esploader.errors import PlanError
from esploader.image import uf2
from esploader.image.runs import MAX_RUNS, Run
from esploader.image.uf2 import BLOCK_SIZE, is_uf2, read_blocks, read_file, written
from uf2_blocks import CHECKSUM, CONTAINER, FAMILY, NOT_FLASH, TAGS, block, checksum

ESP32_C3 = 0xD42B_A06C
MIB = 1024 * 1024


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311 - data, not a secret


def test_a_file_is_told_by_its_first_two_words() -> None:
    whole = block(0x1000, b"data")
    assert is_uf2(whole)
    assert is_uf2(whole[:8])
    assert not is_uf2(whole[:7])
    assert not is_uf2(b"UF2\n and text")
    assert not is_uf2(b"")


def test_what_blocks_hold_is_in_order_and_joined() -> None:
    parts = [(0x2000, b"second"), (0x1000, b"fir"), (0x1003, b"st")]
    file = b"".join(
        block(address, data, place=place, count=3) for place, (address, data) in enumerate(parts)
    )
    found = read_blocks(file)
    assert found.runs == (Run(0x1000, b"first"), Run(0x2000, b"second"))
    assert found.family == ESP32_C3


def test_each_part_of_a_file_is_counted_by_itself() -> None:
    file = b"".join(
        (
            block(0x0, b"one", place=0, count=2),
            block(0x3, b" two", place=1, count=2),
            block(0x100, b"three", place=0, count=1),
        )
    )
    assert read_blocks(file).runs == (Run(0x0, b"one two"), Run(0x100, b"three"))


def test_without_a_family_it_is_for_any_chip() -> None:
    assert read_blocks(block(0, b"data", flags=0, family=0x1234)).family is None


def test_what_is_not_for_the_flash_is_left_out() -> None:
    comment = block(0, b"a comment", place=1, count=3, flags=NOT_FLASH, family=0)
    file = block(0, b"a", count=3) + comment + block(0x10, b"b", place=2, count=3)
    assert read_blocks(file).runs == (Run(0, b"a"), Run(0x10, b"b"))
    only = block(0, b"a comment", flags=NOT_FLASH)
    assert read_blocks(only) == uf2.Uf2Content((), None)


def test_extension_tags_and_fillers_are_passed_over() -> None:
    tags = b"\x09\xbc\xc7\x9f0.1.2\0\0\0\xff\xff\xff\xff"
    sum_of_it = checksum(0, b"data")
    for flags, at_end in ((FAMILY | TAGS, b""), (FAMILY | TAGS | CHECKSUM, sum_of_it)):
        file = block(0, b"data", flags=flags, behind=tags, at_end=at_end, filler=b"\xff")
        assert read_blocks(file).runs == (Run(0, b"data"),)


@pytest.mark.parametrize("size", [4, 256, 452], ids=str)
@pytest.mark.parametrize("at_end", [False, True], ids=["behind", "at_the_end"])
def test_a_checksum_is_looked_at_in_either_place(size: int, *, at_end: bool) -> None:
    data = noise(size)

    def file(digest: bytes) -> bytes:
        return block(
            0x1000,
            data,
            flags=FAMILY | CHECKSUM,
            behind=b"" if at_end else digest,
            at_end=digest if at_end else b"",
        )

    right = checksum(0x1000, data)
    assert read_blocks(file(right)).runs == (Run(0x1000, data),)
    for place in (0, 4, 8, 23):
        wrong = bytearray(right)
        wrong[place] ^= 1
        with pytest.raises(PlanError, match=r"damaged: block 1: .*checksum"):
            read_blocks(file(bytes(wrong)))


def region_file(data: bytes, digest: bytes, *, start: int = 0x1000, size: int = 256) -> bytes:
    """Return a file whose blocks all have the checksum of one region."""
    count = -(-len(data) // size)
    return b"".join(
        block(
            start + place * size,
            data[place * size : (place + 1) * size],
            place=place,
            count=count,
            flags=FAMILY | CHECKSUM,
            at_end=digest,
        )
        for place in range(count)
    )


def test_a_checksum_may_be_that_of_a_region() -> None:
    data = noise(0x1000)
    right = checksum(0x1000, data)
    assert read_blocks(region_file(data, right)).runs == (Run(0x1000, data),)
    other = noise(0x1000)[1:] + b"x"
    with pytest.raises(PlanError, match="block 1: the checksum of its region is wrong"):
        read_blocks(region_file(other, right))
    with pytest.raises(PlanError, match="block 1: its checksum is of more than the file holds"):
        read_blocks(region_file(data[:0x800], right))
    with pytest.raises(PlanError, match="block 1: its checksum is one of something else"):
        read_blocks(region_file(data, right, start=0x4000))


def test_each_region_is_that_of_its_own_piece() -> None:
    first, second = noise(0x200), noise(0x300)
    pieces = (
        region_file(first, checksum(0x2000, first), start=0x2000),
        region_file(second, checksum(0x8000, second), start=0x8000),
    )
    bare = block(0x1000, b"without a checksum")
    expected = (
        Run(0x1000, b"without a checksum"),
        Run(0x2000, first),
        Run(0x8000, second),
    )
    assert read_blocks(bare + b"".join(pieces)).runs == expected
    wrong = bytearray(b"".join(pieces))
    wrong[-BLOCK_SIZE + 32] ^= 1
    with pytest.raises(PlanError, match="block 3: the checksum of its region is wrong"):
        read_blocks(bytes(wrong))


def test_regions_are_looked_at_once_each() -> None:
    # Else a file of a few megabytes would keep a program for hours.
    data = noise(0x800)
    first, second = checksum(0, data), checksum(0, data[:0x400])
    blocks = [
        block(place * 256, data[place * 256 :][:256], place=place, count=8, flags=FAMILY | CHECKSUM)
        for place in range(8)
    ]
    file = b"".join(
        each[: 508 - 24] + (second if place == 1 else first) + each[508:]
        for place, each in enumerate(blocks)
    )
    with pytest.raises(PlanError, match="block 1: its checksum is of a region that overlaps"):
        read_blocks(file)
    changed = bytearray(region_file(data, first, start=0))
    changed[-5] ^= 1
    with pytest.raises(PlanError, match="block 8: its checksum is another one than those before"):
        read_blocks(bytes(changed))


GOOD = block(0x1000, b"data")


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "it has no block"),
        (GOOD[:511], "block 1: it ends after 511 of 512 bytes"),
        (GOOD + b"x", "block 2: it ends after 1 of 512 bytes"),
        (b"\0" * 512, "block 1: it does not begin as blocks do"),
        (GOOD + b"\0" * 512, "block 2: it does not begin as blocks do"),
        (GOOD[:5] + b"\0" + GOOD[6:], "block 1: it does not begin as blocks do"),
        (GOOD[:511] + b"\0", "block 1: it does not end as blocks do"),
        (block(0, b"", size=0), "block 1: it has 0 bytes of data; 1 to 476 are possible"),
        (block(0, b"", size=477), "block 1: it has 477 bytes of data; 1 to 476"),
        (block(0, b"", size=0xFFFF_FFFF), "it has 4294967295 bytes of data"),
        (block(0, b"", size=456, flags=CHECKSUM), "456 bytes of data; 1 to 452 are possible"),
        (block(0xFFFF_FFFE, b"abc"), "block 1: its data go on behind the last address"),
        (block(0, b"a", flags=CONTAINER), "holds files for a file system"),
        (block(0, b"a", place=1, count=2), "block 1: it says it is number 1 of 2"),
        (block(0, b"a", count=0), "block 1: it says it is number 0 of 0"),
        (block(0, b"a", place=3, count=3), "block 1: it says it is number 3 of 3, and 0 of 3 is"),
        (block(0, b"a", count=2) * 2, "block 2: it says it is number 0 of 2, and 1 of 2 is due"),
        (block(0, b"a", count=2) + block(1, b"b", place=1, count=3), "number 1 of 3, and 1 of 2"),
        (block(0, b"a", count=9), "cut off: 8 of 9 blocks are missing"),
        (GOOD + block(0x1003, b"x"), "block 2: what is at 0x1003 is given twice"),
        (GOOD + block(0, b"x", family=7), "more than one kind of chip, from block 2"),
        (GOOD + block(0, b"x", flags=0), "more than one kind of chip, from block 2"),
        (
            b"".join(block(2 * place, b"x", place=0) for place in range(MAX_RUNS + 1)),
            "a UF2 file in more than 4096 pieces is not read",
        ),
    ],
    ids=itertools.count(),
)
def test_what_is_no_sound_file_is_refused(file: bytes, reason: str) -> None:
    with pytest.raises(PlanError, match=reason) as caught:
        read_blocks(file)
    assert "\n" not in str(caught.value)


def test_more_data_than_there_is_room_for_are_refused() -> None:
    assert read_blocks(GOOD, max_size=4).runs == (Run(0x1000, b"data"),)
    with pytest.raises(PlanError, match="a UF2 file of more than 3 bytes is too much here"):
        read_blocks(GOOD, max_size=3)


def test_blocks_without_end_are_not_read_to_their_end() -> None:
    # Comments take no room in the flash.
    comment = block(0, b"a comment", flags=NOT_FLASH)
    file = io.BytesIO(comment * 20_000)
    with pytest.raises(PlanError, match="more than 4097 blocks is not read here"):
        read_file(file, max_size=4)
    assert file.tell() < 8_000 * BLOCK_SIZE


runs = st.lists(
    st.tuples(st.integers(0, 200_000), st.binary(min_size=1, max_size=1500)), max_size=4
).map(
    lambda pairs: tuple(
        Run((number << 20) + start, data) for number, (start, data) in enumerate(pairs)
    )
)
sizes = st.none() | st.integers(1, 113).map(lambda words: 4 * words)


@given(runs, sizes, st.booleans())
def test_what_is_written_is_read(
    content: tuple[Run, ...],
    chunk_size: int | None,
    has_checksum: bool,  # noqa: FBT001 - drawn
) -> None:
    file = b"".join(written(content, 7, chunk_size=chunk_size, has_checksum=has_checksum))
    assert len(file) % BLOCK_SIZE == 0
    if content:
        assert read_blocks(file) == uf2.Uf2Content(content, 7)


@pytest.mark.parametrize("has_checksum", [True, False], ids=["checksums", "none"])
def test_a_cut_anywhere_is_refused(*, has_checksum: bool) -> None:
    file = b"".join(written((Run(0x1000, noise(1200)),), 7, has_checksum=has_checksum))
    for end in range(len(file)):
        with pytest.raises(PlanError):
            read_blocks(file[:end])


@given(st.data())
def test_a_change_of_one_byte_is_refused_or_changes_no_data(data: st.DataObject) -> None:
    content = (Run(0x1000, noise(700)), Run(0x9000, noise(100)))
    file = bytearray(b"".join(written(content, 7)))
    file[data.draw(st.integers(0, len(file) - 1))] ^= data.draw(st.integers(1, 0xFF))
    try:
        found = read_blocks(bytes(file))
    except PlanError:
        return
    # What fills the last block up means nothing; what is not for the flash is left out.
    assert set(found.runs) <= set(content)


words = st.integers(0, 600) | st.integers(0, 0xFFFF_FFFF)


@given(st.lists(st.tuples(words, words, words, words, words, words, st.binary(max_size=40))))
def test_any_blocks_are_content_or_a_plan_error(
    parts: list[tuple[int, int, int, int, int, int, bytes]],
) -> None:
    file = b"".join(
        block(address, data, place=place, count=count, flags=flags, family=family, size=size)
        for address, place, count, flags, family, size, data in parts
    )
    try:
        found = read_blocks(file)
    except PlanError:
        return
    assert all(run.data for run in found.runs)


@given(st.binary(max_size=1200))
def test_any_bytes_are_content_or_a_plan_error(data: bytes) -> None:
    with pytest.raises(PlanError):
        read_blocks(data)


@pytest.mark.parametrize("size", [1, 500, 512, 5000], ids=str)
def test_however_a_file_is_read_it_is_the_same(size: int) -> None:
    file = b"".join(written((Run(0x1000, noise(5000)),), 7))

    class Slow(io.BytesIO):
        @override
        def read(self, _: int | None = -1) -> bytes:
            return super().read(size)

    assert read_file(Slow(file)) == read_blocks(file)


@pytest.mark.parametrize("chunk_size", [452, 4], ids=str)
def test_reading_takes_little_more_memory_than_the_file(chunk_size: int) -> None:
    content = (Run(0x1000, noise(4 * MIB if chunk_size == 452 else 32_768)),)
    file = io.BytesIO(b"".join(written(content, 7, chunk_size=chunk_size)))
    size = len(file.getbuffer())
    tracemalloc.start()
    try:
        assert read_file(file).runs == content
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * size + 2 * MIB


def test_a_large_file_is_written_in_parts() -> None:
    content = (Run(0, bytes(4 * MIB)), Run(8 * MIB, bytes(4 * MIB)))
    tracemalloc.start()
    try:
        size = sum(len(part) for part in written(content, 7))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == 2 * -(-4 * MIB // 452) * BLOCK_SIZE
    assert peak < MIB


@pytest.mark.parametrize(
    ("size", "has_checksum", "limit"),
    [(456, True, 452), (480, False, 476), (0, True, 452), (6, True, 452), (4096, False, 476)],
    ids=str,
)
def test_a_chunk_size_that_is_none_is_refused(size: int, limit: int, *, has_checksum: bool) -> None:
    with pytest.raises(PlanError, match=f"4 to {limit} bytes of data, a multiple of 4, and not"):
        written((Run(0, b"x"),), 7, chunk_size=size, has_checksum=has_checksum)


def test_an_address_of_more_than_32_bits_is_refused() -> None:
    (file,) = written((Run(0xFFFF_FFFF, b"x"),), 7)
    assert read_blocks(file).runs == (Run(0xFFFF_FFFF, b"x"),)
    with pytest.raises(PlanError, match="0xffffffff is out of reach of a UF2 file"):
        written((Run(0xFFFF_FFFF, b"xy"),), 7)


def test_suffixes_are_in_lower_case() -> None:
    assert all(suffix == suffix.lower() for suffix in uf2.SUFFIXES)


def test_blocks_are_as_the_bridge_of_espressif_takes_them() -> None:
    first, second = noise(500), b"another part"
    size = 452
    expected = [
        (0x1000, first[:size], 0, 2),
        (0x1000 + size, first[size:], 1, 2),
        (0x9000, second, 0, 1),
    ]
    for has_checksum, flags in ((True, FAMILY | CHECKSUM), (False, FAMILY)):
        content = (Run(0x1000, first), Run(0x9000, second))
        file = written(content, 7, chunk_size=size, has_checksum=has_checksum)
        assert b"".join(file) == b"".join(
            block(
                address,
                data,
                place=place,
                count=count,
                flags=flags,
                family=7,
                behind=checksum(address, data) if has_checksum else b"",
            )
            for address, data, place, count in expected
        )
