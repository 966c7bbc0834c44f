"""A build goes into the flash of a device as its tool would write it, and nothing else changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import made_builds
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32s3 import ESP32_S3
from esploader.errors import PlanError, UnsupportedError
from esploader.image.patch import patch_header
from images import small_image
from made_builds import TOOLS, put, put_json
from stub_files import shared_stubs
from untouched import connect, connect_as_it_is

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esploader.chips.model.chip import Chip
    from made_builds import Place


@pytest.mark.parametrize("chip", [ESP32, ESP32_C3], ids=lambda chip: chip.key)
@pytest.mark.parametrize("make", TOOLS, ids=lambda make: make.__name__)
def test_every_part_is_where_its_tool_would_write_it(
    make: Callable[[Path, Chip], list[Place]], chip: Chip, tmp_path: Path
) -> None:
    expected = make(tmp_path / "build", chip)
    with connect(f"sim://{chip.key}", stub=False) as device:
        results = device.flash_build(tmp_path / "build")
        assert all(result.verified for result in results)
        for name, offset, data in expected:
            is_changed = name == "bootloader" and make is made_builds.esp_idf
            changed = patch_header(data, chip, mode="dio", size="4MB").data if is_changed else data
            assert device.flash.read(offset, len(data)) == changed, name


def test_the_application_alone_leaves_all_else(tmp_path: Path) -> None:
    made_builds.esp_idf(tmp_path, ESP32_C3)
    with connect("sim://esp32c3", stub=False) as device:
        before = device.flash.read(0, 0x1_0000)
        (result,) = device.flash_build(tmp_path, app_only=True)
        assert result.offset == 0x1_0000
        assert device.flash.read(0, 0x1_0000) == before


def test_parts_by_name_leave_all_else(tmp_path: Path) -> None:
    made_builds.esp_idf(tmp_path, ESP32_C3)
    with connect("sim://esp32c3", stub=False) as device:
        results = device.flash_build(tmp_path, partitions=["otadata", "partition-table"])
        assert [result.offset for result in results] == [0x8000, 0xE000]
        with pytest.raises(PlanError, match="has no 'storage'; it has: bootloader"):
            device.flash_build(tmp_path, partitions=["otadata", "storage"])


def test_the_flash_may_be_erased_first(tmp_path: Path) -> None:
    made_builds.esp_idf(tmp_path / "build", ESP32_C3)
    stub = str(shared_stubs())
    with connect("sim://esp32c3", stub=stub) as device:
        device.flash_build(tmp_path / "build", erase_all=True)
        assert device.flash.read(0x20_0000, 0x1000) == b"\xff" * 0x1000
    with (
        connect("sim://esp32c3", stub=False) as device,
        pytest.raises(UnsupportedError, match="eras"),
    ):
        device.flash_build(tmp_path / "build", erase_all=True)


def test_a_part_of_a_build_is_not_written_to_a_flash_that_is_erased_for_it(tmp_path: Path) -> None:
    made_builds.esp_idf(tmp_path / "build", ESP32_C3)
    with connect("sim://esp32c3", stub=str(shared_stubs())) as device:
        for path_and_part in ({"app_only": True}, {"partitions": ["otadata"]}):
            with pytest.raises(PlanError, match="would erase what is not written again"):
                device.flash_build(tmp_path / "build", erase_all=True, **path_and_part)


def test_a_build_for_another_chip_changes_nothing(tmp_path: Path) -> None:
    made_builds.web_tools(tmp_path, ESP32_C3)
    with (
        connect("sim://esp32s3", stub=False) as device,
        pytest.raises(PlanError, match="is for ESP8266 and ESP32-C3, not for ESP32-S3"),
    ):
        device.flash_build(tmp_path)


def test_a_bootloader_of_another_build_changes_nothing(tmp_path: Path) -> None:
    made_builds.esp_idf(tmp_path, ESP32_C3)
    put(tmp_path, "bootloader/bootloader.bin", small_image(ESP32_S3))
    with connect("sim://esp32c3", stub=False) as device:
        with pytest.raises(
            PlanError, match=r"bootloader.bin is for ESP32-S3, and the build is for"
        ):
            device.flash_build(tmp_path)
        # Who forces it is not asked.
        assert device.flash_build(tmp_path, force=True)


def test_what_the_build_marks_is_encrypted_by_the_device(tmp_path: Path) -> None:
    made_builds.esp_idf(tmp_path, ESP32_C3)
    url = "sim://esp32c3?efuses=key_purpose_0:4,key0:0x1234,flash_crypt_count:1"
    with connect_as_it_is(url, stub=False) as device:
        results = device.flash_build(tmp_path, encrypt=True)
        assert [(result.offset, result.verified) for result in results] == [
            (0x0, False),
            (0x8000, False),
            (0xE000, True),
            (0x1_0000, False),
        ]
        app = made_builds.app(ESP32_C3)
        assert device.flash.read(0x1_0000, len(app)) != app


def test_what_the_build_marks_is_not_written_for_the_device_to_decrypt(tmp_path: Path) -> None:
    made_builds.esp_idf(tmp_path, ESP32_C3)
    url = "sim://esp32c3?efuses=key_purpose_0:4,key0:0x1234,flash_crypt_count:1"
    with connect(url, stub=False) as device:
        reason = "the build has bootloader, partition-table, app encrypted, which --encrypt does"
        with pytest.raises(PlanError, match=reason):
            device.flash_build(tmp_path)
        # What it does not mark is plain in the flash, too.
        assert device.flash_build(tmp_path, partitions=["otadata"])
        assert device.flash_build(tmp_path, app_only=True, force=True)


def test_what_may_be_wrong_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made_builds.web_tools(tmp_path / "web", ESP32_C3)
    parts = [{"path": "esp32c3.bin", "offset": 0x1_0000}]
    builds = [{"chipFamily": "ESP32-C3", "parts": parts}]
    document = {"new_install_prompt_erase": True, "builds": builds}
    put_json(tmp_path / "web" / "bin", "manifest.json", document)
    with connect("sim://esp32c3", stub=False) as device:
        device.flash_build(tmp_path / "web" / "bin")
    assert [message for message in caplog.messages if "asked whether to erase" in message]
