"""ELF files are read as they were written, and none that is damaged does any harm."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elf_programs import made_up
from elf_writer import NOBITS, NOTE, STRTAB, Elf, Program, Section, elf_for
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.model.chip import MIB, Architecture
from esploader.errors import ElfError, EsploaderError
from esploader.image.build import build_image
from esploader.image.elf import MAX_NAME_SIZE, is_elf, parse_elf
from esploader.image.options import ImageOptions

SECTIONS = (
    Section(".vectors", 0x4037_C000, b"vectors", alignment=256),
    Section(".bss", 0x3FC8_0000, b"nothing", NOBITS),
    Section(".empty", 0x3FC8_0000, b""),
    Section(".debug", 0, b"debug", flags=0),
    Section(".data", 0x3FC8_0100, b"data"),
)
PROGRAMS = (
    Program(0x1000, 0x2000, b"segment"),
    Program(0x3000, 0, b"nowhere"),
    Program(0x3000, 0x3000, b"note", type=4),
)
SMALL = elf_for(ESP32_C3, SECTIONS, PROGRAMS, entry=0x4037_C004).build()

# Where in the header of the file a field stands, and in what form.
FIELDS = {"class": 4, "order": 5, "machine": 18, "sections_at": 32, "section_size": 46}


def changed(data: bytes, offset: int, value: int, size: int = 2) -> bytes:
    return data[:offset] + value.to_bytes(size, "little") + data[offset + size :]


def test_what_would_be_loaded_is_read() -> None:
    elf = parse_elf(SMALL)

    assert elf.architecture is Architecture.RISCV
    assert elf.entry == 0x4037_C004
    assert [(each.name, each.address, bytes(each.data)) for each in elf.sections] == [
        (".vectors", 0x4037_C000, b"vectors"),
        (".data", 0x3FC8_0100, b"data"),
    ]
    assert [each.alignment for each in elf.sections] == [256, 4]
    assert [(each.address, bytes(each.data)) for each in elf.segments] == [(0x2000, b"segment")]
    assert elf.unknown_types == ()
    assert repr(elf) == "<ElfFile riscv, entry 0x4037c004, 2 sections, 1 segments>"


def test_the_table_of_sections_may_stand_anywhere() -> None:
    at = int.from_bytes(SMALL[FIELDS["sections_at"] :][:4], "little")
    ahead = SMALL[:at] + b"more" * 100
    moved = changed(ahead + SMALL[at:] + b"rest", FIELDS["sections_at"], len(ahead), 4)
    assert parse_elf(moved) == parse_elf(SMALL)
    assert parse_elf(moved).sections


def test_the_architecture_is_that_of_the_chip() -> None:
    assert parse_elf(elf_for(ESP32, SECTIONS).build()).architecture is Architecture.XTENSA


def test_sections_of_unknown_types_are_named() -> None:
    sections = [Section(".note", 0x3FC8_0000, b"note", kind) for kind in (NOTE, 0x7000_0003, NOTE)]
    assert parse_elf(elf_for(ESP32_C3, sections).build()).unknown_types == (NOTE, 0x7000_0003)


def test_a_name_without_end_is_cut() -> None:
    sections = [Section("." + "n" * 1000, 0x3FC8_0000, b"data")]
    (found,) = parse_elf(elf_for(ESP32_C3, sections).build()).sections
    assert found.name == "." + "n" * (MAX_NAME_SIZE - 1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "does not begin like one"),
        (b"\xe9" + SMALL, "does not begin like one"),
        (SMALL[:51], "its 51 bytes are fewer than a header has"),
        (changed(SMALL, FIELDS["class"], 2, 1), "of another kind than 32 bits"),
        (changed(SMALL, FIELDS["order"], 2, 1), "of another kind than 32 bits"),
        (changed(SMALL, FIELDS["machine"], 0x28), "for machine 0x28, neither Xtensa nor RISC-V"),
        (changed(SMALL, FIELDS["section_size"], 0x30), "section headers have 48 bytes each"),
        (changed(SMALL, FIELDS["section_size"] + 2, 0), "no table of sections"),
        (changed(SMALL, FIELDS["section_size"] + 2, 0xFFFF), "within its 65535 section headers"),
        (changed(SMALL, FIELDS["section_size"] + 4, 0xFFFF), "names of its sections are not"),
        (changed(SMALL, FIELDS["section_size"] + 4, 1), "names of its sections are not"),
        (changed(SMALL, FIELDS["sections_at"], 0xFFFF_FFFF, 4), "it ends within its 7 section"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, reason: str) -> None:
    with pytest.raises(ElfError, match=reason):
        parse_elf(data)


def test_a_file_that_is_cut_anywhere_is_refused() -> None:
    # The tables are at its end.
    for size in range(len(SMALL)):
        with pytest.raises(ElfError):
            parse_elf(SMALL[:size])


def with_tables_in_front(bytes_of_section: int) -> bytes:
    """Return an ELF file that has its tables in front, and ends within the bytes of a section."""
    names = b"\0.text\0"
    at = 52 + 3 * 40
    headers = b"".join(
        (
            bytes(40),
            struct.pack("<10I", 1, 1, 2, 0x4037_C000, at + len(names), 100, 0, 0, 4, 0),
            struct.pack("<10I", 0, STRTAB, 0, 0, at, len(names), 0, 0, 1, 0),
        )
    )
    fields = (0x4037_C000, 0, 52, 0, 52, 32, 0, 40, 3, 2)
    header = struct.pack("<16s2H5I6H", b"\x7fELF\1\1\1", 2, 0xF3, 1, *fields)
    return header + headers + names + b"t" * bytes_of_section


def test_a_file_that_ends_within_a_section_is_refused() -> None:
    assert len(parse_elf(with_tables_in_front(100)).sections) == 1
    for size in range(100):
        with pytest.raises(ElfError, match="it ends within section 1"):
            parse_elf(with_tables_in_front(size))


@given(st.binary(max_size=400), st.integers(0, len(SMALL)))
def test_any_bytes_are_an_elf_file_or_an_error(data: bytes, at: int) -> None:
    for candidate in (data, SMALL[:at] + data, SMALL[:at] + data + SMALL[at + len(data) :]):
        try:
            build_image(candidate, ESP32_C3, ImageOptions(ram_only_header=True))
        except EsploaderError as exc:
            assert str(exc)  # noqa: PT017 - either outcome will do
        assert is_elf(candidate) == candidate.startswith(b"\x7fELF")


@given(st.integers(0, 19), st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255))))
def test_changed_bytes_do_no_harm(number: int, changes: list[tuple[int, int]]) -> None:
    program = made_up(ESP32_C3, number)
    data = bytearray(program.elf)
    for at, value in changes:
        # Mostly in one of the tables, or in the header.
        data[-(at % 600) - 1 if at % 2 else at % 52] = value
    tracemalloc.start()
    try:
        build_image(bytes(data), ESP32_C3, program.options)
    except EsploaderError as exc:
        assert str(exc)  # noqa: PT017 - either outcome will do
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2 * len(data) + 32 * MIB


def test_sections_that_share_their_bytes_are_refused() -> None:
    # A file of 2 MB would stand for 16 GB.
    count = 0x4000
    data = bytearray(elf_for(ESP32_C3, [Section(".t", 0x4037_C000, bytes(MIB))]).build())
    table = struct.unpack_from("<I", data, FIELDS["sections_at"])[0]
    row = bytes(data[table + 40 : table + 80])
    names = bytes(data[table + 80 : table + 120])
    damaged = bytes(data[:table]) + bytes(40) + names + row * count
    damaged = changed(damaged, FIELDS["section_size"] + 2, count + 2)
    damaged = changed(damaged, FIELDS["section_size"] + 4, 1)
    tracemalloc.start()
    try:
        with pytest.raises(ElfError, match="several of its parts have the same bytes"):
            parse_elf(damaged)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(damaged) + 32 * MIB


@pytest.mark.parametrize("ram_only", [False, True])
def test_many_sections_far_apart_cost_little(*, ram_only: bool) -> None:
    sections = [
        Section(".t", 0x4037_C000 + n * 0x1_0000, b"x", alignment=0x1_0000) for n in range(2000)
    ]
    data = Elf(0xF3, 0, tuple(sections)).build()
    tracemalloc.start()
    try:
        with pytest.raises(ElfError, match=r"more than 16 segments|gaps of more than"):
            build_image(data, ESP32_C3, ImageOptions(ram_only_header=ram_only))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(data) + 32 * MIB
