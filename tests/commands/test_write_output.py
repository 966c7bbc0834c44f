"""What is printed of a write: which files, what was done with them, and with which loader."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from esploader.chips.esp32c3 import ESP32_C3
from esploader.cli import main
from images import build_image, header_for, small_image, small_parts
from simulated import incompressible
from stub_files import stub_directory
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZE = 0x1_0120
"""Of a file, in bytes; in whole sectors it is 0x11000, which is 69632."""


@pytest.fixture(name="write")
def _write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Run write-flash on a device that keeps its flash, and return the lines after the device."""
    flash = tmp_path / "flash.bin"
    flash.write_bytes(old_content(4 << 20))

    def write(*words: str | Path, options: tuple[str, ...] = ("--no-stub",)) -> list[str]:
        command = ["--port", f"sim://esp32c3?file={flash}", *options, "--no-progress"]
        assert main([*command, "write-flash", *map(str, words)]) == 0
        output = capsys.readouterr().out
        shown = output[output.index("MAC:") :].splitlines()[2:-2]
        return [
            re.sub(r"\(\d+ (?:sent|compressed)\)|[\d.]+ seconds \([\d.]+", "(*", line)
            for line in shown
        ]

    return write


@pytest.fixture(name="app")
def _app(tmp_path: Path) -> Path:
    path = tmp_path / "app.bin"
    path.write_bytes(incompressible(SIZE))
    return path


WROTE = "Wrote {} bytes (* at 0x{:08x} in (* kbit/s)."


def test_a_file_its_size_and_what_is_written_for_it(
    write: Callable[..., list[str]], app: Path, tmp_path: Path
) -> None:
    before = (tmp_path / "flash.bin").read_bytes()
    assert write("0x10000", app) == [
        f"'{app}': 65824 bytes at 0x00010000, filled up to 69632 bytes.",
        WROTE.format(69632, 0x1_0000),
        "Hash of data verified.",
    ]
    after = (tmp_path / "flash.bin").read_bytes()
    assert after[0x1_0000:][:SIZE] == app.read_bytes()
    assert_untouched(before, after, [(0x1_0000, 0x1_0000 + SIZE)])

    assert write("0x10000", app) == [
        f"'{app}': 65824 bytes at 0x00010000, filled up to 69632 bytes.",
        "69632 bytes at 0x00010000 are already in flash, skipping write.",
        "Hash of data verified.",
    ]

    data = bytearray(app.read_bytes())
    data[-1] ^= 1
    app.write_bytes(data)
    assert write("0x10000", app) == [
        f"'{app}': 65824 bytes at 0x00010000, filled up to 69632 bytes.",
        WROTE.format(4096, 0x1_0000),
        "The other 65536 of 69632 bytes were in flash already.",
        "Hash of data verified.",
    ]


def test_files_that_are_written_together(write: Callable[..., list[str]], tmp_path: Path) -> None:
    first, second, whole = (tmp_path / name for name in ("first", "second", "whole"))
    first.write_bytes(b"first")
    second.write_bytes(b"second")
    whole.write_bytes(incompressible(0x2000))
    assert write("0x10010", first, "0x10100", second, "0x20000", whole, "0x30800", second) == [
        f"'{first}': 5 bytes at 0x00010010.",
        f"'{second}': 6 bytes at 0x00010100.",
        "Together 11 bytes, filled up to 4096 bytes from 0x00010000 on.",
        WROTE.format(4096, 0x1_0000),
        "Hash of data verified.",
        f"'{whole}': 8192 bytes at 0x00020000.",
        WROTE.format(8192, 0x2_0000),
        "Hash of data verified.",
        f"'{second}': 6 bytes at 0x00030800, filled up to 4096 bytes from 0x00030000 on.",
        WROTE.format(4096, 0x3_0000),
        "Hash of data verified.",
    ]


@pytest.mark.parametrize("baud", ["115200", "921600"])
@pytest.mark.parametrize("has_stub", [False, True], ids=["rom", "stub"])
def test_the_loader_and_the_rate_that_a_write_goes_with(
    write: Callable[..., list[str]], app: Path, tmp_path: Path, *, baud: str, has_stub: bool
) -> None:
    loader = ("--stub", str(stub_directory(tmp_path))) if has_stub else ("--no-stub",)
    rate = [] if baud == "115200" else ["Changing baud rate to 921600... Changed."]
    stub = ["Stub flasher running."] if has_stub else []
    lines = write("0x10000", app, options=(*loader, "--baud", baud))
    assert lines[:-3] == [*rate, *stub]


def test_commands_that_start_no_stub_say_nothing_of_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stubs = str(stub_directory(tmp_path))
    assert main(["--port", "sim://esp32c3", "--stub", stubs, "--baud", "921600", "flash-id"]) == 0
    output = capsys.readouterr().out
    assert "Stub" not in output
    assert output.count("Changing baud rate to 921600... Changed.\n") == 1


@pytest.mark.parametrize("command", [("read-flash", "0", "4096"), ("erase-region", "0", "4096")])
def test_other_commands_say_that_a_stub_runs(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    output_file = [str(tmp_path / "copy")] if command[0] == "read-flash" else []
    stubs = str(stub_directory(tmp_path))
    assert main(["--port", "sim://esp32c3", "--stub", stubs, *command, *output_file]) == 0
    lines = capsys.readouterr().out.splitlines()
    progress = [line for line in lines if line.startswith(("Reading at", "Erasing at"))]
    assert lines.index("Stub flasher running.") < lines.index(progress[0])
    assert lines.count("Stub flasher running.") == 1


def boot_image(tmp_path: Path, *, digest: bool = True) -> Path:
    path = tmp_path / "bootloader.bin"
    path.write_bytes(small_image(ESP32_C3, digest=digest))
    return path


def test_what_is_put_into_the_header_of_the_bootloader(
    write: Callable[..., list[str]], tmp_path: Path
) -> None:
    path = boot_image(tmp_path)
    assert write("-fm", "dio", "-fs", "detect", "0", path)[:-3] == [
        "Auto-detected flash size: 4MB",
        "Flash parameters set to 0x0220 (mode dio, size 4MB).",
        "SHA digest in image updated.",
    ]
    assert (tmp_path / "flash.bin").read_bytes()[2:4] == b"\x02\x20"


def test_no_digest_is_renewed_where_there_is_none(
    write: Callable[..., list[str]], tmp_path: Path
) -> None:
    path = boot_image(tmp_path, digest=False)
    assert write("-fm", "dio", "0", path)[:-3] == ["Flash parameters set to 0x0200 (mode dio)."]


def test_a_header_that_has_it_already(write: Callable[..., list[str]], tmp_path: Path) -> None:
    parts = small_parts(ESP32_C3)
    path = tmp_path / "bootloader.bin"
    path.write_bytes(build_image(header_for(ESP32_C3, parts, mode=2, size=2), parts))
    assert write("-fm", "dio", "-fs", "4MB", "0", path)[:-3] == [
        "Flash parameters are 0x0220 already (mode dio, size 4MB)."
    ]
    assert write("0", path)[:-3] == []


def test_a_size_is_detected_though_there_is_no_bootloader(
    write: Callable[..., list[str]], app: Path
) -> None:
    assert write("-fs", "detect", "0x10000", app)[:-3] == ["Auto-detected flash size: 4MB"]


def test_the_document_has_the_inputs_and_the_header(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = boot_image(tmp_path)
    command = ["--port", "sim://esp32c3", "--no-stub", "--json", "write-flash", "-fm", "dio"]
    assert main([*command, "0", str(path)]) == 0
    document = json.loads(capsys.readouterr().out)
    (region,) = document["written"]
    assert region["inputs"] == [{"name": str(path), "offset": 0, "size": len(path.read_bytes())}]
    assert document["header"] == {
        "offset": 0,
        "mode": "dio",
        "frequency": None,
        "size": None,
        "changed": True,
        "digest_renewed": True,
    }
