"""Images that we make of ELF files are those that esptool makes, byte by byte.

Where they are not, it is for a defect of esptool 5.6.0 that a test here has by name: that test
fails when the defect is mended, and the exception has to go then.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from described_chips import DESCRIBED
from elf_programs import PAGE, app_descriptor, made_up
from elf_writer import Section, elf_for
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32c6 import ESP32_C6
from esploader.chips.esp8266 import ESP8266
from esploader.errors import ElfError
from esploader.image.build import build_image
from esploader.image.firmware import parse_image, verify_checksum, verify_digest
from esploader.image.options import ImageOptions
from esptool_images import EsptoolImages, esptool_images

if TYPE_CHECKING:
    from collections.abc import Iterator

    from elf_programs import MadeUp
    from esploader.chips.model.chip import Chip

pytestmark = pytest.mark.peer

COUNT = 200 if os.environ.get("ESPLOADER_FULL") == "1" else 8
"""How many programs are made up for each chip."""

CRASH = "AssertionError: "


@pytest.fixture(scope="module")
def esptool() -> Iterator[EsptoolImages]:
    with esptool_images() as process:
        yield process


def ours(chip: Chip, program: MadeUp) -> tuple[bytes | None, ...] | str:
    """Return what we make of a program, as esptool returns it."""
    try:
        built = build_image(program.elf, chip, program.options)
    except ElfError as exc:
        return str(exc)
    if chip is ESP8266 and program.options.esp8266_version == 1:
        return (None if built.mapped is None else built.mapped[1], built.data)
    return (built.data,)


def test_images_are_those_of_esptool(esptool: EsptoolImages) -> None:
    different = []
    made = 0
    for chip in DESCRIBED:
        for number in range(COUNT):
            program = made_up(chip, number)
            wanted = esptool.make(chip.key, program.elf, program.theirs)
            found = ours(chip, program)
            if isinstance(wanted, str) and isinstance(found, str):
                continue
            if wanted == CRASH:
                continue
            made += 1
            if found != wanted:
                different.append((chip.key, number, program.theirs, wanted, found))
    assert [(key, number, asked) for key, number, asked, _, _ in different] == []
    assert made > 0.9 * COUNT * len(DESCRIBED)


def theirs(
    esptool: EsptoolImages, chip: Chip, sections: list[Section], **options: bool | int | str
) -> bytes:
    """Return the image that esptool makes."""
    made = esptool.make(chip.key, elf_for(chip, sections).build(), options)
    assert not isinstance(made, str), made
    assert made[-1] is not None
    return made[-1]


def our_image(chip: Chip, sections: list[Section], options: ImageOptions | None = None) -> bytes:
    """Return the image that we make, which has to be intact."""
    image = build_image(elf_for(chip, sections).build(), chip, options).data
    layout = parse_image(image, chip)
    verify_checksum(image, layout)
    verify_digest(image, layout)
    return image


CODE = Section(".iram0.text", 0x4037_C000, b"code" * 100)
TEXT = Section(".flash.text", 0x4200_0020, b"text" * 10)


def test_defect_padding_overwrites_an_image_without_digest(esptool: EsptoolImages) -> None:
    image = theirs(esptool, ESP32_C3, [CODE], append_digest=False, pad_to_size="1MB")
    assert set(image[2:]) == {0xFF}

    found = our_image(ESP32_C3, [CODE], ImageOptions(has_digest=False, pad_to=1 << 20))
    assert len(found) == 1 << 20
    assert CODE.data in found


def test_defect_the_digest_of_the_elf_file_goes_to_a_fixed_place(esptool: EsptoolImages) -> None:
    zeros = Section(".iram0.text", 0x4037_C000, bytes(400))
    described = Section(".flash.appdesc", 0x3C00_0020, app_descriptor())
    elf = elf_for(ESP32_C3, [zeros, described]).build()
    made = esptool.make("esp32c3", elf, {"ram_only_header": True})
    assert not isinstance(made, str)
    assert made[0] is not None
    # It is in the middle of the code, and the descriptor has none.
    assert any(made[0][0x20:][:400])
    assert app_descriptor() in made[0]

    ours = build_image(elf, ESP32_C3, ImageOptions(ram_only_header=True)).data
    assert not any(ours[0x20:][:400])
    assert app_descriptor() not in ours
    assert app_descriptor()[:0x90] in ours


def test_defect_parts_in_one_page_are_not_noticed(esptool: EsptoolImages) -> None:
    long = Section(".flash.rodata", 0x4200_0020, b"r" * (PAGE + 100))
    later = Section(".flash.text", 0x4201_0200, b"t" * 100)
    assert theirs(esptool, ESP32_C3, [long, later])

    with pytest.raises(ElfError, match="0x42000020 and at 0x42010200 shares a page of 64 KiB"):
        our_image(ESP32_C3, [long, later])


def test_defect_parts_are_lengthened_into_the_page_of_others(esptool: EsptoolImages) -> None:
    full = Section(".flash.rodata", 0x3F40_0020, b"r" * (PAGE - 0x20))
    later = Section(".flash.text", 0x3F41_0020, b"t" * 100)
    assert b"r" * 8 + bytes(0x24) in theirs(esptool, ESP32, [full, later])

    found = our_image(ESP32, [full, later])
    assert parse_image(found, ESP32).segments[0].size == PAGE - 0x20


def test_defect_an_image_can_get_more_segments_than_are_allowed(esptool: EsptoolImages) -> None:
    sections = [Section(".flash.text", 0x4200_0000 + n * PAGE, b"text") for n in range(16)]
    assert theirs(esptool, ESP32_C3, sections)[1] == 32

    with pytest.raises(ElfError, match="more than 16 segments"):
        our_image(ESP32_C3, sections)


def test_defect_a_place_for_the_digest_in_no_segment_is_passed_over(
    esptool: EsptoolImages,
) -> None:
    image = theirs(esptool, ESP32_C3, [CODE], elf_sha256_offset=0x10_0000)
    assert image == theirs(esptool, ESP32_C3, [CODE])

    with pytest.raises(ElfError, match="no segment of the image has 32 bytes at 0x100000"):
        our_image(ESP32_C3, [CODE], ImageOptions(elf_digest_offset=0x10_0000))


def test_defect_the_last_bytes_of_a_segment_are_no_place_for_the_digest(
    esptool: EsptoolImages,
) -> None:
    zeros = Section(".iram0.text", 0x4037_C000, bytes(40))
    elf = elf_for(ESP32_C3, [zeros]).build()
    refused = esptool.make("esp32c3", elf, {"elf_sha256_offset": 0x28})
    assert isinstance(refused, str)
    assert "boundary" in refused

    assert any(our_image(ESP32_C3, [zeros], ImageOptions(elf_digest_offset=0x28))[0x28:0x48])


def test_defect_nothing_becomes_an_image(esptool: EsptoolImages) -> None:
    assert theirs(esptool, ESP32_C3, [])[1] == 0

    with pytest.raises(ElfError, match="it has no sections that would be loaded"):
        our_image(ESP32_C3, [])


def test_defect_no_room_for_padding_is_a_crash(esptool: EsptoolImages) -> None:
    # Between them is just enough for the two headers.
    text = Section(".flash.rodata", 0x4201_0020, b"r" * (PAGE - 0x30))
    later = Section(".flash.text", 0x4202_0000, b"t" * 4)
    elf = elf_for(ESP32_C3, [text, later]).build()
    assert esptool.make("esp32c3", elf, {}) == CRASH

    found = parse_image(our_image(ESP32_C3, [text, later]), ESP32_C3).segments
    assert [segment.address for segment in found] == [0x4201_0020, 0, 0x4202_0000]
    assert found[-1].offset % PAGE == 0


def test_defect_an_elf_file_without_segments_is_a_crash(esptool: EsptoolImages) -> None:
    elf = elf_for(ESP32_C3, [CODE]).build()
    refused = esptool.make("esp32c3", elf, {"use_segments": True})
    assert isinstance(refused, str)
    assert "AttributeError" in refused

    with pytest.raises(ElfError, match="it has no segments that would be loaded"):
        build_image(elf, ESP32_C3, ImageOptions(use_segments=True))


def test_defect_the_architecture_is_not_looked_at(esptool: EsptoolImages) -> None:
    elf = elf_for(ESP32, [Section(".iram0.text", 0x4080_0000, b"code")]).build()
    assert not isinstance(esptool.make("esp32c6", elf, {}), str)

    with pytest.raises(ElfError, match="for xtensa, and the ESP32-C6 is a chip with riscv"):
        build_image(elf, ESP32_C6)
