"""Addresses that a device prints become lines of the programs that are known."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import TYPE_CHECKING

import pytest

import dwarf_writer
from dwarf_writer import FILE, OTHER_FILE
from esploader.cli import main
from esploader.commands.flash_monitor import own_programs
from esploader.flash.builds.choosing import read_builds
from esploader.flash.inputs import settle_inputs
from tcp_host import read_until_closed, tcp_host

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

CRASH = b"""\
Guru Meditation Error: Core  0 panic'ed (Illegal instruction). Exception was unhandled.\r
Core  0 register dump:\r
MEPC    : 0x42000018  RA      : 0x42000024  SP      : 0x3fc8cdec  GP      : 0x3fc887e0\r
\r
Stack memory:\r
3fc8cdec: 0xa5a5a5a5 0x4200003f 0xa5a5a5a5 0x3fc89cc0\r
\r
ELF file SHA256: 0123456789abcdef\r
Rebooting...\r
"""


@contextlib.contextmanager
def crashing() -> Iterator[str]:
    """Have a device crash once; yield the URL of its port."""

    def crash(connection: socket.socket) -> None:
        connection.sendall(CRASH)
        read_until_closed(connection)

    with tcp_host(crash) as port:
        yield f"socket://127.0.0.1:{port}"


def watch(*options: str) -> int:
    with crashing() as url:
        end = ("--no-reset", "--until", "Rebooting", "--timeout", "20")
        return main(["monitor", "--port", url, *end, *options])


@pytest.fixture(name="elf")
def _elf(tmp_path: Path) -> Path:
    path = tmp_path / "app.elf"
    path.write_bytes(dwarf_writer.program())
    return path


def test_each_address_is_explained_below_its_line(
    elf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert watch("--elf", str(elf)) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    registers = next(number for number, line in enumerate(lines) if line.startswith("MEPC"))
    assert lines[registers + 1 : registers + 4] == [
        f"--- 0x42000018: helper at {OTHER_FILE}:34",
        f"--- 0x42000018:   inlined in app_main at {FILE}:12",
        f"--- 0x42000024: app_main at {FILE}:14",
    ]
    assert f"--- 0x4200003f: app_main at {FILE}:14" in lines
    assert "was made of another ELF file (0123456789abcdef)" in captured.out
    assert "install riscv32-esp-elf-gdb" in captured.err


def test_without_the_extra_lines_stay_as_they_are(
    elf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "elftools.elf.elffile", None)
    assert watch("--elf", str(elf)) == 0
    captured = capsys.readouterr()
    assert captured.out.encode() == CRASH.replace(b"\r", b"")
    assert captured.err.count("pip install 'esploader[monitor]'") == 1


def test_a_file_that_tells_nothing_is_refused_before_there_is_a_port(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "app.elf").write_bytes(b"text")
    words = ("monitor", "--port", "/dev/nothing", "--elf", str(tmp_path / "app.elf"))
    assert main(["--exit-codes", "detailed", *words]) == 55
    assert "it is no ELF file" in capsys.readouterr().err


def test_what_was_written_names_its_programs(elf: Path) -> None:
    image, other = elf.with_suffix(".bin"), elf.parent / "data.bin"
    image.write_bytes(b"image")
    other.write_bytes(b"data")
    names = [str(each) for each in (elf, other)]
    inputs = settle_inputs([(0x1000 * number, name) for number, name in enumerate(names)])
    assert own_programs(argparse.Namespace(inputs=inputs)) == [elf]
    inputs = settle_inputs([(0, str(image)), (0x1000, b"bytes")])
    assert own_programs(argparse.Namespace(inputs=inputs)) == [elf]


def test_a_build_names_its_programs(elf: Path) -> None:
    elf.with_suffix(".bin").write_bytes(b"image")
    (elf.parent / "flasher_args.json").write_text(
        '{"flash_files": {"0x10000": "app.bin"}, "extra_esptool_args": {"chip": "esp32c3"}}',
        encoding="utf-8",
    )
    builds = read_builds(elf.parent)
    assert own_programs(argparse.Namespace(builds=builds)) == [elf]
