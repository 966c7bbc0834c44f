"""Partition tables as text: what ESP-IDF's tools take is taken, and the rest is refused."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.errors import PartitionTableError
from esploader.image.partitions import parse_csv

MIB = 1 << 20


def places(text: str, **options: int) -> list[tuple[str, int, int]]:
    return [(each.name, each.offset, each.size) for each in parse_csv(text, **options)]


def test_blank_offsets_are_placed_one_behind_the_other() -> None:
    text = """
        # The first is behind the table, an app at a multiple of 64 KiB.
        nvs,   data, nvs,      , 0x6000
        small, data, phy,      , 0x123
        app,   app,  factory,  , 1M
        keys,  data, nvs_keys, , 4K
        last,  data, fat, 0x200000, 1m
    """
    assert places(text) == [
        ("nvs", 0x9000, 0x6000),
        ("small", 0xF000, 0x123),
        ("app", 0x1_0000, MIB),
        ("keys", 0x11_0000, 0x1000),
        ("last", 0x20_0000, MIB),
    ]


def test_blank_offsets_go_by_where_the_table_is() -> None:
    text = "nvs,data,nvs,,0x6000\napp,app,factory,,1M"
    assert places(text, table_offset=0x1_0000) == [
        ("nvs", 0x1_1000, 0x6000),
        ("app", 0x2_0000, MIB),
    ]


def test_a_negative_size_reaches_up_to_an_offset() -> None:
    assert places("a,data,64,0x9000,-0x10000") == [("a", 0x9000, 0x7000)]


def test_the_last_byte_that_an_offset_can_name_is_one() -> None:
    assert places("a,data,64,0xfffff000,4K") == [("a", 0xFFFF_F000, 0x1000)]
    with pytest.raises(PartitionTableError, match="a has no room at 0xfffff000"):
        parse_csv("a,data,64,0xfffff000,0x1001")


def test_bootloader_and_table_have_their_places() -> None:
    text = """
        bootloader,      bootloader,      primary, N/A, N/A
        partition_table, partition_table, primary, N/A, N/A
        nvs,             data,            nvs,        , 0x6000
        spare_boot,      bootloader,      ota,        , N/A
        spare_table,     partition_table, ota,        , N/A
        recovery,        bootloader,      recovery, N/A, N/A
    """
    options = {"bootloader_offset": 0x2000, "recovery_offset": 0x3F_0000}
    assert places(text, **options) == [
        ("bootloader", 0x2000, 0x6000),
        ("partition_table", 0x8000, 0x1000),
        ("nvs", 0x9000, 0x6000),
        ("spare_boot", 0xF000, 0x6000),
        ("spare_table", 0x1_5000, 0x1000),
        ("recovery", 0x3F_0000, 0x6000),
    ]


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        ("a,data,,,4K", (1, 6)),
        ("a,0x40,0xfe,,4K", (0x40, 0xFE)),
        ("a,64,1,,4K", (64, 1)),
        ("a,APP,Ota_15,,4K", (0, 0x1F)),
        ("a,app,test,,4K", (0, 0x20)),
        ("a,app,tee_1,,4K", (0, 0x31)),
        ("a,data,littlefs,,4K", (1, 0x83)),
        ("a,data,tee_ota,,8K", (1, 0x90)),
    ],
)
def test_types_and_subtypes(line: str, kinds: tuple[int, int]) -> None:
    (partition,) = parse_csv(line)
    assert (partition.type, partition.subtype) == kinds


def test_flags() -> None:
    (both,) = parse_csv("a,data,fat,,4K,encrypted:readonly")
    assert (both.is_encrypted, both.is_read_only) == (True, True)
    (neither,) = parse_csv("a,data,fat,,4K,")
    assert (neither.is_encrypted, neither.is_read_only) == (False, False)


def test_a_byte_order_mark_is_no_part_of_the_name() -> None:
    (partition,) = parse_csv("\ufeffnvs,data,nvs,,0x6000")
    assert partition.name == "nvs"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has no partitions"),
        ("# nothing\n\n", "it has no partitions"),
        ("\na", "line 2: the type is missing"),
        ("a,data,nvs,0x9000,", "line 1: the size is missing"),
        ("a,app,,,4K", "line 1: the subtype is missing: an app needs one"),
        (
            "a,apple,,,4K",
            "line 1: the type apple is no number from 0 to 254, one of app, data, bootloader, p",
        ),
        ("a,64,nvs,,4K", "line 1: the subtype nvs is no number from 0 to 254"),
        ("a,255,0,,4K", "line 1: the type 255 is no number from 0 to 254, one of app,"),
        ("a,data,nvs,x,4K", "line 1: the offset x is no number that fits"),
        ("a,data,nvs,-4K,4K", "line 1: the offset -4K is no number that fits"),
        ("a,data,64,,5G", "line 1: the size 5G is no number that fits"),
        ("a,data,64,,4096M", "line 1: the size 4096M is no number that fits"),
        ("a,data,64,,K", "line 1: the size K is no number that fits"),
        ("a,data,64,,0", "line 1: a has no room at 0x9000"),
        ("a,data,64,0xfffff000,8K", "line 1: a has no room at 0xfffff000"),
        ("a,data,64,,-4K", "line 1: a has no room at 0x9000"),
        ("a,data,64,,4K,secret", "line 1: the flag secret is none of encrypted, readonly"),
        ("a,data,64,,4K,,more", "line 1: it has more than 6 fields"),
        ("sixteen_letters_,data,64,,4K", "line 1: the name sixteen_letters_ has more than 15"),
        ("ééééééééé,data,64,,4K", "line 1: the name ééééééééé has more than 15 bytes"),
        ("a\x1bb,data,64,,4K", r"line 1: the name a\x1bb has characters that cannot be printed"),
        ("a,data,64,0x8000,4K", "line 1: a begins at 0x8000, and what is in front of it ends at"),
        ("a,data,64,0xa000,4K\nb,data,64,0x9000,4K", "line 2: b begins at 0x9000"),
        ("a,data,64,,4K\na,data,64,,4K", "2 partitions are called a"),
        ("a,app,factory,0x11000,1M", "a: 0x100000 bytes at 0x11000, and no multiple of 0x10000"),
        ("a,bootloader,primary,,", "line 1: where the bootloader is depends on the chip"),
        ("a,data,x\x07,,", r"line 1: the subtype x\x07 is no number"),
        ("a,data,64,," + "9" * 5000, "line 1: the size 999"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(PartitionTableError) as caught:
        parse_csv(text)
    assert str(caught.value).startswith(message)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_where_recovery_is_has_to_be_said() -> None:
    with pytest.raises(PartitionTableError, match="where the bootloader for recovery is, is not"):
        parse_csv("a,bootloader,recovery,,", bootloader_offset=0x2000)


ALPHABET = "nvsdatap,,,\n \t#0x19KM-:\ufeff\x1b\0é"


@given(st.text() | st.text(ALPHABET, max_size=200))
def test_anything_is_a_table_or_an_error(text: str) -> None:
    try:
        table = parse_csv(text)
    except PartitionTableError as exc:
        assert str(exc).isprintable()  # noqa: PT017 - either will do
    else:
        assert table.to_bytes()


def test_every_cut_of_a_text_is_a_table_or_an_error() -> None:
    text = "nvs,data,nvs,0x9000,0x6000,encrypted\napp,app,factory,0x10000,1M\n"
    for size in range(len(text) + 1):
        try:
            parse_csv(text[:size])
        except PartitionTableError as exc:
            assert str(exc).isprintable()  # noqa: PT017 - either will do


@pytest.mark.parametrize(
    "text",
    ["a,data,64,,4K\n" * 9_000, "," * MIB, "a" * MIB, "\n" * (MIB >> 5), "a,data," + "1" * MIB],
    ids=["lines", "commas", "a name", "blank lines", "a number"],
)
def test_what_a_large_text_costs(text: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(PartitionTableError):
            parse_csv(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(text) + MIB
