"""Write ELF files, section by section and segment by segment, for the tests of those who read them.

Source: Tool Interface Standard, "Executable and Linking Format", version 1.2. Nothing is shared
with what it tests.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.chip import Architecture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esploader.chips.model.chip import Chip

MACHINES: Final = {Architecture.XTENSA: 0x5E, Architecture.RISCV: 0xF3}

PROGBITS: Final = 1
SYMTAB: Final = 2
STRTAB: Final = 3
NOTE: Final = 7
NOBITS: Final = 8
INIT_ARRAY: Final = 14
FINI_ARRAY: Final = 15
PREINIT_ARRAY: Final = 16

LOAD: Final = 1

ALLOCATED: Final = 2

HEADER_SIZE: Final = 52
_PROGRAM_HEADER_SIZE: Final = 32
_SECTION_HEADER_SIZE: Final = 40
_EXECUTABLE: Final = 2


@attrs.frozen
class Section:
    """A section of an ELF file, with bytes or, as NOBITS, without."""

    name: str
    address: int
    data: bytes
    type: int = PROGBITS
    flags: int = ALLOCATED
    alignment: int = 4


@attrs.frozen
class Program:
    """A segment of an ELF file, as its program header has it."""

    virtual: int
    physical: int
    data: bytes
    type: int = LOAD


@attrs.frozen
class Elf:
    """All that goes into an ELF file."""

    machine: int
    entry: int
    sections: tuple[Section, ...]
    programs: tuple[Program, ...] = ()

    def build(self) -> bytes:
        """Return the file: its header, what is in it, and at its end the two tables."""
        strings, names = _names([*(each.name for each in self.sections), ".shstrtab"])
        contents = bytearray()

        def place(data: bytes) -> int:
            offset = HEADER_SIZE + len(contents)
            contents.extend(data)
            return offset

        headers = [bytes(_SECTION_HEADER_SIZE)]
        for section, name in zip(self.sections, names, strict=False):
            data = b"" if section.type == NOBITS else section.data
            fields = (section.type, section.flags, section.address, place(data))
            headers.append(_section_header(name, *fields, len(section.data), section.alignment))
        headers.append(_section_header(names[-1], STRTAB, 0, 0, place(strings), len(strings), 1))
        programs = b"".join(
            struct.pack(
                "<8I",
                each.type,
                place(each.data),
                each.virtual,
                each.physical,
                len(each.data),
                len(each.data),
                5,
                4,
            )
            for each in self.programs
        )
        programs_at = place(programs) if programs else 0
        sections_at = HEADER_SIZE + len(contents)
        return b"".join(
            (
                self._header(programs_at, sections_at),
                contents,
                *headers,
            )
        )

    def _header(self, programs_at: int, sections_at: int) -> bytes:
        return struct.pack(
            "<16s2H5I6H",
            b"\x7fELF\1\1\1",
            _EXECUTABLE,
            self.machine,
            1,
            self.entry,
            programs_at,
            sections_at,
            0,
            HEADER_SIZE,
            _PROGRAM_HEADER_SIZE,
            len(self.programs),
            _SECTION_HEADER_SIZE,
            len(self.sections) + 2,
            len(self.sections) + 1,
        )


def elf_for(
    chip: Chip,
    sections: Sequence[Section],
    programs: Sequence[Program] = (),
    *,
    entry: int | None = None,
) -> Elf:
    """Return an ELF file for ``chip``; it is entered where its last section begins."""
    if entry is None:
        entry = sections[-1].address if sections else 0
    return Elf(MACHINES[chip.architecture], entry, tuple(sections), tuple(programs))


def _names(names: Sequence[str]) -> tuple[bytes, list[int]]:
    strings, offsets = bytearray(1), []
    for name in names:
        offsets.append(len(strings))
        strings += name.encode() + b"\0"
    return bytes(strings), offsets


def _section_header(
    name: int, kind: int, flags: int, address: int, offset: int, size: int, alignment: int
) -> bytes:
    return struct.pack("<10I", name, kind, flags, address, offset, size, 0, 0, alignment, 0)
