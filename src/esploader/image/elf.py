"""ELF files of programs: which bytes belong where in the memory of a chip.

Only what an image is made of is read: 32 bits, little-endian, the tables of sections and of
segments. What does not hold together is refused, also where other readers would go on.

Sources: Tool Interface Standard, "Executable and Linking Format", version 1.2; the numbers of
the two machines: gABI, "ELF Header".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.chip import Architecture
from esploader.classes import frozen, override
from esploader.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAGIC: Final = b"\x7fELF"
"""What every ELF file begins with."""

MAX_NAME_SIZE: Final = 128
"""Bytes of the name of a section that are read; all names that mean something are shorter."""

# magic 4 bytes | class u8 | byte order u8 | version u8, padding 9 bytes | type u16 | machine u16
# | version u32 | entry u32 | program headers u32 | section headers u32
# | flags u32, size of this header u16 | size and count of program headers u16 x 2
# | size and count of section headers u16 x 2 | section with their names u16
_HEADER: Final = struct.Struct("<4s2B10x2H4x3I6x5H")

# name u32 | type u32 | flags u32 | address u32 | offset u32 | size u32 | link u32 | info u32
# | alignment u32 | entry size u32
_SECTION: Final = struct.Struct("<6I8xI4x")

# type u32 | offset u32 | virtual and physical address u32 x 2 | size in the file u32
# | size in memory u32 | flags u32 | alignment u32
_PROGRAM: Final = struct.Struct("<5I8xI")

_TYPE: Final = slice(16, 18)
_EXECUTABLE: Final = 2
_CLASS_32: Final = 1
_LITTLE_ENDIAN: Final = 1
_MACHINES: Final = {0x5E: Architecture.XTENSA, 0xF3: Architecture.RISCV}

_PROGBITS: Final = 1
_STRTAB: Final = 3
_LOADED: Final = frozenset({_PROGBITS, 14, 15, 16})
"""Types of sections with bytes for the memory: PROGBITS; INIT_, FINI_ and PREINIT_ARRAY."""

_PASSED_OVER: Final = frozenset({0, 2, _STRTAB, 4, 5, 6, 8, 9, 11, 18})
"""Types of sections that are known not to have any: NULL, SYMTAB, STRTAB, RELA, HASH, DYNAMIC,
NOBITS, REL, DYNSYM, SYMTAB_SHNDX."""

_LOAD: Final = 1


@frozen
class ElfPart:
    """Bytes of a program, and where they belong: a section, or a segment that is loaded."""

    name: str
    """That of a section; empty for a segment."""

    address: int = attrs.field(repr=hex)
    """Of a section its address, of a segment its physical one."""

    data: memoryview = attrs.field(repr=False)
    """What belongs there."""

    alignment: int
    """Of its address, as the linker was asked for it; 0 and 1 stand for none."""


@frozen(kw_only=True, repr=False)
class ElfFile:
    """A program as the linker left it."""

    architecture: Architecture
    """The instruction set that it is for."""

    entry: int
    """The address of its first instruction."""

    sections: tuple[ElfPart, ...]
    """Sections with bytes and an address other than 0, in the order of their table."""

    segments: tuple[ElfPart, ...]
    """Segments to be loaded, with bytes and a physical address other than 0, in the order of
    their table."""

    unknown_types: tuple[int, ...]
    """Types of sections that were passed over without knowing them."""

    @override
    def __repr__(self) -> str:
        counts = f"{len(self.sections)} sections, {len(self.segments)} segments"
        return f"<ElfFile {self.architecture.value}, entry {self.entry:#x}, {counts}>"


def is_elf(data: bytes | memoryview) -> bool:
    """Tell whether ``data`` begin like an ELF file."""
    return data[: len(MAGIC)] == MAGIC


def is_program(data: bytes | memoryview) -> bool:
    """Tell whether ``data`` begin like the ELF file of a program, and of no library or module."""
    kind = int.from_bytes(data[_TYPE], "little")
    return is_elf(data) and kind == _EXECUTABLE


def parse_elf(data: bytes) -> ElfFile:
    """Return what the ELF file ``data`` would have loaded; nothing of it is copied.

    Raises :exc:`~esploader.errors.ElfError` when it is none that a chip could run, or not all of
    one.
    """
    if not is_elf(data):
        raise ElfError("it does not begin like one")
    if len(data) < _HEADER.size:
        raise ElfError(f"its {len(data)} bytes are fewer than a header has")
    _, bits, order, _, machine, entry, *tables = _HEADER.unpack_from(data)
    if (bits, order) != (_CLASS_32, _LITTLE_ENDIAN):
        raise ElfError("it is of another kind than 32 bits, little-endian")
    architecture = _MACHINES.get(machine)
    if architecture is None:
        raise ElfError(f"it is for machine {machine:#x}, neither Xtensa nor RISC-V")
    programs_at, sections_at, program_size, program_count, *of_sections = tables
    section_size, section_count, names_index = of_sections
    if not section_count:
        raise ElfError("it has no table of sections")
    view = memoryview(data)
    headers = _table(view, _SECTION, "section", (sections_at, section_size, section_count))
    types = {kind for _, kind, *_ in headers}
    segments: tuple[ElfPart, ...] = ()
    if program_count:
        rows = _table(view, _PROGRAM, "program", (programs_at, program_size, program_count))
        segments = tuple(_segments(view, rows))
    found = ElfFile(
        architecture=architecture,
        entry=entry,
        sections=tuple(_sections(view, headers, _names(view, headers, names_index))),
        segments=segments,
        unknown_types=tuple(sorted(types - _LOADED - _PASSED_OVER)),
    )
    _check_total(found.sections, len(data))
    _check_total(found.segments, len(data))
    return found


def _table(
    view: memoryview, row: struct.Struct, what: str, place: tuple[int, int, int]
) -> list[tuple[int, ...]]:
    offset, size, count = place
    if size != row.size:
        raise ElfError(f"its {what} headers have {size} bytes each instead of {row.size}")
    end = offset + size * count
    if end > len(view):
        raise ElfError(f"it ends within its {count} {what} headers")
    return list(row.iter_unpack(view[offset:end]))


def _names(view: memoryview, headers: list[tuple[int, ...]], index: int) -> memoryview:
    if index < len(headers):
        _, kind, _, _, offset, size, _ = headers[index]
        if kind == _STRTAB:
            return _bytes_of(view, "the names of its sections", offset, size)
    raise ElfError("the names of its sections are not where its header says")


def _sections(
    view: memoryview, headers: Iterable[tuple[int, ...]], names: memoryview
) -> Iterator[ElfPart]:
    for number, header in enumerate(headers):
        name_at, kind, _, address, offset, size, alignment = header
        if kind in _LOADED and address and size:
            found = _bytes_of(view, f"section {number}", offset, size)
            name, _, _ = bytes(names[name_at : name_at + MAX_NAME_SIZE]).partition(b"\0")
            yield ElfPart(name.decode("ascii", "replace"), address, found, alignment)


def _segments(view: memoryview, headers: Iterable[tuple[int, ...]]) -> Iterator[ElfPart]:
    for number, (kind, offset, _, physical, size, alignment) in enumerate(headers):
        if kind == _LOAD and physical and size:
            found = _bytes_of(view, f"segment {number}", offset, size)
            yield ElfPart("", physical, found, alignment)


def _bytes_of(view: memoryview, what: str, offset: int, size: int) -> memoryview:
    if offset + size > len(view):
        raise ElfError(f"it ends within {what}")
    return view[offset : offset + size]


def _check_total(parts: Iterable[ElfPart], size: int) -> None:
    # Else a small file could stand for any amount of memory.
    if sum(len(part.data) for part in parts) > size:
        raise ElfError("several of its parts have the same bytes")
