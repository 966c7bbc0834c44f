"""Which line of a program is at an address: the debug information in its ELF file.

It is read by pyelftools, which is an extra. Only what an address needs is read, a compilation
unit at a time: to read all of a large program would take a minute. Whatever a file holds, what goes
wrong is a :exc:`~esploader.errors.DebugInfoError`.

Sources: DWARF Debugging Information Format, versions 4 and 5.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import io
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, frozen
from esploader.device.console.address_table import AddressTable
from esploader.device.console.dwarf_unit import Unit, ranges_of, read_unit
from esploader.errors import DebugInfoError, UnsupportedError
from esploader.image.elf import is_elf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import ParamSpec, TypeVar

    from elftools.dwarf.dwarfinfo import DWARFInfo
    from elftools.elf.elffile import ELFFile

    ParamsT = ParamSpec("ParamsT")
    ResultT = TypeVar("ResultT")

MAX_ELF_SIZE: Final = 256 * 1024 * 1024
"""Of a file, in bytes; those with debug information have tens of MiB."""

MAX_SYMBOLS: Final = 1_000_000
MAX_UNITS: Final = 100_000

_KEPT_UNITS: Final = 64
"""How many of them are remembered; what pyelftools keeps of them goes with them."""

_EXECUTABLE: Final = 4
_WINDOW: Final = 0xC000_0000
_CODE: Final = 0x4000_0000


@frozen
class Place:
    """Where in the source of a program an instruction comes from."""

    function: str
    """Its name; empty where nothing tells it."""

    file: str
    """Path of the file as the compiler was told it; empty where nothing tells it."""

    line: int
    """From 1 on; 0 where nothing tells it."""


@frozen
class _Symbol:
    start: int
    end: int
    name: str


def _guarded(read: Callable[ParamsT, ResultT]) -> Callable[ParamsT, ResultT]:
    """Have whatever goes wrong within be an error of ours: the first argument names the file."""

    @functools.wraps(read)
    def guarded(*arguments: ParamsT.args, **options: ParamsT.kwargs) -> ResultT:
        try:
            return read(*arguments, **options)
        except (DebugInfoError, UnsupportedError):
            raise
        # A file that is damaged makes pyelftools fail in any way that Python has.
        except (Exception, RecursionError) as exc:
            first = arguments[0]
            path = first.path if isinstance(first, DebugInfo) else first
            reason = f"it cannot be read: {type(exc).__name__}: {exc}"
            raise DebugInfoError(str(path), reason) from exc

    return guarded


@define(eq=False, repr=False)
class DebugInfo:
    """The debug information of one program."""

    path: Path
    """The ELF file."""

    digest: str
    """SHA-256 of the file, in hexadecimal digits, as the application tells it."""

    is_riscv: bool
    """The program is for RISC-V, of which the panic handler prints no backtrace."""

    _elf: ELFFile
    _is_xtensa: bool
    _code: list[tuple[int, int]]
    """Where instructions are: first address, and that behind the last."""

    _table: AddressTable | None = attrs.field(default=None, init=False)
    _dwarf: DWARFInfo | None = attrs.field(default=None, init=False)
    _units: dict[int, Unit] = attrs.field(factory=dict, init=False)
    _symbols: list[_Symbol] | None = attrs.field(default=None, init=False)
    _ranges: list[tuple[int, int, int]] | None = attrs.field(default=None, init=False)
    """First address, that behind the last, and the offset of the unit, where there is no table."""

    @classmethod
    def read(cls, path: Path) -> DebugInfo:
        """Read an ELF file.

        Raises:
            UnsupportedError: pyelftools is not installed.
            DebugInfoError: it cannot be read, or is no ELF file.
        """
        return _read(path)

    @_guarded
    def places(self, address: int) -> tuple[Place, ...]:
        """Return what is at an address, the innermost function first, then what it is inlined in.

        Nothing where there is no code, or nothing is known of it.

        Raises:
            DebugInfoError: the file is damaged.
        """
        where = self._code_address(address)
        if where is None:
            return ()
        unit = self._unit_at(where)
        found = () if unit is None else unit.places(where)
        if found and found[0][0]:
            return tuple(Place(*each) for each in found)
        name = self._symbol_at(where)
        file, line = found[0][1:] if found else ("", 0)
        return (Place(name, file, line),) if name or line else ()

    def _code_address(self, address: int) -> int | None:
        """Return the address of the instruction meant; ``None`` where there is none."""
        if self._is_xtensa and address & _WINDOW not in {0, _CODE}:
            # A return address in a register tells in these bits how far the window goes on.
            address = address & ~_WINDOW | _CODE
        return address if any(start <= address < end for start, end in self._code) else None

    def _unit_at(self, address: int) -> Unit | None:
        dwarf = self._fresh_dwarf()
        if dwarf is None:
            return None
        offset = self._table_of_addresses().unit_at(address)
        if offset is None:
            offset = self._offset_by_ranges(dwarf, address)
        if offset is None:
            return None
        if offset not in self._units:
            self._units[offset] = read_unit(dwarf, dwarf.get_CU_at(offset))
        return self._units[offset]

    def _table_of_addresses(self) -> AddressTable:
        if self._table is None:
            section = self._elf.get_section_by_name(".debug_aranges")
            self._table = AddressTable.parse(b"" if section is None else section.data())
        return self._table

    def _fresh_dwarf(self) -> DWARFInfo | None:
        if len(self._units) >= _KEPT_UNITS:
            self._units.clear()
            self._dwarf = None
        if self._dwarf is None and self._elf.has_dwarf_info():
            # Files that this one names are not looked for.
            self._dwarf = self._elf.get_dwarf_info(follow_links=False)
        return self._dwarf

    def _offset_by_ranges(self, dwarf: DWARFInfo, address: int) -> int | None:
        if self._ranges is None:
            self._ranges = []
            for number, unit in enumerate(dwarf.iter_CUs()):
                if number == MAX_UNITS:
                    raise DebugInfoError(str(self.path), f"it has more than {MAX_UNITS} units")
                top = unit.get_top_DIE()
                self._ranges += [(*each, unit.cu_offset) for each in ranges_of(dwarf, unit, top)]
        return next((unit for start, end, unit in self._ranges if start <= address < end), None)

    def _symbol_at(self, address: int) -> str:
        if self._symbols is None:
            self._symbols = sorted(self._read_symbols(), key=lambda symbol: symbol.start)
        index = bisect.bisect_right(self._symbols, address, key=lambda symbol: symbol.start) - 1
        if index < 0 or address >= self._symbols[index].end:
            return ""
        return self._symbols[index].name

    def _read_symbols(self) -> Iterator[_Symbol]:
        from elftools.elf.sections import SymbolTableSection

        table = self._elf.get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            return
        for number, symbol in enumerate(table.iter_symbols()):
            if number == MAX_SYMBOLS:
                raise DebugInfoError(str(self.path), f"it has more than {MAX_SYMBOLS} symbols")
            start, size = symbol["st_value"], symbol["st_size"]
            if symbol["st_info"]["type"] == "STT_FUNC" and size:
                yield _Symbol(start, start + size, symbol.name)


@_guarded
def _read(path: Path) -> DebugInfo:
    try:
        from elftools.elf.elffile import ELFFile
    except ImportError as exc:
        raise UnsupportedError(
            "to tell lines by addresses", "pyelftools is missing: pip install 'esploader[monitor]'"
        ) from exc
    try:
        if not path.is_file() or path.stat().st_size > MAX_ELF_SIZE:
            raise DebugInfoError(str(path), "it is no file of a sensible size")
        # All of it: the next build may overwrite the file while somebody watches.
        data = path.read_bytes()
    except OSError as exc:
        raise DebugInfoError(str(path), exc.strerror or str(exc)) from exc
    if not is_elf(data):
        raise DebugInfoError(str(path), "it is no ELF file")
    elf = ELFFile(io.BytesIO(data))
    if any(
        section.compressed or section.name.startswith(".zdebug") for section in elf.iter_sections()
    ):
        # A small file could stand for any amount of memory.
        raise DebugInfoError(str(path), "its debug information is compressed")
    code = [
        (section["sh_addr"], section["sh_addr"] + section["sh_size"])
        for section in elf.iter_sections()
        if section["sh_flags"] & _EXECUTABLE and section["sh_addr"]
    ]
    machine = elf["e_machine"]
    return DebugInfo(
        path=path,
        digest=hashlib.sha256(data).hexdigest(),
        is_riscv=machine == "EM_RISCV",
        elf=elf,
        is_xtensa=machine == "EM_XTENSA",
        code=code,
    )
