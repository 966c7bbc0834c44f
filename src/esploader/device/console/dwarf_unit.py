"""One compilation unit of a program: which line, and which functions, an address belongs to."""

from __future__ import annotations

import bisect
import posixpath
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, frozen
from esploader.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.die import DIE
    from elftools.dwarf.dwarfinfo import DWARFInfo
    from elftools.dwarf.lineprogram import LineProgram

MAX_ENTRIES: Final = 500_000
"""Of the tree of a unit; what has more is no source that people write."""

MAX_PROGRAM_SIZE: Final = 4 * 1024 * 1024
"""Of what makes the table of lines of a unit, in bytes."""

MAX_DEPTH: Final = 200
"""How deep functions may be inlined in one another, and names refer to others."""

_FUNCTIONS: Final = frozenset({"DW_TAG_subprogram", "DW_TAG_inlined_subroutine"})
_PASSED_THROUGH: Final = _FUNCTIONS | {
    "DW_TAG_compile_unit",
    "DW_TAG_lexical_block",
    "DW_TAG_module",
    "DW_TAG_namespace",
    "DW_TAG_class_type",
    "DW_TAG_structure_type",
    "DW_TAG_union_type",
}
"""What may have a function in it."""

_NAMES: Final = ("DW_AT_abstract_origin", "DW_AT_specification")
_FIRST_WITH_ZERO: Final = 5
"""From this version on files and folders are counted from 0."""


@frozen
class _Line:
    start: int
    end: int
    file: str
    number: int


@frozen
class _Function:
    start: int
    end: int
    depth: int
    name: str
    call_file: str
    """Where it was called, if it is inlined."""
    call_line: int


@define(eq=False, repr=False)
class Unit:
    """What is known of the addresses of a unit."""

    _lines: Sequence[_Line]
    """In the order of their addresses."""
    _functions: Sequence[_Function] = attrs.field()

    def places(self, address: int) -> list[tuple[str, str, int]]:
        """Return function, file and line, the innermost first; nothing where none is known."""
        index = bisect.bisect_right(self._lines, address, key=lambda line: line.start) - 1
        file, number = "", 0
        if index >= 0 and address < self._lines[index].end:
            file, number = self._lines[index].file, self._lines[index].number
        around = [each for each in self._functions if each.start <= address < each.end]
        found: list[tuple[str, str, int]] = []
        for function in sorted(around, key=lambda each: -each.depth):
            found.append((function.name, file, number))
            file, number = function.call_file, function.call_line
        return found or ([("", file, number)] if number else [])


def read_unit(dwarf: DWARFInfo, unit: CompileUnit) -> Unit:
    """Return what a unit tells.

    Raises:
        ProtocolError: it has more than any source.
    """
    program = dwarf.line_program_for_CU(unit)
    files = [] if program is None else _files(program, _text(unit.get_top_DIE(), "DW_AT_comp_dir"))
    lines = [] if program is None else sorted(_lines(program, files), key=lambda line: line.start)
    return Unit(lines, list(_functions(dwarf, unit, files)))


def ranges_of(dwarf: DWARFInfo, unit: CompileUnit, entry: DIE) -> list[tuple[int, int]]:
    """Return what an entry of the tree covers: first addresses, and those behind the last."""
    from elftools.dwarf.descriptions import describe_form_class
    from elftools.dwarf.ranges import BaseAddressEntry

    attributes = entry.attributes
    base = attributes["DW_AT_low_pc"].value if "DW_AT_low_pc" in attributes else 0
    if "DW_AT_high_pc" in attributes:
        high = attributes["DW_AT_high_pc"]
        is_address = describe_form_class(high.form) == "address"
        return [(base, high.value if is_address else base + high.value)]
    lists = dwarf.range_lists()
    if "DW_AT_ranges" not in attributes or lists is None:
        return []
    top = unit.get_top_DIE().attributes
    base = top["DW_AT_low_pc"].value if "DW_AT_low_pc" in top else 0
    found = []
    for each in lists.get_range_list_at_offset(attributes["DW_AT_ranges"].value, unit):
        if isinstance(each, BaseAddressEntry):
            base = each.base_address
        else:
            shift = 0 if each.is_absolute else base
            found.append((shift + each.begin_offset, shift + each.end_offset))
    return found


def _functions(dwarf: DWARFInfo, unit: CompileUnit, files: Sequence[str]) -> Iterator[_Function]:
    waiting = [(unit.get_top_DIE(), 0)]
    count = 0
    while waiting:
        entry, depth = waiting.pop()
        if entry.tag in _FUNCTIONS:
            depth += 1
            for start, end in ranges_of(dwarf, unit, entry):
                yield _Function(
                    start,
                    end,
                    depth,
                    _name(entry),
                    _file(files, _number(entry, "DW_AT_call_file")),
                    _number(entry, "DW_AT_call_line"),
                )
        for child in entry.iter_children() if depth <= MAX_DEPTH else ():
            count += 1
            if count > MAX_ENTRIES:
                # In a damaged tree an entry may be its own sibling.
                raise ProtocolError(f"a unit of more than {MAX_ENTRIES} entries")
            if child.tag in _PASSED_THROUGH:
                waiting.append((child, depth))


def _name(entry: DIE) -> str:
    for _ in range(MAX_DEPTH):
        if "DW_AT_name" in entry.attributes:
            return _text(entry, "DW_AT_name")
        other = next((name for name in _NAMES if name in entry.attributes), None)
        if other is None:
            break
        entry = entry.get_DIE_from_attribute(other)
    return ""


def _lines(program: LineProgram, files: Sequence[str]) -> Iterator[_Line]:
    if program.program_end_offset - program.program_start_offset > MAX_PROGRAM_SIZE:
        raise ProtocolError(f"a table of lines of more than {MAX_PROGRAM_SIZE} bytes")
    before = None
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        if before is not None and before.address < state.address:
            yield _Line(before.address, state.address, _file(files, before.file), before.line)
        before = None if state.end_sequence else state


def _files(program: LineProgram, folder: str) -> list[str]:
    """Return the paths of the files that a table of lines has, by their numbers."""
    header = program.header
    folders = [each.decode("utf-8", "replace") for each in header["include_directory"]]
    counts_from_zero = header["version"] >= _FIRST_WITH_ZERO
    if not counts_from_zero:
        folders.insert(0, folder)
    found = [] if counts_from_zero else [""]
    for each in header["file_entry"]:
        name = each.name.decode("utf-8", "replace")
        index = each.dir_index
        parent = folders[index] if 0 <= index < len(folders) else ""
        found.append(posixpath.join(folder, parent, name))
    return found


def _file(files: Sequence[str], number: int) -> str:
    return files[number] if 0 <= number < len(files) else ""


def _number(entry: DIE, name: str) -> int:
    value = entry.attributes[name].value if name in entry.attributes else 0
    return value if isinstance(value, int) else 0


def _text(entry: DIE, name: str) -> str:
    value = entry.attributes[name].value if name in entry.attributes else b""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
