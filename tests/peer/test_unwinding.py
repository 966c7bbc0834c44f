"""A real GDB unwinds the stack that a crashed RISC-V chip has printed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

import dwarf_writer
from esploader.device.console.panics import GDB, PanicCollector, Unwinder
from peers import do_without, require_program

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peer

REPORT = """\
Core  0 register dump:
MEPC    : 0x42000018  RA      : 0x42000024  SP      : 0x3fc8cdec  GP      : 0x3fc887e0
MHARTID : 0x00000000

Stack memory:
3fc8cdec: 0xa5a5a5a5 0xa5a5a5a5 0xa5a5a5a5 0x42012ea6 0xa5a5a5a5 0xa5a5a5a5 0xa5a5a5a5 0x40384206

"""
PATIENCE = 60.0
"""When the test gives up, in seconds."""


@pytest.fixture(name="elf")
def _elf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a program; the GDB for all machines stands for that of ESP-IDF."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / GDB).symlink_to(require_program("gdb-multiarch"))
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    path = tmp_path / "app.elf"
    path.write_bytes(dwarf_writer.program())
    return path


def unwound(elf: Path, report: str) -> list[str]:
    unwinder = Unwinder.find(elf)
    if unwinder is None:
        do_without("esp-idf-panic-decoder is not installed")
    unwinder.begin(report)
    deadline = time.monotonic() + PATIENCE
    while unwinder.is_busy and time.monotonic() < deadline:
        if found := unwinder.take():
            return found
        time.sleep(0.05)
    return []


def test_frames_are_named_with_their_lines(elf: Path) -> None:
    collector = PanicCollector()
    (report,) = filter(None, map(collector.feed, REPORT.splitlines()))
    first, second = unwound(elf, report)
    assert first.startswith("#0  helper () at ")
    assert first.endswith("helper.h:34")
    assert second.startswith("#1  app_main () at ")


@pytest.mark.slow
def test_what_is_no_report_is_said_to_be_none(elf: Path) -> None:
    (line,) = unwound(elf, "nonsense")
    assert line.startswith("the stack was not unwound: ")
