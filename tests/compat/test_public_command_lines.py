"""Command lines that others publish for esptool do with esploader what they are published for.

Each is as it stands at its source, but for the program, the port, and names in place of what the
source leaves to its reader. It runs on a simulated device with a stub, among files of those names.
"""

from __future__ import annotations

import hashlib
import itertools
import shlex
from pathlib import Path
from typing import Final

import attrs
import pytest

from elf_programs import app_descriptor
from elf_writer import Section, elf_for
from esploader.chips import chip_by_name
from esploader.chips.model.revision import Revision
from esploader.cli import main
from esploader.image import ImageOptions, build_image
from images import small_image
from simulated import incompressible
from stub_files import stub_directory
from untouched import assert_untouched, old_content

SECTOR: Final = 0x1000
MIB: Final = 1 << 20

MICROPYTHON_ESP32: Final = "github.com/micropython/micropython docs/esp32/tutorial/intro.rst"
MICROPYTHON_ESP8266: Final = "github.com/micropython/micropython docs/esp8266/tutorial/intro.rst"
TASMOTA: Final = "tasmota.github.io/docs/Esptool/"
WLED: Final = "kno.wled.ge/basics/install-binary/"
MESHTASTIC_INSTALL: Final = "github.com/meshtastic/firmware bin/device-install.sh"
MESHTASTIC_UPDATE: Final = "github.com/meshtastic/firmware bin/device-update.sh"
ESPRUINO_ESP32: Final = "www.espruino.com/binaries/espruino_2v27_esp32/README_flash.txt"
ESPRUINO_C3: Final = "www.espruino.com/binaries/espruino_2v27_esp32c3/README_flash_C3.txt"
ESPRUINO_ESP8266: Final = "forum.espruino.com/comments/14060680"
CIRCUITPYTHON: Final = "learn.adafruit.com/circuitpython-with-esp32-quick-start"
CIRCUITPYTHON_XIAO: Final = "wiki.seeedstudio.com: CircuitPython on the XIAO ESP32C3"
ZEPHYR: Final = "github.com/zephyrproject-rtos/zephyr scripts/west_commands/runners/esp32.py"
ESP_IDF: Final = "github.com/espressif/esp-idf docs/en/get-started/start-project.rst"
ESP_IDF_ARGUMENTS: Final = "what a build of ESP-IDF prints at its end"
ESPHOME: Final = "github.com/esphome/esphome esphome/__main__.py"
PLATFORMIO: Final = "github.com/platformio/platform-espressif32 builder/main.py"
PIOARDUINO: Final = "github.com/pioarduino/platform-espressif32 builder/main.py"
ARDUINO: Final = "github.com/espressif/arduino-esp32 platform.txt"
PARTTOOL: Final = "github.com/espressif/esp-idf components/partition_table/parttool.py"


@attrs.frozen
class Published:
    """A command line, where it is published, and on what it runs."""

    source: str
    chip: str
    line: str
    flash_size: int = 4 * MIB

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line)

    @property
    def inputs(self) -> dict[int, str]:
        """Offsets and files, as the line has them."""
        words = self.words
        return {
            int(offset, 0): name
            for offset, name in itertools.pairwise(words)
            if name.endswith(".bin") and offset[0].isdigit()
        }

    @property
    def label(self) -> str:
        """What the test of it is called."""
        return f"{self.chip} {self.line.split()[-1]}"


WRITING: Final = [
    Published(
        MICROPYTHON_ESP32,
        "esp32",
        "--chip esp32 --port /dev/ttyUSB0 write_flash -z 0x1000 esp32-20180511-v1.9.4.bin",
    ),
    Published(
        MICROPYTHON_ESP8266,
        "esp8266",
        "--port /dev/ttyUSB0 --baud 460800 write_flash --flash_size=detect 0 "
        "esp8266-20170108-v1.8.7.bin",
    ),
    Published(
        MICROPYTHON_ESP8266,
        "esp8266",
        "--port /dev/ttyUSB0 --baud 460800 write_flash --flash_size=detect -fm dio 0 "
        "esp8266-20170108-v1.8.7.bin",
    ),
    Published(
        TASMOTA, "esp8266", "--port COM5 write_flash -fs 1MB -fm dout 0x0 tasmota.bin", 1 * MIB
    ),
    Published(WLED, "esp8266", "write_flash 0x0 ./WLED_XXX.bin"),
    Published(WLED, "esp32", "write_flash 0x0 ./esp32_bootloader_v4.bin"),
    Published(WLED, "esp32", "write_flash 0x10000 ./WLED_XXX.bin"),
    Published(MESHTASTIC_INSTALL, "esp32s3", "--port PORT write_flash 0x00 firmware-heltec-v3.bin"),
    Published(MESHTASTIC_INSTALL, "esp32s3", "--port PORT write_flash 0x260000 bleota-s3.bin"),
    Published(
        MESHTASTIC_INSTALL, "esp32s3", "--port PORT write_flash 0x300000 littlefs-heltec-v3.bin"
    ),
    Published(
        MESHTASTIC_UPDATE, "esp32", "--baud 115200 write_flash 0x10000 firmware-tbeam-update.bin"
    ),
    Published(
        ESPRUINO_ESP32,
        "esp32",
        '--chip esp32 --port "/dev/ttyUSB0" --baud 921600 write_flash -z --flash_mode "dio" '
        '--flash_freq "40m" 0x1000 bootloader.bin 0x10000 espruino_esp32.bin 0x8000 '
        "partitions_espruino.bin",
    ),
    Published(
        ESPRUINO_C3,
        "esp32c3",
        "-p PORT -b 460800 --before default_reset --after hard_reset --chip esp32c3 write_flash "
        "--flash_mode dio --flash_size detect --flash_freq 80m 0x0 bootloader.bin "
        "0x8000 partition-table.bin 0x10000 espruino-esp32c3.bin",
    ),
    Published(
        ESPRUINO_ESP8266,
        "esp8266",
        "--port /dev/ttyUSB0 --baud 115200 write_flash --flash_freq 80m --flash_mode qio "
        "--flash_size 4MB-c1 0x0000 espruino_1v95_esp8266_4mb/boot_v1.6.bin 0x1000 "
        "espruino_1v95_esp8266_4mb/espruino_esp8266_user1.bin 0x3FC000 "
        "espruino_1v95_esp8266_4mb/esp_init_data_default.bin 0x3FE000 "
        "espruino_1v95_esp8266_4mb/blank.bin",
    ),
    Published(
        CIRCUITPYTHON,
        "esp32",
        "--port /dev/ttyUSB0 write_flash -z 0x0 "
        "adafruit-circuitpython-adafruit_feather_esp32_v2-en_US-8.0.4.bin",
    ),
    Published(
        CIRCUITPYTHON_XIAO,
        "esp32c3",
        "--chip esp32c3 --port /dev/cu.usbmodem11301 --baud 460800 write_flash -z 0x0 "
        "adafruit-circuitpython-seeed_xiao_esp32c3-en_GB-9.1.1.bin",
    ),
    Published(
        ZEPHYR,
        "esp32",
        "--chip auto --port /dev/ttyUSB0 --baud 921600 --before default_reset --after hard_reset "
        "write_flash -u --flash_mode dio --flash_freq 40m --flash_size detect 0x1000 mcuboot.bin",
    ),
    Published(
        ESP_IDF,
        "esp32",
        "--chip esp32 -p /dev/ttyUSB0 -b 460800 --before=default_reset --after=hard_reset "
        "write_flash --flash_mode dio --flash_freq 40m --flash_size 2MB "
        "0x8000 partition_table/partition-table.bin 0x1000 bootloader/bootloader.bin "
        "0x10000 hello_world.bin",
        2 * MIB,
    ),
    Published(
        ESP_IDF,
        "esp32c6",
        "--chip esp32c6 -p /dev/ttyUSB0 -b 460800 --before=default_reset --after=hard_reset "
        "--no-stub write_flash --flash_mode dio --flash_freq 80m --flash_size 2MB "
        "0x0 bootloader/bootloader.bin 0x10000 hello_world.bin "
        "0x8000 partition_table/partition-table.bin",
        2 * MIB,
    ),
    Published(
        ESPHOME,
        "esp32",
        "--before default-reset --after hard-reset --baud 460800 --port /dev/ttyUSB0 --chip esp32 "
        "write-flash -z --flash-size detect 0x10000 firmware.bin 0x1000 bootloader.bin "
        "0x8000 partitions.bin 0x9000 ota_data_initial.bin",
    ),
    Published(
        PLATFORMIO,
        "esp32",
        '--chip esp32 --port "/dev/ttyUSB0" --baud 460800 --before default_reset '
        "--after hard_reset write_flash -z --flash_mode dio --flash_freq 40m --flash_size detect "
        "0x1000 bootloader.bin 0x8000 partitions.bin 0xe000 boot_app0.bin 0x10000 firmware.bin",
    ),
    Published(
        ARDUINO,
        "esp32c3",
        "--chip esp32c3 --port /dev/ttyACM0 --baud 921600 --before default-reset "
        "--after hard-reset write-flash -z --flash-mode keep --flash-freq keep --flash-size keep "
        "0x0 sketch.ino.bootloader.bin 0x8000 sketch.ino.partitions.bin 0xe000 boot_app0.bin "
        "0x10000 sketch.ino.bin",
    ),
]

ERASING: Final = [
    Published(MICROPYTHON_ESP32, "esp32", "--port /dev/ttyUSB0 erase_flash"),
    Published(TASMOTA, "esp8266", "--port COM5 erase_flash", 1 * MIB),
    Published(WLED, "esp8266", "erase_flash"),
    Published(ZEPHYR, "esp32s2", "--chip auto --port /dev/ttyUSB0 erase_flash"),
    Published(PLATFORMIO, "esp32s3", "--chip esp32s3 --port /dev/ttyUSB0 erase_flash"),
]

READING: Final = [
    Published(TASMOTA, "esp8266", "--port COM5 read_flash 0x00000 0x100000 image1M.bin", 1 * MIB),
    Published(PIOARDUINO, "esp32", "--port /dev/ttyUSB0 read-flash 0x8000 0x1000 partitions.bin"),
]

MAKING: Final = [
    Published(
        PLATFORMIO,
        "esp32",
        "--chip esp32 elf2image --flash_mode dio --flash_freq 40m --flash_size 4MB -o "
        ".pio/build/esp32dev/firmware.bin .pio/build/esp32dev/firmware.elf",
    ),
    Published(
        ARDUINO,
        "esp32c3",
        "--chip esp32c3 elf2image --flash-mode dio --flash-freq 80m --flash-size 4MB "
        "--elf-sha256-offset 0xb0 -o sketch.ino.bin sketch.ino.elf",
    ),
    Published(
        ESP_IDF_ARGUMENTS,
        "esp32s3",
        "--chip esp32s3 elf2image --flash_mode dio --flash_freq 80m --flash_size 16MB "
        "--elf-sha256-offset 0xb0 --min-rev-full 0 --max-rev-full 99 -o hello.bin hello.elf",
    ),
]

MERGING: Final = [
    Published(
        PLATFORMIO,
        "esp32",
        "--chip esp32 merge_bin -o firmware_merged.bin --flash_mode dio --flash_size 4MB 0x10000 "
        '".pio/firmware.bin" "0x1000" "bootloader.bin" "0x8000" "partitions.bin"',
    ),
    Published(
        ARDUINO,
        "esp32c3",
        "--chip esp32c3 merge-bin -o sketch.ino.merged.bin --pad-to-size 4MB --flash-mode keep "
        "--flash-freq keep --flash-size keep 0x0 sketch.ino.bootloader.bin 0x8000 "
        "sketch.ino.partitions.bin 0xe000 boot_app0.bin 0x10000 sketch.ino.bin",
    ),
    Published(
        ESPHOME,
        "esp32",
        "--chip esp32 merge_bin --flash_size 4MB --output firmware.factory.bin 0x1000 "
        "bootloader.bin 0x8000 partitions.bin 0x9000 ota_data_initial.bin 0x10000 firmware.bin",
    ),
]


@attrs.frozen
class Board:
    """A simulated device that keeps its flash in a file, and the folder in which people work."""

    flash: Path
    folder: Path
    before: bytes
    url: str

    def run(self, words: list[str]) -> None:
        """Run a line of which the port, if it has one, is this device's."""
        for option in ("--port", "-p"):
            if option in words:
                words[words.index(option) + 1] = self.url
        assert main(words) == 0

    def assert_written(self, inputs: dict[int, str], kept: str) -> None:
        """Compare the flash with the files; the one at ``kept`` has flash parameters of its own."""
        after, regions = self.flash.read_bytes(), []
        for offset, name in inputs.items():
            data = bytearray((self.folder / name).read_bytes())
            written = bytearray(after[offset:][: len(data)])
            if name == kept:
                data[2:4] = written[2:4]
            assert written == data, name
            end = offset + len(data)
            regions.append((offset - offset % SECTOR, end + -end % SECTOR))
        assert_untouched(self.before, after, regions)


def board_for(published: Published, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    """Return the device that a line is for; without a port it is found by the environment."""
    stubs = folder / "stubs"
    stubs.mkdir()
    flash = folder / "flash"
    before = old_content(published.flash_size)
    flash.write_bytes(before)
    url = f"sim://{published.chip}?file={flash}&flash={published.flash_size // MIB}MB"
    monkeypatch.setenv("ESPLOADER_STUB_DIR", str(stub_directory(stubs)))
    monkeypatch.setenv("ESPTOOL_PORT", url)
    monkeypatch.chdir(folder)
    return Board(flash, folder, before, url)


def make_files(published: Published, folder: Path) -> str:
    """Make the files that a line names; return the one with an image to boot from."""
    chip = chip_by_name(published.chip)
    bootable = ""
    for offset, name in published.inputs.items():
        data = incompressible(3000 + offset % 999)
        if offset == chip.bootloader_offset:
            bootable = name
            data = small_image(chip, digest=False) + data
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return bootable


@pytest.mark.parametrize("published", WRITING, ids=lambda published: published.label)
def test_what_others_publish_writes(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = board_for(published, tmp_path, monkeypatch)
    bootable = make_files(published, tmp_path)
    board.run(published.words)
    board.assert_written(published.inputs, bootable)


@pytest.mark.parametrize("published", ERASING, ids=lambda published: published.label)
def test_what_others_publish_erases(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = board_for(published, tmp_path, monkeypatch)
    board.run(published.words)
    assert board.flash.read_bytes() == b"\xff" * published.flash_size


@pytest.mark.parametrize("published", READING, ids=lambda published: published.label)
def test_what_others_publish_reads(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = board_for(published, tmp_path, monkeypatch)
    board.run(published.words)
    offset, size, name = published.words[-3:]
    start = int(offset, 0)
    assert (tmp_path / name).read_bytes() == board.before[start:][: int(size, 0)]
    assert board.flash.read_bytes() == board.before


@pytest.mark.parametrize("published", MAKING, ids=lambda published: published.label)
def test_what_others_publish_makes_images(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    *words, output, source = published.words
    chip = chip_by_name(published.chip)
    # What is at 0xB0 of the image is the digest in the descriptor of the application.
    start = next(each.start for each in chip.memory if each.name == "drom")
    elf = elf_for(chip, [Section(".flash.appdesc", start + 0x20, app_descriptor())]).build()
    Path(source).parent.mkdir(parents=True, exist_ok=True)
    Path(source).write_bytes(elf)
    assert main([*words, output, source]) == 0
    options = dict(itertools.pairwise(words))
    made = build_image(
        elf,
        chip,
        ImageOptions(
            flash_mode="dio",
            flash_frequency=options.get("--flash_freq") or options["--flash-freq"],
            flash_size=options.get("--flash_size") or options["--flash-size"],
            maximum_revision=Revision(*divmod(int(options.get("--max-rev-full", 65535)), 100)),
        ),
    )
    assert Path(output).read_bytes() == made.data
    assert made.data[0xB0:0xD0] == hashlib.sha256(elf).digest()


@pytest.mark.parametrize("published", MERGING, ids=lambda published: published.label)
def test_what_others_publish_merges(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bootable = make_files(published, tmp_path)
    assert main(published.words) == 0
    options = dict(itertools.pairwise(published.words))
    merged = Path(options.get("-o") or options["--output"]).read_bytes()
    size = 4 * MIB if "--pad-to-size" in options else 0
    expected = bytearray(b"\xff" * max(len(merged), size))
    for offset, name in published.inputs.items():
        data = bytearray((tmp_path / name).read_bytes())
        if name == bootable:
            assert merged[offset:][: len(data)].startswith(bytes(data[:2]))
            data[2:4] = merged[offset:][2:4]
        expected[offset : offset + len(data)] = data
    assert merged == expected


def test_the_arguments_that_a_build_of_esp_idf_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The file beside the line is as a build for the ESP32-S3 makes it.
    line = "--chip esp32s3 -p PORT -b 460800 --before default_reset --after hard_reset write_flash"
    content = (
        "--flash_mode dio --flash_freq 80m --flash_size 2MB\n0x0 bootloader/bootloader.bin\n"
        "0x10000 hello_world.bin\n0x8000 partition_table/partition-table.bin\n"
    )
    whole = Published(ESP_IDF_ARGUMENTS, "esp32s3", f"{line} {content}", 2 * MIB)
    board = board_for(whole, tmp_path, monkeypatch)
    bootable = make_files(whole, tmp_path)
    (tmp_path / "flash_args").write_text(content, encoding="utf-8")
    board.run([*shlex.split(line), "@flash_args"])
    board.assert_written(whole.inputs, bootable)


def test_the_newest_esp_idf_writes_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = Published(
        ESP_IDF_ARGUMENTS,
        "esp32",
        "-p PORT -b 460800 --chip esp32 --before=default-reset --after=no-reset-stub write-flash "
        "0x10000 app.bin --diff-with app_flashed.bin --trust-flash-content",
    )
    board = board_for(published, tmp_path, monkeypatch)
    make_files(published, tmp_path)
    board.run(published.words)
    board.assert_written(published.inputs, "")


def test_parttool_erases_a_partition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = Published(PARTTOOL, "esp32", "--port /dev/ttyUSB0 erase_region 0x9000 0x6000")
    board = board_for(published, tmp_path, monkeypatch)
    board.run(published.words)
    after = board.flash.read_bytes()
    assert after[0x9000:0xF000] == b"\xff" * 0x6000
    assert_untouched(board.before, after, [(0x9000, 0xF000)])
