"""What is said of an image is what esptool says of it: every line with a fact in it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from described_chips import DESCRIBED
from elf_programs import app_descriptor, bootloader_descriptor, made_up
from elf_writer import Section, elf_for
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp8266 import ESP8266
from esploader.cli import main
from esploader.image.build import build_image
from esploader.image.options import ImageOptions
from esptool_images import EsptoolImages, esptool_images

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esploader.chips.model.chip import Chip

pytestmark = pytest.mark.peer

CRASH = "error: unpack requires a buffer of 256 bytes"
"""What esptool ends with where what is mapped first is too short for a descriptor."""

NO_TEXT = "UnicodeDecodeError: "
"""What it ends with where data are taken for a descriptor."""

COUNT = 200 if os.environ.get("ESPLOADER_FULL") == "1" else 8
"""How many images are made up for each chip."""

OTHER_TYPES = {
    "BYTE_ACCESSIBLE",
    "MEM_INTERNAL",
    "MEM_INTERNAL2",
    "DIRAM",
    "DIRAM_DRAM",
    "DIRAM_IRAM",
    "CACHE_PRO",
    "IROM",
    "DROM",
}
"""Names of memory that one of the two does not have, or not for the same addresses."""


@pytest.fixture(scope="module")
def esptool() -> Iterator[EsptoolImages]:
    with esptool_images() as process:
        yield process


def facts(text: str) -> list[str]:
    """Return lines that say something, with types of memory in any order."""
    found = []
    for line in text.splitlines():
        if line.startswith(("esploader v", "esptool v", "WARNING:")) or not line.strip("=- "):
            continue
        # Images of the ESP32-C6 say the same for both, of which esptool names one.
        words = line.replace("40m or 80m", "80m").replace(",", " ").split()
        if words[0].isdecimal():
            words = [*words[:4], *sorted(set(words[4:]) - OTHER_TYPES)]
        found.append(" ".join(words))
    return found


def what_we_say(
    image: bytes, capsys: pytest.CaptureFixture[str], path: Path, chip: str = "auto"
) -> str:
    path.write_bytes(image)
    capsys.readouterr()
    assert main(["--chip", chip, "image_info", str(path)]) == 0
    return capsys.readouterr().out


def image_of(chip: Chip, number: int) -> bytes:
    program = made_up(chip, number)
    return build_image(program.elf, chip, program.options).data


@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_the_facts_are_those_of_esptool(
    chip: Chip, esptool: EsptoolImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(COUNT):
        image = image_of(chip, number)
        # It guesses that for an ESP8266: see below.
        is_told = chip is ESP8266 or bool(number % 2)
        told, key = (chip.key, chip.key) if is_told else (None, "auto")
        wanted = facts(esptool.info(image, told).removesuffix(CRASH).split(NO_TEXT)[0])
        assert facts(what_we_say(image, capsys, tmp_path / "image.bin", key)) == wanted
        assert len(wanted) > 10


def test_the_facts_of_a_bootloader(
    esptool: EsptoolImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = [Section(".dram0.bootdesc", 0x3FCD_0000, bootloader_descriptor())]
    image = build_image(elf_for(ESP32_C3, sections).build(), ESP32_C3).data
    said = facts(what_we_say(image, capsys, tmp_path / "image.bin"))
    assert said == facts(esptool.info(image))
    assert "Bootloader version: 42" in said


@pytest.mark.parametrize("number", [0x30, 0x60])
def test_the_facts_of_damage(
    number: int, esptool: EsptoolImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = [Section(".iram.text", 0x4037_C000, bytes(0x100))]
    image = bytearray(build_image(elf_for(ESP32_C3, sections).build(), ESP32_C3).data)
    image[number] ^= 0x10
    *said, digest = facts(what_we_say(bytes(image), capsys, tmp_path / "image.bin"))
    *wanted, calculated = facts(esptool.info(bytes(image)))
    assert said == wanted
    assert said[-1] == "Checksum: 0xef (invalid - calculated 0xff)"
    # It has the digest that is calculated, and calls that invalid.
    assert f"(invalid - calculated {calculated.split()[2]})" in digest
    assert bytes(image[-32:]).hex() in digest


def test_defect_a_short_segment_in_front_is_a_crash(
    esptool: EsptoolImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = [Section(".flash.rodata", 0x3C00_0020, b"short")]
    image = build_image(elf_for(ESP32_C3, sections).build(), ESP32_C3).data
    assert esptool.info(image).endswith(CRASH)
    assert "Checksum: " in what_we_say(image, capsys, tmp_path / "image.bin")


@pytest.mark.parametrize("version", [1, 2])
def test_defect_an_image_for_the_esp8266_may_be_taken_for_one_of_another_chip(
    version: int, esptool: EsptoolImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The size of the first segment stands where others have their chip: 16 is the ESP32-H2.
    sections = [
        Section(".irom0.text", 0x4020_1010, bytes(8) + b"text" * 2),
        Section(".text", 0x4010_0000, bytes(8) + b"text" * 2),
    ]
    options = ImageOptions(esp8266_version=version)
    image = build_image(elf_for(ESP8266, sections).build(), ESP8266, options).data
    assert image[0] == 0xE8 + version
    assert "Detected image type: ESP32-H2" in esptool.info(image)
    assert "Detected image type: ESP8266" in what_we_say(image, capsys, tmp_path / "image.bin")


def test_defect_an_unknown_chip_is_called_an_esp8266(
    esptool: EsptoolImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = bytearray(image_of(ESP32_C3, 0))
    image[12] = 0x4D
    assert "Detected image type: ESP8266" in esptool.info(bytes(image))

    (tmp_path / "image.bin").write_bytes(image)
    assert main(["image-info", "--json", str(tmp_path / "image.bin")]) == 2
    message = json.loads(capsys.readouterr().out)["error"]["message"]
    assert "for the chip with id 77, of which nothing is known" in message


def test_defect_data_are_taken_for_a_descriptor(
    esptool: EsptoolImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = [Section(".dram0.data", 0x3FC8_0000, b"P" + b"\xa6" * 99)]
    image = build_image(elf_for(ESP32_C3, sections).build(), ESP32_C3).data
    assert NO_TEXT in esptool.info(image)
    assert "Bootloader" not in what_we_say(image, capsys, tmp_path / "image.bin")


def test_defect_a_descriptor_is_looked_for_in_the_wrong_place(
    esptool: EsptoolImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = [Section(".flash.appdesc", 0x4200_0020, app_descriptor())]
    image = build_image(elf_for(ESP32_C3, sections).build(), ESP32_C3).data
    assert "blinky" not in esptool.info(image)
    assert "Project name: blinky" in what_we_say(image, capsys, tmp_path / "image.bin")
