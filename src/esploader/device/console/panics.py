"""The stack of a crashed RISC-V chip, which prints it as it is, unwound by GDB.

Its panic handler knows no frames. What can unwind them is a GDB for RISC-V, as ESP-IDF installs
one, with ``esp-idf-panic-decoder`` playing the crashed chip to it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import attrs

from esploader.classes import define
from esploader.numerals import printable

GDB: Final = "riscv32-esp-elf-gdb"
"""The program that is looked for."""

UNWINDING_TIME: Final = 30.0
"""For how long it may think, in seconds."""

MAX_REPORT_LINES: Final = 2000
"""Of a panic handler; ESP-IDF prints some 50."""

MAX_BACKTRACE_LINES: Final = 100

_PLAYER: Final = "esp_idf_panic_decoder"
_REGISTERS: Final = re.compile(r"Core +\d+ register dump:")
_STACK: Final = "Stack memory:"
_STACK_LINE: Final = re.compile(r"[0-9a-f]{8}: ")
_RISCV: Final = "MEPC "
_FRAME: Final = re.compile(r"#\d+ ")


@define(eq=False)
class PanicCollector:
    """Picks the reports of panic handlers out of lines."""

    _lines: list[str] = attrs.field(factory=list, init=False)
    _in_stack: bool = attrs.field(default=False, init=False)

    def feed(self, line: str) -> str | None:
        """Return a report of registers and stack that ends with ``line``, if one does."""
        if _REGISTERS.match(line):
            self._lines, self._in_stack = [line], False
            return None
        if not self._lines:
            return None
        if line.startswith(_STACK):
            self._in_stack = True
        elif self._in_stack and not _STACK_LINE.match(line):
            lines, self._lines = self._lines, []
            is_whole = any(each.startswith(_RISCV) for each in lines)
            return "\n".join([*lines, "", ""]) if is_whole else None
        if len(self._lines) == MAX_REPORT_LINES:
            self._lines = []
        else:
            self._lines.append(line)
        return None


@define(eq=False)
class Unwinder:
    """Has GDB unwind a stack in the background: that takes a while."""

    _program: str
    """The GDB."""
    _elf: Path
    _results: list[list[str]] = attrs.field(factory=list, init=False)
    _threads: list[threading.Thread] = attrs.field(factory=list, init=False)

    @classmethod
    def find(cls, elf: Path) -> Unwinder | None:
        """Return one for a program, if what it takes is installed."""
        program = shutil.which(GDB)
        return None if program is None or find_spec(_PLAYER) is None else cls(program, elf)

    @property
    def is_busy(self) -> bool:
        """It has not told all that it was asked for."""
        # In this order: one that ends meanwhile leaves a result.
        return any(thread.is_alive() for thread in self._threads) or bool(self._results)

    def begin(self, report: str) -> None:
        """Have a report unwound, unless another one is; :meth:`take` has what came of it."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if not self._threads:
            thread = threading.Thread(target=self._unwind, args=(report,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def take(self) -> list[str]:
        """Return what is new: frames, the innermost first, or why there are none."""
        return self._results.pop(0) if self._results else []

    def _unwind(self, report: str) -> None:
        try:
            self._results.append(self._backtrace(report))
        except (OSError, subprocess.SubprocessError) as exc:
            self._results.append([f"the stack was not unwound: {exc}"])

    def _backtrace(self, report: str) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "panic.txt"
            path.write_text(report, encoding="utf-8")
            player = f'"{sys.executable}" -m {_PLAYER} "{path}"'
            remote = ("-ex", f"target remote | {player}", "-ex", "backtrace")
            done = subprocess.run(  # noqa: S603 - the GDB that is on the path, and files of ours
                (self._program, "--batch", "-n", str(self._elf.absolute()), *remote),
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=UNWINDING_TIME,
            )
        text = done.stdout.decode("utf-8", "replace")
        lines = [*map(printable, text.split("\n"))]
        frames = [line for line in lines if _FRAME.match(line)][:MAX_BACKTRACE_LINES]
        if frames:
            return frames
        last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        return [f"the stack was not unwound: {last}"]
