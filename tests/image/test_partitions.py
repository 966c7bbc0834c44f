"""Partition tables: their bytes, what they may say, and that damaged ones are refused."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.errors import PartitionTableError
from esploader.image.partition import APP, DATA, OTA_COUNT, Partition, printable
from esploader.image.partitions import Gap, PartitionTable, parse_csv, parse_table, table_lines

# "Factory app, two OTA definitions" of ESP-IDF's guide, row by row, as its guide describes a row.
ROWS = (
    b"\xaa\x50\x01\x02\x00\x90\x00\x00\x00\x40\x00\x00nvs\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    b"\xaa\x50\x01\x00\x00\xd0\x00\x00\x00\x20\x00\x00otadata\0\0\0\0\0\0\0\0\0\0\0\0\0"
    b"\xaa\x50\x01\x01\x00\xf0\x00\x00\x00\x10\x00\x00phy_init\0\0\0\0\0\0\0\0\0\0\0\0"
    b"\xaa\x50\x00\x00\x00\x00\x01\x00\x00\x00\x10\x00factory\0\0\0\0\0\0\0\0\0\0\0\0\0"
    b"\xaa\x50\x00\x10\x00\x00\x11\x00\x00\x00\x10\x00ota_0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    b"\xaa\x50\x00\x11\x00\x00\x21\x00\x00\x00\x10\x00ota_1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
)
TWO_OTA = (
    ROWS + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(ROWS, usedforsecurity=False).digest()
).ljust(0xC00, b"\xff")

CSV = """\
# Name,   Type, SubType,  Offset,   Size,  Flags
nvs,      data, nvs,      0x9000,  0x4000
otadata,  data, ota,      0xd000,  0x2000
phy_init, data, phy,      0xf000,  0x1000
factory,  app,  factory,  0x10000,  1M
ota_0,    app,  ota_0,    ,         1M
ota_1,    app,  ota_1,    ,         1M
"""

MIB = 1 << 20


def data(name: str, offset: int, size: int, subtype: int = 0x40, **options: int) -> Partition:
    return Partition(name=name, type=DATA, subtype=subtype, offset=offset, size=size, **options)


def app(name: str, offset: int, size: int, subtype: int = 0) -> Partition:
    return Partition(name=name, type=APP, subtype=subtype, offset=offset, size=size)


def test_bytes_and_text_say_the_same() -> None:
    table = parse_csv(CSV)
    assert table.to_bytes() == TWO_OTA
    assert parse_table(TWO_OTA) == table
    assert parse_csv(table.to_csv()) == table


def test_what_a_row_says() -> None:
    table = parse_table(TWO_OTA)
    assert len(table) == 6
    slot = table["ota_1"]
    assert (slot.offset, slot.size, slot.end) == (0x21_0000, MIB, 0x31_0000)
    assert (slot.type_name, slot.subtype_name, slot.ota_slot) == ("app", "ota_1", 1)
    assert slot.is_app
    assert not slot.flag_names
    assert table["otadata"].is_otadata
    assert table["factory"].ota_slot is None


def test_a_table_for_people() -> None:
    assert table_lines(parse_csv(CSV))[:3] == [
        "Name      Type  SubType  Offset    Size  Flags",
        "nvs       data  nvs      0x9000    16K",
        "otadata   data  ota      0xd000    8K",
    ]
    lines = table_lines([data("x", 0x9000, 0x1234, flags=3)])
    assert lines[1] == "x     data  64       0x9000  0x1234  encrypted:readonly"
    lines = table_lines([data("x", 0x9000, 0x1234, flags=0x82)])
    assert lines[1] == "x     data  64       0x9000  0x1234  readonly:0x80"
    with pytest.raises(PartitionTableError, match="flags that have no names: 0x80"):
        PartitionTable((data("x", 0x9000, 0x1234, flags=0x82),)).to_csv()


def test_a_table_without_md5_stays_one() -> None:
    plain = ROWS.ljust(0xC00, b"\xff")
    table = parse_table(plain)
    assert not table.has_md5
    assert table.to_bytes() == plain


def test_what_follows_the_table_is_not_of_it() -> None:
    assert parse_table(TWO_OTA + bytes(0x400)) == parse_table(TWO_OTA)
    assert parse_table(TWO_OTA[: 8 * 32]) == parse_table(TWO_OTA)


def test_any_kind_of_bytes_will_do() -> None:
    assert parse_table(memoryview(bytearray(TWO_OTA))) == parse_table(TWO_OTA)


def test_every_cut_is_refused() -> None:
    # Behind the six rows and the MD5 one blank row is needed, and no more.
    for size in range(8 * 32):
        with pytest.raises(PartitionTableError, match="it is cut off in row"):
            parse_table(TWO_OTA[:size])


def test_every_byte_that_is_another_one_is_noticed() -> None:
    table = parse_table(TWO_OTA)
    for position in range(len(ROWS) + 32):
        damaged = bytearray(TWO_OTA)
        damaged[position] ^= 0x41
        if position in range(len(ROWS) + 2, len(ROWS) + 16):
            assert parse_table(bytes(damaged)) == table
            continue
        with pytest.raises(PartitionTableError):
            parse_table(bytes(damaged))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff" * 0xC00, "it is blank"),
        (b"", "it is cut off in row 1: no blank row ends it"),
        (b"\xe9" + bytes(0xBFF), "row 1 begins with e900 instead of aa50"),
        (ROWS + b"\xeb\xeb" + bytes(30), "its MD5 is 0+ and should be [0-9a-f]{32}"),
        (TWO_OTA[: 7 * 32] + TWO_OTA[6 * 32 : 7 * 32] + b"\xff" * 32, "row 8 is a second MD5"),
        (TWO_OTA[: 7 * 32] + ROWS[:32] + b"\xff" * 32, "row 8 follows the MD5, which is the last"),
        (ROWS[:32] * 96, "no blank row ends it within 0xc00 bytes"),
    ],
    ids=["blank", "nothing", "something else", "MD5", "two MD5s", "behind it", "no end"],
)
def test_what_is_no_table(content: bytes, message: str) -> None:
    with pytest.raises(PartitionTableError, match=f"^{message}$"):
        parse_table(content)


@given(st.binary(max_size=0x1000) | st.binary(max_size=256).map(lambda tail: ROWS + tail))
def test_anything_is_a_table_or_an_error(content: bytes) -> None:
    try:
        table = parse_table(content)
    except PartitionTableError:
        return
    assert parse_table(table.to_bytes()) == table or not len(table)
    assert all(line.isprintable() for line in table_lines(table))
    assert all(problem.isprintable() for problem in table.problems(flash_size=4 * MIB))
    table.gaps(4 * MIB)


def test_what_a_large_input_costs() -> None:
    content = ROWS + bytes(8 * MIB)
    tracemalloc.start()
    try:
        with pytest.raises(PartitionTableError):
            parse_table(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB


def test_a_name_may_be_anything_and_is_shown_as_text() -> None:
    hostile = b"\x1b[2J\r\n\xff\xc3\xa9\x7f"
    row = ROWS[:12] + hostile.ljust(16, b"\0") + bytes(4)
    table = parse_table(row.ljust(0xC00, b"\xff"))
    (partition,) = table
    assert partition.shown_name == r"\x1b[2J\r\n\udcff" + "é" + r"\x7f"
    assert partition.to_bytes() == row
    assert all(line.isprintable() for line in table_lines(table))
    with pytest.raises(PartitionTableError, match="cannot be in a CSV file"):
        table.to_csv()
    with pytest.raises(PartitionTableError) as caught:
        table["\x1b[2J"]
    assert str(caught.value).isprintable()


def test_a_name_may_take_all_sixteen_bytes() -> None:
    row = ROWS[:12] + b"sixteen_letters!" + bytes(4)
    assert parse_table(row.ljust(0xC00, b"\xff"))["sixteen_letters!"].to_bytes() == row


@pytest.mark.parametrize(
    ("partition", "message"),
    [
        (data("seventeen_letters", 0x9000, 0x1000), "has 17 bytes; 16 are possible"),
        (data("a\0b", 0x9000, 0x1000), "has a zero byte"),
        (data("far", 1 << 32, 0x1000), "no table can hold it"),
        (data("odd", 0x9000, 0x1000, subtype=300), "no table can hold it"),
    ],
    ids=lambda value: value.shown_name if isinstance(value, Partition) else "",
)
def test_what_no_row_can_hold(partition: Partition, message: str) -> None:
    with pytest.raises(PartitionTableError, match=message):
        PartitionTable((partition,)).to_bytes()


@pytest.mark.parametrize(("has_md5", "most"), [(True, 94), (False, 95)])
def test_how_many_partitions_there_may_be(*, has_md5: bool, most: int) -> None:
    partitions = tuple(data(f"p{n}", 0x9000 + n * 0x1000, 0x1000) for n in range(most + 1))
    table = PartitionTable(partitions[:most], has_md5=has_md5)
    assert parse_table(table.to_bytes()) == table
    with pytest.raises(PartitionTableError, match=f"{most + 1} partitions; {most} are possible"):
        PartitionTable(partitions, has_md5=has_md5).to_bytes()


@pytest.mark.parametrize(
    ("partitions", "problem"),
    [
        ((app("a", 0x1_1000, MIB),), "a: 0x100000 bytes at 0x11000, and no multiple of 0x10000"),
        ((data("a", 0x9100, 0x1000),), "a: 0x1000 bytes at 0x9100, and no multiple of 0x1000"),
        ((app("a", 0x1_0000, 0x1800),), "the size of an app is a multiple of 0x1000"),
        ((data("a", 0x9000, 0),), "a has no bytes"),
        ((data("a", 0x8000, 0x1000),), "the table is in front of 0x9000"),
        ((data("a", 0x3F_F000, 0x2000),), "it ends beyond the flash of 0x400000 bytes"),
        ((data("a", 0x9000, 0x2000, 2),), "one with NVS has 0x3000, unless it is readonly"),
        ((data("a", 0x9000, 0x2000, 0, flags=2),), "a cannot be readonly: ota is written"),
        ((data("a", 0x9000, 0x2000, 3, flags=2),), "a cannot be readonly: coredump is written"),
        ((data("a", 0x9000, 0x1000, 0),), "otadata has 0x2000"),
        ((data("a", 0x9000, 0x1000, 0x90),), "otadata for the TEE has 0x2000"),
        ((data("a", 0x9000, 0x1000, 0xFF),), "types and subtypes end at 254"),
        ((data("a", 0x9000, 0x1000), data("a", 0xA000, 0x1000)), "2 partitions are called a"),
        (
            (data("a", 0x9000, 0x2000, 0), data("b", 0xB000, 0x2000, 0)),
            "there are 2 partitions with otadata, and one is possible",
        ),
        (
            (data("a", 0xA000, 0x2000), data("b", 0x9000, 0x1001)),
            "a: 0x2000 bytes at 0xa000 begins before the end of b: 0x1001 bytes at 0x9000",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_table_may_not_say(partitions: tuple[Partition, ...], problem: str) -> None:
    table = PartitionTable(partitions)
    (found,) = table.problems(flash_size=4 * MIB)
    assert problem in found
    with pytest.raises(PartitionTableError) as caught:
        table.check(flash_size=4 * MIB)
    assert str(caught.value) == found
    # It can be read all the same: it may be on a device.
    assert parse_table(table.to_bytes()) == table


def test_what_a_table_may_say() -> None:
    assert not parse_csv(CSV).problems(flash_size=4 * MIB)
    small = PartitionTable((data("a", 0x9000, 0x1000, 2, flags=2),))
    assert not small.problems()
    small.check()


def test_what_is_free() -> None:
    table = parse_csv("a,data,64,0xb000,0x1000\nb,app,factory,0x10000,1M\n")
    assert table.gaps(4 * MIB) == (
        Gap(offset=0x9000, size=0x2000),
        Gap(offset=0xC000, size=0x4000),
        Gap(offset=0x11_0000, size=0x2F_0000),
    )
    assert table.gaps(0x11_0000)[2:] == ()
    # Also of a flash that ends in the middle, and behind a table elsewhere.
    assert table.gaps(0x1_0000, table_offset=0xB000) == (Gap(offset=0xC000, size=0x4000),)


def test_names_that_are_not_there() -> None:
    table = parse_csv(CSV)
    with pytest.raises(PartitionTableError) as caught:
        table["ota_2"]
    assert str(caught.value) == (
        "there is no partition ota_2 (did you mean ota_1 or ota_0?); there are: "
        "nvs, otadata, phy_init, factory, ota_0, ota_1"
    )
    with pytest.raises(PartitionTableError, match=r"^there is no partition 0; there are"):
        table[0]  # type: ignore[index]
    double = PartitionTable((data("a", 0x9000, 0x1000), data("a", 0xA000, 0x1000)))
    with pytest.raises(PartitionTableError, match=r"^2 partitions are called a$"):
        double["a"]
    with pytest.raises(PartitionTableError, match=r"there are: none$"):
        PartitionTable(())["a"]


def test_who_shares_bytes_with_whom() -> None:
    first, second, third = (
        data("a", 0x9000, 0x2000),
        data("b", 0xA000, 0x1000),
        data("c", 0xB000, 0x1000),
    )
    table = PartitionTable((first, second, third))
    assert table.overlapping(first) == (second,)
    assert table.overlapping(second) == (first,)
    assert table.overlapping(third) == ()


def test_all_slots_have_names() -> None:
    for slot in range(OTA_COUNT):
        partition = app("x", 0x1_0000, 0x1000, 0x10 + slot)
        assert partition.subtype_name == f"ota_{slot}"
        assert partition.ota_slot == slot
    assert app("x", 0, 0, 0x20).ota_slot is None


@given(st.text())
def test_text_for_people_has_nothing_that_moves_the_cursor(text: str) -> None:
    assert printable(text).isprintable()


@given(
    st.lists(
        st.builds(
            Partition,
            name=st.text(max_size=4).filter(lambda name: "\0" not in name),
            type=st.integers(0, 255),
            subtype=st.integers(0, 255),
            offset=st.integers(0, 0xFFFF_FFFF),
            size=st.integers(0, 0xFFFF_FFFF),
            flags=st.integers(0, 0xFFFF_FFFF),
        ),
        max_size=6,
    )
)
def test_whatever_rows_can_hold_comes_back(partitions: list[Partition]) -> None:
    table = PartitionTable(tuple(partitions))
    assert parse_table(table.to_bytes()) == table
