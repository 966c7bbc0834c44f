"""More flash than there is, promised by the caller or by the header of the bootloader, is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs
import pytest

from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp8266 import ESP8266
from esploader.cli import main
from esploader.flash.parameters import FlashParameters
from esploader.simulator import SimulatedDevice, SimulatedTransport
from images import build_image, header_for, small_image, small_parts
from untouched import assert_untouched, connect, old_content

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device

MIB = 1 << 20
CHIPS = pytest.mark.parametrize("chip", [ESP32, ESP32_C3, ESP8266], ids=lambda chip: chip.key)


def image_for(chip: Chip, size: str) -> bytes:
    """Return an image that expects a flash of that size."""
    parts = small_parts(chip)
    return build_image(header_for(chip, parts, size=dict(chip.flash_sizes)[size]), parts)


def connect_to(chip: Chip, *, efuses: dict[str, int] | None = None) -> Device:
    simulated = SimulatedDevice(chip, efuses=efuses or {}, flash_size=4 * MIB)
    return connect(SimulatedTransport(simulated), stub=False)


def about_size(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if message.startswith("the flash has ")]


def warning(by: str) -> str:
    return (
        f"the flash has 4MB, and {by} 16MB: what it does not have cannot be used "
        "(--flash-size detect puts in what it has)"
    )


HEADER = "the header of the bootloader says"


@CHIPS
@pytest.mark.parametrize("in_image", ["1MB", "16MB"])
def test_a_size_that_goes_into_the_header_and_is_too_large_is_told(
    chip: Chip, in_image: str, caplog: pytest.LogCaptureFixture
) -> None:
    inputs = [(chip.bootloader_offset, image_for(chip, in_image))]
    with connect_to(chip) as device:
        device.flash.write(inputs, parameters=FlashParameters(size="16MB"))
        assert about_size(caplog) == [warning(HEADER)]
        assert (
            device.flash.read(chip.bootloader_offset + 3, 1)[0] >> 4
            == dict(chip.flash_sizes)["16MB"]
        )


@CHIPS
def test_a_header_that_is_kept_is_told_too(chip: Chip, caplog: pytest.LogCaptureFixture) -> None:
    with connect_to(chip) as device:
        device.flash.write([(chip.bootloader_offset, image_for(chip, "16MB"))])
    assert about_size(caplog) == [warning(HEADER)]


@CHIPS
@pytest.mark.parametrize("size", ["keep", "detect", "1MB", "4MB"])
def test_what_the_flash_has_is_no_reason_for_a_warning(
    chip: Chip, size: str, caplog: pytest.LogCaptureFixture
) -> None:
    inputs = [(chip.bootloader_offset, image_for(chip, "4MB"))]
    with connect_to(chip) as device:
        device.flash.plan(inputs, parameters=FlashParameters(size=size))
        # Too large in the image, and put right.
        if size != "keep":
            inputs = [(chip.bootloader_offset, image_for(chip, "16MB"))]
            device.flash.plan(inputs, parameters=FlashParameters(size=size))
    assert not caplog.messages


def test_a_bootloader_within_a_merged_image_is_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    merged = b"\xff" * ESP32.bootloader_offset + image_for(ESP32, "16MB")
    with connect_to(ESP32) as device:
        device.flash.plan([(0, merged)])
    assert about_size(caplog) == [warning(HEADER)]


def test_without_a_bootloader_the_size_that_was_given_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with connect_to(ESP32_C3) as device:
        device.flash.plan(
            [(0x1_0000, image_for(ESP32_C3, "16MB"))], parameters=FlashParameters(size="16MB")
        )
    assert about_size(caplog) == [warning("what was given as its size is")]


def test_what_is_encrypted_already_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    # It may begin like an image by chance.
    data = image_for(ESP32, "16MB")[:-1] + b"?"
    with connect_to(ESP32, efuses={"flash_crypt_count": 1}) as device:
        device.flash.plan([(ESP32.bootloader_offset, data)])
    assert not about_size(caplog)


def test_a_size_that_the_chip_has_no_name_for_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts = small_parts(ESP32_C3)
    header = attrs.evolve(header_for(ESP32_C3, parts), flash_size=0xE)
    with connect_to(ESP32_C3) as device:
        device.flash.plan([(0, build_image(header, parts))])
    assert not caplog.messages


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["write", "dry_run"])
def test_the_command_warns_in_words_and_in_json(
    options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flash, image = tmp_path / "flash.bin", tmp_path / "bootloader.bin"
    before = old_content(4 * MIB)
    flash.write_bytes(before)
    image.write_bytes(small_image(ESP32_C3) + bytes(0x1000))
    size = len(image.read_bytes())
    command = ["--port", f"sim://esp32c3?file={flash}", "--no-stub", "--json"]
    command += ["write-flash", *options, "-fs", "16MB", "0", str(image)]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert f"WARNING: {warning(HEADER)}\n" in captured.err
    assert warning(HEADER) in json.loads(captured.out)["warnings"]
    assert_untouched(before, flash.read_bytes(), [(0, size)])


def test_an_error_has_the_warnings_before_it_in_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "image"
    image.write_bytes(b":00000001FF\n")
    command = ["--port", "sim://esp32c3", "--no-stub", "--json", "verify-flash", "0", str(image)]
    assert main(command) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["message"] == "there is nothing to compare with"
    assert document["warnings"][0] == f"{image} is read as an Intel HEX file: that is what it holds"
