"""What other programs look for in the output of esptool is in ours, where they look for it.

Each reader here finds what it needs in the way of the program that it is named after; only what
is looked for is taken from there.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from esploader.cli import main
from simulated import incompressible
from stub_files import stub_directory
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAC = "24:0a:c4:00:00:01"


@pytest.fixture(name="printed")
def _printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command on a device that keeps its flash, and return what stdout got."""
    flash = tmp_path / "flash.bin"
    flash.write_bytes(old_content(4 << 20))
    stubs = str(stub_directory(tmp_path))

    def printed(*words: str | Path) -> str:
        port = ("--port", f"sim://esp32c3?file={flash}", "--stub", stubs)
        assert main([*port, *map(str, words)]) == 0
        return capsys.readouterr().out

    return printed


@pytest.fixture(name="app")
def _app(tmp_path: Path) -> Path:
    path = tmp_path / "app.bin"
    path.write_bytes(bytes(0x1000) + incompressible(0x1000))
    return path


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1]


def test_esphome_finds_the_crystal_before_it_writes(
    printed: Callable[..., str], app: Path, tmp_path: Path
) -> None:
    before = (tmp_path / "flash.bin").read_bytes()
    text = printed("--baud", "460800", "write-flash", "-z", "-fs", "detect", "0x10000", app)
    assert found(r"Crystal frequency:\s+(\d+)\s*MHz", text) == "40"
    assert_untouched(before, (tmp_path / "flash.bin").read_bytes(), [(0x1_0000, 0x1_0000 + 0x2000)])


def test_esp_idf_mcp_finds_who_the_device_is(printed: Callable[..., str]) -> None:
    text = printed("flash-id")
    assert found(r"(?:Chip type:|Chip is)\s+([^\s(]+)", text) == "ESP32-C3"
    assert found(r"\(revision\s+([^)]+)\)", text) == "v0.4"
    assert found(r"Detecting chip type\.\.\.\s*(\S+)", text) == "ESP32-C3"
    assert found(r"Connected to (\S+) on ", text) == "ESP32-C3"
    assert found(r"Features:\s*(.+)", text).startswith("Wi-Fi")
    assert found(r"(?:Crystal frequency:|Crystal is)\s*(\S+)", text) == "40MHz"
    assert found(r"(?m)^MAC:\s+([0-9a-fA-F:]{17})\s*$", text) == MAC
    assert found(r"Manufacturer:\s*([0-9a-fA-F]+)", text) == "c8"
    assert found(r"Device:\s*([0-9a-fA-F]+)", text) == "4016"
    assert found(r"Detected flash size:\s*(\d+)\s*MB", text) == "4"


def test_pytest_embedded_finds_the_mac(printed: Callable[..., str]) -> None:
    # Split at the label, as a program without patterns does it.
    (value,) = {
        line.split("MAC:")[1].strip() for line in printed("read_mac").splitlines() if "MAC:" in line
    }
    assert value == MAC


@pytest.mark.parametrize("reader", ["PlatformIO", "pioarduino", "Arduino"])
def test_builders_show_what_was_written_and_verified(
    reader: str, printed: Callable[..., str], app: Path
) -> None:
    command, reset, mode = {
        "PlatformIO": ("write_flash", "default_reset", "--flash_mode"),
        "pioarduino": ("write-flash", "default-reset", "--flash-mode"),
        "Arduino": ("write-flash", "default-reset", "-fm"),
    }[reader]
    lines = printed("--before", reset, command, "-z", mode, "keep", "0x10000", app).splitlines()
    progress = [
        line for line in lines if re.match(r"Writing at 0x[0-9a-f]{8}\.\.\. \(\d+ %\)", line)
    ]
    assert re.search(r"\((\d+) %\)", progress[-1])[1] == "100"  # type: ignore[index]
    wrote = next(
        line for line in lines if re.match(r"Wrote \d+ bytes \(\d+ compressed\) at ", line)
    )
    assert re.search(r" at 0x00010000 in [\d.]+ seconds \([\d.]+ kbit/s\)\.$", wrote)
    assert lines.index(wrote) < lines.index("Hash of data verified.")
    assert lines[-1] == "Hard resetting via RTS pin..."


def test_what_went_as_it_is_was_not_compressed(printed: Callable[..., str], app: Path) -> None:
    text = printed("write-flash", "-u", "0x10000", app)
    assert re.search(r"Wrote 8192 bytes \(8192 sent\) at 0x00010000 in ", text)
    assert "compressed" not in text


def test_esp_idf_finds_what_was_read(
    printed: Callable[..., str], app: Path, tmp_path: Path
) -> None:
    printed("write-flash", "0x10000", app)
    copy = tmp_path / "copy"
    text = printed("read_flash", "0x10000", "0x2000", copy)
    assert found(r"Read (\d+) bytes from 0x00010000 in [\d.]+ seconds", text) == "8192"
    assert found(r"kbit/s\) to '(.+)'\.", text) == str(copy)
    assert copy.read_bytes() == app.read_bytes()


@pytest.mark.parametrize(
    ("port", "mode"),
    [("usb-serial-jtag", "USB-Serial/JTAG"), ("usb-otg", "USB-OTG"), ("uart", None)],
)
def test_the_port_of_the_chip_itself_has_a_mode(
    port: str, mode: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sim://esp32s3?port={port}"
    assert main(["--port", url, "--no-stub", "flash-id"]) == 0
    found_modes = re.findall(r"USB mode:           (.+)", capsys.readouterr().out)
    assert found_modes == [mode] * (mode is not None)
    assert main(["--port", url, "--no-stub", "--json", "flash-id"]) == 0
    assert json.loads(capsys.readouterr().out)["usb_mode"] == mode
