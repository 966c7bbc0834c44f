"""Defaults that the environment sets, by the names that esptool has for them."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from esploader.chips.esp32c3 import ESP32_C3
from esploader.cli import main
from esploader.commands.defaults import VARIABLES
from esploader.commands.parser import parse
from images import small_image
from loaded_commands import esploader
from programs import LOOPBACK, free_port, running, served_chip
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from pathlib import Path

C3 = ["--port", "sim://esp32c3"]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("ESPTOOL_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("name", "text", "value", "line"),
    [
        ("PORT", "P", "P", "read-mac -p P"),
        ("BAUD", "9600", 9600, "read-mac -b 9600"),
        ("CHIP", "esp32", "esp32", "read-mac -c esp32"),
        ("BEFORE", "no_reset", "no-reset", "read-mac --before no-reset"),
        ("AFTER", "watchdog-reset", "watchdog-reset", "read-mac -a watchdog-reset"),
        ("CONNECT_ATTEMPTS", "0", 0, "read-mac --connect-attempts 0"),
        ("CONNECT_ATTEMPTS", "-1", 0, "read-mac --connect-attempts 0"),
        ("OPEN_PORT_ATTEMPTS", "5", 5, None),
        ("FM", "qio", "qio", "write-flash -fm qio 0 a.bin"),
        ("FF", "80m", "80m", "verify-flash -ff 80m 0 a.bin"),
        ("FS", "detect", "detect", "read-flash -fs detect 0 all a.bin"),
    ],
)
def test_each_is_the_default_of_an_option(
    name: str, text: str, value: str | int, line: str | None
) -> None:
    variable = f"ESPTOOL_{name}"
    option, _ = VARIABLES[variable]
    without = {
        "write-flash": "write-flash 0 a.bin",
        "verify-flash": "verify-flash 0 a.bin",
        "read-flash": "read-flash 0 all a.bin",
    }.get((line or "").partition(" ")[0], "read-mac")
    words = without.split()
    assert getattr(parse(words, {variable: text})[1], option) == value
    assert getattr(parse(words, {variable: ""})[1], option) != value
    if line is not None:
        # What the line says counts more.
        other = {"CONNECT_ATTEMPTS": "3", "BAUD": "300", "FM": "dio", "FF": "40m", "FS": "1MB"}
        others = {"BEFORE": "usb-reset", "AFTER": "no-reset", **other}
        said = parse(shlex.split(line), {variable: others.get(name, "other")})[1]
        assert getattr(said, option) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ESPTOOL_BAUD", "fast"),
        ("ESPTOOL_BEFORE", "tomorrow"),
        ("ESPTOOL_AFTER", "hard"),
        ("ESPTOOL_CONNECT_ATTEMPTS", "many"),
        ("ESPTOOL_OPEN_PORT_ATTEMPTS", "1.5"),
        ("ESPTOOL_FM", "fast"),
        ("ESPTOOL_FF", "40"),
        ("ESPTOOL_FS", "4"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, text)
    assert main([*C3, "read-mac"]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert f"error: {name}: '{text}' is " in captured.err


def test_what_is_set_and_not_heeded_is_named_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ESPTOOL_STUB_VERSION", "ESPTOOL_NEW", "ESPTOOL_WRAPPER", "ESPTOOL_BAUD"):
        monkeypatch.setenv(name, "9600")
    monkeypatch.setenv("ESPTOOL_ENV_FPGA", "")
    assert main([*C3, "read-mac"]) == 0
    note = "NOTE: set in the environment and not heeded: ESPTOOL_NEW, ESPTOOL_STUB_VERSION\n"
    assert capsys.readouterr().err == note
    assert main([*C3, "--json", "read-mac"]) == 0
    assert capsys.readouterr().err == note
    monkeypatch.undo()
    assert main([*C3, "read-mac"]) == 0
    assert not capsys.readouterr().err


def test_the_header_of_a_bootloader_gets_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flash, image = tmp_path / "flash.bin", tmp_path / "boot.bin"
    before = old_content(4 << 20)
    flash.write_bytes(before)
    image.write_bytes(small_image(ESP32_C3))
    for name, text in (("FM", "dio"), ("FF", "20m"), ("FS", "4MB")):
        monkeypatch.setenv(f"ESPTOOL_{name}", text)
    port = ["--port", f"sim://esp32c3?file={flash}", "--no-stub"]
    assert main([*port, "write-flash", "0", str(image)]) == 0
    assert "Flash parameters set to 0x0222 " in capsys.readouterr().out
    written = flash.read_bytes()
    assert written[2:4] == b"\x02\x22"
    assert_untouched(before, written, [(0, len(image.read_bytes()))])
    # What is erased has no header.
    monkeypatch.setenv("ESPTOOL_FS", "1MB")
    assert main([*port, "erase-region", "0x3ff000", "4096"]) == 0
    assert_untouched(written, flash.read_bytes(), [(0x3F_F000, 0x40_0000)])


@pytest.mark.parametrize(
    "option", ["--connect-attempts=0", pytest.param("--record=FILE", marks=pytest.mark.slow)]
)
def test_a_host_that_is_not_there_is_waited_for(option: str, tmp_path: Path) -> None:
    port = free_port()
    options = [option]
    if option.startswith("--record"):
        options = [f"--record={tmp_path / 'recording.json'}", "--connect-attempts", "-1"]
    line = esploader("--port", f"socket://{LOOPBACK}:{port}", *options, "read-mac")
    with running(*line, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline().endswith("; waiting for that to change\n")
        with served_chip("esp32c3", "--tcp", str(port)):
            lines = process.stdout.read() if process.stdout is not None else ""
            assert process.wait(60) == 0
    assert "Connected to ESP32-C3 on " in lines


def test_attempts_to_open_a_port_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ESPTOOL_OPEN_PORT_ATTEMPTS", "2")
    assert main(["--port", str(tmp_path / "ttyUSB0"), "read-mac"]) == 2
    captured = capsys.readouterr().err
    assert captured.count("; waiting for that to change") == 1
    assert "A fatal error occurred: " in captured
