"""Write the debug information of a small program, byte by byte, for the tests of its readers.

Source: DWARF Debugging Information Format, version 4. Nothing is shared with what it tests.
"""

from __future__ import annotations

import struct
from typing import Final

from elf_writer import PROGBITS, Elf, Section

START: Final = 0x4200_0000
SIZE: Final = 0x40
INLINED: Final = (0x4200_0010, 0x4200_0020)
"""Where the instructions of a function are that stands within another."""

FOLDER: Final = "/home/ana/project"
FILE: Final = f"{FOLDER}/main/main.c"
OTHER_FILE: Final = f"{FOLDER}/main/parts/helper.h"
CALL_LINE: Final = 12

LINES: Final = ((0x00, 1, 10), (0x10, 2, 33), (0x18, 2, 34), (0x20, 1, 14))
"""From which offset on the code comes from which file and line."""

RISCV: Final = 0xF3
XTENSA: Final = 0x5E

_ALLOCATED_CODE: Final = 6


def program(
    *, machine: int = RISCV, start: int = START, has_table: bool = True, main: str = "app_main"
) -> bytes:
    """Return the ELF file of a program of one function, into which another one is inlined.

    Without ``has_table`` nothing says by address which unit is meant.
    """
    info, abbreviations = _info(start, main)
    sections = [
        Section(".flash.text", start, bytes(SIZE), flags=_ALLOCATED_CODE),
        _debug(".debug_info", info),
        _debug(".debug_abbrev", abbreviations),
        _debug(".debug_line", _lines(start)),
    ]
    if has_table:
        sections.append(_debug(".debug_aranges", _ranges(start)))
    return Elf(machine, start, tuple(sections)).build()


def _debug(name: str, data: bytes) -> Section:
    return Section(name, 0, data, type=PROGBITS, flags=0, alignment=1)


def _text(text: str) -> bytes:
    return text.encode() + b"\0"


def _sized(body: bytes) -> bytes:
    return struct.pack("<I", len(body)) + body


def _info(start: int, main: str) -> tuple[bytes, bytes]:
    string, address, word, byte, offset, reference = 0x08, 0x01, 0x06, 0x0B, 0x17, 0x13
    name, low, high = (0x03, string), (0x11, address), (0x12, word)
    kinds = (
        (0x11, True, (name, (0x1B, string), (0x10, offset), low, high)),
        (0x2E, True, (name, low, high)),
        (0x2E, False, (name, (0x20, byte))),
        (0x1D, False, ((0x31, reference), low, high, (0x58, byte), (0x59, byte))),
    )
    abbreviations = b"".join(
        bytes((number, tag, has_children)) + bytes(sum(attributes, ())) + b"\0\0"
        for number, (tag, has_children, attributes) in enumerate(kinds, 1)
    )
    head = struct.pack("<HIB", 4, 0, 4)
    unit = b"\1" + _text("main/main.c") + _text(FOLDER) + struct.pack("<III", 0, start, SIZE)
    abstract_at = 4 + len(head) + len(unit)
    abstract = b"\3" + _text("helper") + b"\1"
    outer = b"\2" + _text(main) + struct.pack("<II", start, SIZE)
    shift = INLINED[0] - START
    inlined = b"\4" + struct.pack(
        "<IIIBB", abstract_at, start + shift, INLINED[1] - INLINED[0], 1, CALL_LINE
    )
    entries = unit + abstract + outer + inlined + b"\0" + b"\0"
    return _sized(head + entries), abbreviations + b"\0"


def _lines(start: int) -> bytes:
    tables = bytes((1, 1, 1)) + struct.pack("<bBB", -5, 14, 13)
    tables += bytes((0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1))
    tables += _text("main") + _text("main/parts") + b"\0"
    tables += _text("main.c") + bytes((1, 0, 0)) + _text("helper.h") + bytes((2, 0, 0)) + b"\0"
    steps = b"\0\5\2" + struct.pack("<I", start)
    before, line = 0, 1
    for offset, file, number in LINES:
        steps += bytes((2, offset - before, 4, file, 3, (number - line) & 0x7F, 1))
        before, line = offset, number
    steps += bytes((2, SIZE - before)) + b"\0\1\1"
    return _sized(struct.pack("<HI", 4, len(tables)) + tables + steps)


def _ranges(start: int) -> bytes:
    head = struct.pack("<HIBB4x", 2, 0, 4, 0)
    return _sized(head + struct.pack("<4I", start, SIZE, 0, 0))
