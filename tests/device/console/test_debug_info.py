"""Addresses become lines of a program, whatever its file holds."""

from __future__ import annotations

import hashlib
import random
import struct
import sys
from typing import TYPE_CHECKING

import pytest

import dwarf_writer
from dwarf_writer import CALL_LINE, FILE, OTHER_FILE, SIZE, START, XTENSA
from esploader.device.console.address_table import AddressTable
from esploader.device.console.backtraces import MAX_ADDRESSES, BacktraceDecoder
from esploader.device.console.debug_info import DebugInfo, Place
from esploader.errors import DebugInfoError, ProtocolError, UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path

MAIN = "app_main"


def info_of(folder: Path, **options: int) -> DebugInfo:
    path = folder / "app.elf"
    path.write_bytes(dwarf_writer.program(**options))  # type: ignore[arg-type]
    return DebugInfo.read(path)


@pytest.mark.parametrize("has_table", [True, False])
def test_an_address_is_a_line_of_a_function(tmp_path: Path, has_table: bool) -> None:  # noqa: FBT001
    info = info_of(tmp_path, has_table=has_table)
    assert info.places(START) == (Place(MAIN, FILE, 10),)
    assert info.places(START + 0x0F) == (Place(MAIN, FILE, 10),)
    assert info.places(START + SIZE - 1) == (Place(MAIN, FILE, 14),)


def test_a_function_within_another_comes_first(tmp_path: Path) -> None:
    info = info_of(tmp_path)
    assert info.places(START + 0x1A) == (
        Place("helper", OTHER_FILE, 34),
        Place(MAIN, FILE, CALL_LINE),
    )


@pytest.mark.parametrize("address", [0, START - 1, START + SIZE, 0x3FC8_0000, 0xFFFF_FFFF])
def test_where_there_is_no_code_there_is_no_line(tmp_path: Path, address: int) -> None:
    assert info_of(tmp_path).places(address) == ()


def test_a_return_address_of_xtensa_is_one_with_a_window(tmp_path: Path) -> None:
    info = info_of(tmp_path, machine=XTENSA, start=0x400D_0000)
    assert info.places(0x800D_0000) == info.places(0x400D_0000) != ()


def test_the_file_is_known_by_its_digest(tmp_path: Path) -> None:
    info = info_of(tmp_path)
    assert info.digest == hashlib.sha256((tmp_path / "app.elf").read_bytes()).hexdigest()
    assert info.is_riscv


@pytest.mark.parametrize("content", [b"", b"text", b"\x7fELF", b"\x7fELF" + bytes(60)])
def test_what_is_no_program_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "app.elf"
    path.write_bytes(content)
    with pytest.raises(DebugInfoError, match=r"app\.elf"):
        DebugInfo.read(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(DebugInfoError):
            DebugInfo.read(path)


def test_damage_is_an_error_of_ours_or_does_not_matter(tmp_path: Path) -> None:
    whole = dwarf_writer.program()
    chance = random.Random(1)  # noqa: S311 - tests repeat themselves
    path = tmp_path / "app.elf"
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(52, len(data))] = chance.randrange(256)
        path.write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
        try:
            info = DebugInfo.read(path)
            for offset in range(0, SIZE, 8):
                info.places(START + offset)
        except DebugInfoError:
            refused += 1
    assert refused > 50


def test_without_the_extra_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "elftools.elf.elffile", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'esploader\[monitor\]'"):
        info_of(tmp_path)


def test_a_backtrace_is_explained_line_by_line(tmp_path: Path) -> None:
    decoder = BacktraceDecoder([info_of(tmp_path, machine=XTENSA, start=0x400D_0000)])
    line = "Backtrace: 0x400d0004:0x3ffb1234 0x400d001a:0x3ffb1254 |<-CORRUPTED"
    assert decoder.explain(line) == [
        f"0x400d0004: app_main at {FILE}:10",
        f"0x400d001a: helper at {OTHER_FILE}:34",
        f"0x400d001a:   inlined in app_main at {FILE}:{CALL_LINE}",
    ]
    assert decoder.explain(line) == decoder.explain(line)
    assert decoder.explain("heap at 0x3ffb1234, id 0x400d0004ff") == []


def test_where_a_function_returns_to_the_call_is_meant(tmp_path: Path) -> None:
    decoder = BacktraceDecoder([info_of(tmp_path)])
    line = "MEPC    : 0x42000000  RA      : 0x42000010  SP      : 0x3fc8cd5c"
    assert decoder.explain(line) == [
        f"0x42000000: app_main at {FILE}:10",
        f"0x42000010: app_main at {FILE}:10",
    ]


def test_another_application_is_noticed_once(tmp_path: Path) -> None:
    info = info_of(tmp_path)
    decoder = BacktraceDecoder([info])
    assert decoder.explain(f"ELF file SHA256:  {info.digest[:16]}") == []
    (doubt,) = decoder.explain("I (30) app_init: ELF file SHA256:  0123456789abcdef...")
    assert "was made of another ELF file (0123456789abcdef)" in doubt
    assert decoder.explain("ELF file SHA256:  0123456789abcdef") == []


def test_one_of_several_programs_will_do(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    programs = [info_of(tmp_path), info_of(tmp_path / "boot", start=0x4038_0000)]
    decoder = BacktraceDecoder(programs)
    assert decoder.explain("0x40380000 0x42000000") == [
        f"0x40380000: app_main at {FILE}:10",
        f"0x42000000: app_main at {FILE}:10",
    ]
    assert decoder.explain(f"ELF file SHA256: {programs[1].digest}") == []


def test_a_line_of_nothing_but_addresses_costs_little(tmp_path: Path) -> None:
    decoder = BacktraceDecoder([info_of(tmp_path)])
    line = " ".join(f"{START + offset:#010x}" for offset in range(SIZE)) * 10
    assert len(decoder.explain(line)) <= 2 * MAX_ADDRESSES


def test_names_in_a_file_do_a_terminal_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "app.elf"
    path.write_bytes(dwarf_writer.program(main="\x1b]0;owned\x07"))
    (line,) = BacktraceDecoder([DebugInfo.read(path)]).explain(f"{START:#010x}")
    assert line.isprintable()


def test_a_table_of_addresses_that_ends_early_is_refused() -> None:
    # DWARF, "Lookup by Address": a unit at 0x20 that has 16 bytes from 0x1000 on, and the end.
    table = struct.pack("<IHIBB4x4I", 28, 2, 0x20, 4, 0, 0x1000, 16, 0, 0)
    whole = AddressTable.parse(table)
    assert [whole.unit_at(address) for address in (0xFFF, 0x1000, 0x1010)] == [None, 0x20, None]
    for size in range(1, len(table)):
        with pytest.raises(ProtocolError, match=r"ends within a header|is of no such form"):
            AddressTable.parse(table + table[:size])
