"""The recipes of the page for those who come from esptool, with stand-ins for the programs around.

What a recipe calls is called as the program that it is for does it, against a simulated device.
"""

from __future__ import annotations

import re
import shlex
import string
import sys
from pathlib import Path

import pytest

from elf_programs import made_up
from esploader.chips import chip_by_name
from esploader.image.firmware import parse_image
from programs import run
from simulated import incompressible
from untouched import assert_untouched, old_content

PAGE = Path(__file__).parents[2] / "docs" / "coming-from-esptool.md"
BLOCK = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

APPLICATION = incompressible(0x1800)

STAND_IN_FOR_ESPHOME = """\
import sys
import esptool

words = sys.argv[1:]
sys.argv = ["esptool", *words]
try:
    esptool.main()
except SystemExit as exc:
    print("esptool ended with", exc.code)
    raise
print("esptool returned")
"""
"""It sets the words of the process and calls, as ESPHome does."""


def recipe(name: str) -> str:
    """Return the content of a file that the page shows."""
    blocks = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    return str(blocks[name])


def value_of(text: str, key: str) -> str:
    (value,) = re.findall(rf"^{re.escape(key)} *= *(.*)$", text, re.MULTILINE)
    return str(value)


class Device:
    """A simulated device that keeps its flash in a file, and an application for it."""

    def __init__(self, folder: Path) -> None:
        self._flash = folder / "flash.bin"
        self._before = old_content(4 << 20)
        self._flash.write_bytes(self._before)
        self.port = f"sim://esp32?file={self._flash}"
        self.application = folder / "firmware.bin"
        self.application.write_bytes(APPLICATION)

    def assert_written(self, *others: tuple[int, bytes]) -> None:
        """Compare the flash with the application, with what else goes there, and with before."""
        after, parts = self._flash.read_bytes(), [(0x1_0000, APPLICATION), *others]
        for offset, data in parts:
            assert after[offset:][: len(data)] == data
        assert_untouched(
            self._before, after, [(offset, offset + len(data)) for offset, data in parts]
        )


@pytest.fixture(name="device")
def _device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def wrapped(folder: Path, *words: str) -> tuple[int, str]:
    """Run words as ESP-IDF does with ``ESPTOOL_WRAPPER``; return exit code and output."""
    wrapper = folder / "esptool_wrapper.py"
    wrapper.write_text(recipe(wrapper.name), encoding="utf-8")
    done = run(sys.executable, str(wrapper), str(folder / "esptool.py"), *words)
    return done.exit_code, done.stdout


def test_esp_idf_writes_by_the_wrapper(device: Device, tmp_path: Path) -> None:
    reset = ("--before", "default_reset", "--after", "hard_reset", "--chip", "esp32", "--no-stub")
    write = ("write_flash", "--flash_mode", "dio", "--flash_freq", "40m", "--flash_size", "4MB")
    place = ("0x10000", str(device.application))
    code, output = wrapped(tmp_path, "-p", device.port, "-b", "460800", *reset, *write, *place)
    assert code == 0
    assert "Hash of data verified." in output
    device.assert_written()
    assert wrapped(tmp_path, "-p", "/dev/no-such-port", "flash_id")[0] == 2


def test_esp_idf_makes_images_by_the_wrapper(tmp_path: Path) -> None:
    chip = chip_by_name("esp32c3")
    (tmp_path / "app.elf").write_bytes(made_up(chip, 0).elf)
    app, merged = tmp_path / "app.bin", tmp_path / "merged.bin"
    words = ("--chip", "esp32c3", "elf2image", "--flash_mode", "dio", "-o", str(app))
    code, output = wrapped(tmp_path, *words, str(tmp_path / "app.elf"))
    assert (code, "Successfully created ESP32-C3 image." in output) == (0, True)
    parse_image(app.read_bytes(), chip)
    words = ("--chip", "esp32c3", "merge_bin", "--flash_mode", "keep", "-o", str(merged))
    assert wrapped(tmp_path, *words, "0x10000", str(app))[0] == 0
    assert merged.read_bytes() == b"\xff" * 0x10000 + app.read_bytes()


def test_platformio_uploads(device: Device, tmp_path: Path) -> None:
    bootloader, partitions = tmp_path / "bootloader.bin", tmp_path / "partitions.bin"
    bootloader.write_bytes(b"\xff" * 0x1000)
    partitions.write_bytes(b"partitions")
    command = value_of(recipe("platformio.ini"), "upload_command")
    variables = {
        "PYTHONEXE": sys.executable,
        "UPLOAD_PORT": shlex.quote(device.port),
        "UPLOAD_SPEED": "460800",
        "BUILD_DIR": str(tmp_path),
        "SOURCE": str(device.application),
    }
    done = run(*shlex.split(string.Template(command).substitute(variables)))
    assert done.exit_code == 0, done.stderr
    device.assert_written((0x1000, bootloader.read_bytes()), (0x8000, partitions.read_bytes()))


def test_arduino_uploads(device: Device) -> None:
    pattern = value_of(recipe("platform.local.txt"), "tools.esptool_py.upload.pattern")
    # What platform.txt of arduino-esp32 3.3 makes of a sketch, up to the names of files.
    arguments = (
        f"--chip esp32 --port '{device.port}' --baud 921600 --no-stub --before default-reset "
        "--after hard-reset write-flash -z --flash-mode keep --flash-freq keep --flash-size keep "
        f"0x10000 '{device.application}'"
    )
    program, *words = shlex.split(pattern.replace("{upload.pattern_args}", arguments))
    done = run(str(Path(sys.executable).with_name(program)), *words)
    assert done.exit_code == 0, done.stderr
    device.assert_written()


@pytest.mark.parametrize(
    ("chip", "end"), [("esp32", "esptool returned"), ("esp32c3", "esptool ended with 2")]
)
def test_esphome_calls(
    chip: str, end: str, device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "esphome.py").write_text(STAND_IN_FOR_ESPHOME, encoding="utf-8")
    script = tmp_path / "esphome_with_esploader.py"
    script.write_text(recipe(script.name), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    reset = ("--before", "default-reset", "--after", "hard-reset", "--baud", "460800", "--no-stub")
    write = ("write-flash", "-z", "--flash-size", "detect", "0x10000", str(device.application))
    done = run(sys.executable, str(script), *reset, "--port", device.port, "--chip", chip, *write)
    assert done.stdout.splitlines()[-1] == end
    assert done.exit_code == (0 if chip == "esp32" else 2)
    assert re.match("esptool v.*", done.stdout)
    if chip == "esp32":
        assert re.search(r"Crystal frequency:\s+(\d+)\s*MHz", done.stdout)
        device.assert_written()
