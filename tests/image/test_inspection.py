"""What is in an image, and which images are in a file."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from described_chips import DESCRIBED
from elf_programs import app_descriptor, bootloader_descriptor, made_up
from elf_writer import Section, elf_for
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32e22 import ESP32_E22
from esploader.chips.esp8266 import ESP8266
from esploader.chips.model.chip import KIB, MIB, Chip
from esploader.chips.model.revision import Revision
from esploader.errors import ImageError
from esploader.image.build import build_image
from esploader.image.inspection import SECTOR_SIZE, find_images, inspect_image
from esploader.image.measuring import measure_image
from esploader.image.options import ImageOptions
from images import Plan, plans, small_image

every_chip = pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)

BOOTLOADER = build_image(
    elf_for(
        ESP32_C3,
        [
            Section(".iram.text", 0x403C_C000, b"code" * 20),
            Section(".dram0.bootdesc", 0x3FCD_0000, bootloader_descriptor()),
        ],
    ).build(),
    ESP32_C3,
).data
APPLICATION = build_image(
    elf_for(
        ESP32_C3,
        [
            Section(".flash.appdesc", 0x3C00_0020, app_descriptor(64 * KIB)),
            Section(".iram.text", 0x4037_C000, b"code" * 20),
            Section(".flash.text", 0x4201_0020, b"text" * 20),
        ],
    ).build(),
    ESP32_C3,
    ImageOptions(minimum_revision=Revision(0, 3)),
).data
VERSION_2 = build_image(
    elf_for(
        ESP8266,
        [
            Section(".text", 0x4010_0000, b"code" * 20),
            Section(".irom0.text", 0x4020_1010, b"irom" * 30),
        ],
    ).build(),
    ESP8266,
    ImageOptions(esp8266_version=2),
).data


@every_chip
def test_an_image_says_itself_which_chip_it_is_for(chip: Chip) -> None:
    image = small_image(chip)
    report = inspect_image(image)
    assert report == inspect_image(image, chip)
    assert (report.chip, report.size, report.is_intact) == (chip, len(image), True)
    assert len(repr(report)) < 1000


def test_what_an_application_says_of_itself() -> None:
    report = inspect_image(APPLICATION)
    assert report.bootloader is None
    found = report.application
    assert found is not None
    assert (found.project, found.version) == ("blinky", "1.2.3-dirty")
    assert (found.date, found.time) == ("Feb 29 2024", "12:34:56")
    assert found.idf_version == "v5.4.1"
    assert found.secure_version == 7
    assert found.minimum_efuse_revision == Revision(0, 3)
    assert found.maximum_efuse_revision == Revision(1, 99)
    assert found.mmu_page_size == 64 * KIB
    assert found.elf_digest == APPLICATION[0xB0:0xD0]
    assert any(found.elf_digest)


def test_what_a_bootloader_says_of_itself() -> None:
    report = inspect_image(BOOTLOADER)
    assert report.application is None
    found = report.bootloader
    assert found is not None
    assert (found.version, found.idf_version) == (42, "v5.4.1")
    assert found.compiled == "Feb 29 2024 12:34:56"


def test_data_that_begin_like_a_descriptor_are_none() -> None:
    descriptor = bootloader_descriptor()
    for data in (descriptor[:1] + b"\xa6" * 99, descriptor[:76], b"Q" + descriptor[1:]):
        image = build_image(
            elf_for(ESP32_C3, [Section(".data", 0x3FC8_0000, data)]).build(), ESP32_C3
        )
        assert inspect_image(image.data).bootloader is None


def test_an_image_of_version_2() -> None:
    report = inspect_image(VERSION_2)
    assert (report.chip, report.version, report.size) == (ESP8266, 2, len(VERSION_2))
    assert [segment.address for segment in report.segments] == [0, 0x4010_0000]
    assert report.is_intact
    # The bootloader's CRC has what the checksum leaves out.
    assert not inspect_image(VERSION_2.replace(b"code", b"Code", 1)).is_intact


def test_only_an_esp8266_has_version_2() -> None:
    assert inspect_image(VERSION_2, ESP8266).version == 2
    with pytest.raises(ImageError, match="begins with 0xea instead of 0xe9"):
        inspect_image(VERSION_2, ESP32)


def test_an_image_for_a_chip_of_which_little_is_known() -> None:
    image = bytearray(BOOTLOADER)
    image[12] = 31
    report = inspect_image(bytes(image))
    assert (report.chip, report.bootloader) == (ESP32_E22, None)
    assert report.digest != report.computed_digest


def test_damage_is_in_the_report() -> None:
    code = APPLICATION.index(b"code")
    damaged = APPLICATION[:code] + b"C" + APPLICATION[code + 1 :]
    report = inspect_image(damaged)
    assert not report.is_intact
    assert report.checksum ^ report.computed_checksum == ord("C") ^ ord("c")
    assert report.digest != report.computed_digest


def test_an_image_for_an_unknown_chip() -> None:
    image = bytearray(BOOTLOADER)
    image[12] = 0x4D
    with pytest.raises(ImageError, match="for the chip with id 77, of which nothing is known"):
        inspect_image(bytes(image))
    assert inspect_image(bytes(image), ESP32_C3).header.chip_id == 0x4D


def test_the_images_of_a_merged_file_are_found() -> None:
    merged = BOOTLOADER.ljust(0x8000, b"\xff") + b"partitions".ljust(0x8000, b"\xff") + APPLICATION
    found = find_images(merged + b"\xff" * 100)
    assert [report.offset for report in found] == [0, 0x1_0000]
    assert [report.size for report in found] == [len(BOOTLOADER), len(APPLICATION)]
    assert found[1].application == inspect_image(APPLICATION).application

    (found_later, _) = find_images(b"\xff" * 0x2000 + merged)
    assert found_later.offset == 0x2000


def test_an_image_in_an_image_is_none() -> None:
    (large,) = find_images(
        build_image(
            elf_for(
                ESP32, [Section(".x", 0x3FFB_0000, bytes(SECTOR_SIZE - 32) + BOOTLOADER)]
            ).build(),
            ESP32,
        ).data
    )
    assert large.chip is ESP32


def test_nothing_is_no_image() -> None:
    with pytest.raises(ImageError, match="its 0 bytes are fewer"):
        find_images(b"")
    with pytest.raises(ImageError, match="begins with 0x00 instead of 0xe9"):
        find_images(bytes(3 * SECTOR_SIZE))


@pytest.mark.parametrize("image", [BOOTLOADER, APPLICATION, VERSION_2])
def test_an_image_that_is_cut_anywhere_is_refused(image: bytes) -> None:
    # What is behind the first gap is no more than a hundred times the same.
    for size in itertools.chain(range(0x400), range(0x400, len(image), 97), (len(image) - 1,)):
        if size < len(image):
            with pytest.raises(ImageError):
                inspect_image(image[:size])


@given(plans(), st.binary(max_size=50), st.integers(0, 1000), st.sampled_from([b"", b"\xea\x04"]))
def test_any_bytes_are_an_image_or_an_error(
    plan: Plan, data: bytes, at: int, beginning: bytes
) -> None:
    image = plan.build()
    changed = image[:at] + data + image[at + len(data) :]
    if beginning:
        changed = beginning + image[2:8] + changed
    for candidate in (changed, data):
        try:
            assert find_images(candidate)
        except ImageError as exc:
            assert exc.reason  # noqa: PT017 - either outcome will do


def test_what_looks_like_images_all_over_takes_neither_long_nor_much() -> None:
    # Each is an image to the end of the file, whose checksum is wrong.
    size = 2 * MIB
    looks = bytearray(size)
    for start in range(0, size - SECTOR_SIZE, SECTOR_SIZE):
        looks[start : start + 2] = b"\xe9\x01"
        rest = size - start - 32
        looks[start + 8 : start + 16] = (0x4010_0000).to_bytes(4, "little") + rest.to_bytes(
            4, "little"
        )
    looks[size - 100] = 1
    data = bytes(looks)
    tracemalloc.start()
    try:
        reports = [*find_images(data, ESP8266), *find_images(data, ESP32_C3)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [(report.offset, report.is_intact) for report in reports] == [(0, False)] * 2
    assert peak < 32 * MIB


@every_chip
def test_an_image_is_measured_by_its_headers(chip: Chip) -> None:
    program = made_up(chip, 3)
    for options in (program.options, ImageOptions(esp8266_version=2)):
        image = build_image(program.elf, chip, options).data
        read: list[int] = []

        def read_part(offset: int, size: int, image: bytes = image) -> bytes:
            read.append(size)  # noqa: B023 - it is called at once
            return (image + bytes(24))[offset : offset + size]

        assert measure_image(read_part, chip) == inspect_image(image, chip).size
        assert sum(read) <= 24 * 2 + 8 * 17


def test_what_is_no_image_is_not_measured() -> None:
    with pytest.raises(ImageError, match="begins with 0xff"):
        measure_image(lambda _, size: b"\xff" * size, ESP32_C3)
    huge = bytes((0xE9, 1)) + bytes(22)
    with pytest.raises(ImageError, match="cannot have 0xffffffff bytes"):
        measure_image(lambda at, size: huge if at == 0 else b"\xff" * size, ESP32_C3)
