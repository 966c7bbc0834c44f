"""What an image that is made of an ELF file is like, option by option.

That it is the one that esptool makes is in tests/peer/test_elf2image.py; here is what it has to be.
"""

from __future__ import annotations

import hashlib
import zlib

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from described_chips import DESCRIBED
from elf_programs import PAGE, app_descriptor, bootloader_descriptor, made_up
from elf_writer import NOBITS, NOTE, Program, Section, elf_for
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32c6 import ESP32_C6
from esploader.chips.esp32e22 import ESP32_E22
from esploader.chips.esp8266 import ESP8266
from esploader.chips.model.chip import KIB, Chip
from esploader.chips.model.revision import Revision
from esploader.errors import ElfError, UnsupportedError
from esploader.image.build import BuiltImage, build_image
from esploader.image.esp8266 import crc_of
from esploader.image.firmware import ImageLayout, parse_image, verify_checksum, verify_digest
from esploader.image.inspection import inspect_image
from esploader.image.mapping import is_mapped
from esploader.image.measuring import measure_image
from esploader.image.options import ImageOptions, Signature
from esploader.image.suitability import Suitability, check_image
from esploader.image.version2 import V2_MAGIC

DATA = Section(".dram0.data", 0x3FC9_0000, b"data" * 50)
CODE = Section(".iram0.text", 0x4037_C000, b"code" * 100)
RODATA = Section(".flash.rodata", 0x3C01_0120, b"read" * 30)
TEXT = Section(".flash.text", 0x4200_0020, b"text" * 10)
DESCRIPTOR = Section(".flash.appdesc", 0x3C01_0020, app_descriptor())

WORD = 0xFFFF_FFFF


def built(sections: list[Section], chip: Chip = ESP32_C3, /, **options: object) -> BuiltImage:
    elf = elf_for(chip, sections, entry=0x4037_C004).build()
    return build_image(elf, chip, ImageOptions(**options))  # type: ignore[arg-type]


def layout_of(image: bytes, chip: Chip = ESP32_C3) -> ImageLayout:
    """Return the layout of an image that is intact."""
    layout = parse_image(image, chip)
    verify_checksum(image, layout)
    verify_digest(image, layout)
    return layout


def parts_of(image: bytes, chip: Chip = ESP32_C3) -> list[tuple[int, bytes]]:
    """Return addresses and bytes of the segments of an image, without padding."""
    segments = layout_of(image, chip).segments
    return [(each.address, image[each.offset : each.end]) for each in segments if each.address]


def memory_of(parts: list[tuple[int, bytes]]) -> dict[int, int]:
    return {address + n: byte for address, data in parts for n, byte in enumerate(data)}


@given(st.sampled_from(DESCRIBED[1:]), st.integers(1000, 1200))
def test_every_byte_of_a_program_is_in_its_image(chip: Chip, number: int) -> None:
    program = made_up(chip, number)
    options = program.options
    image = build_image(program.elf, chip, options).data
    layout = layout_of(image, chip)
    assert check_image(image, chip, None).suitability is Suitability.SUITABLE
    assert layout.header.has_digest == (options.has_digest and not options.ram_only_header)
    for segment in layout.segments:
        assert segment.size % 4 == 0
        if is_mapped(segment.address, chip):
            assert (segment.address - segment.offset) % min(chip.mmu_page_sizes) == 0


def test_sections_become_segments_in_whole_words() -> None:
    odd = Section(".iram0.text", 0x4037_C000, b"odd")
    image = built([DATA, odd]).data

    assert parts_of(image) == [(0x3FC9_0000, DATA.data), (0x4037_C000, b"odd\0")]
    assert layout_of(image).header.entry == 0x4037_C004
    assert layout_of(image).header.has_digest


def test_what_is_not_loaded_is_left_out() -> None:
    without_bytes = Section(".bss", 0x3FC9_1000, b"zero", NOBITS)
    without_address = Section(".comment", 0, b"comment")
    unknown = Section(".note", 0x3FC9_2000, b"note", NOTE)
    made = built([CODE, without_bytes, without_address, unknown])

    assert parts_of(made.data) == [(CODE.address, CODE.data)]
    assert made.remarks == ("sections of unknown types are left out: 0x7",)


def test_neighbours_are_one_segment_and_others_are_not() -> None:
    beside = Section(".more", CODE.address + len(CODE.data), b"more")
    apart = Section(".apart", beside.address + 8, b"apart!!!")
    made = built([CODE, beside, apart])

    assert parts_of(made.data) == [
        (CODE.address, CODE.data + b"more"),
        (apart.address, apart.data),
    ]
    assert made.joined_count == 1


def test_more_segments_than_an_image_can_have_are_refused() -> None:
    sections = [Section(".text", 0x4037_C000 + 16 * n, b"text") for n in range(17)]
    assert len(parts_of(built(sections[:16]).data)) == 16
    with pytest.raises(ElfError, match=r"more than 16 segments.*linker script"):
        built(sections)


def test_what_is_mapped_has_its_place_in_a_page_and_ram_fills_the_gap() -> None:
    large = Section(".iram0.text", 0x4037_C000, bytes(range(256)) * 600)
    image = built([large, RODATA, TEXT]).data
    segments = layout_of(image).segments

    for segment in segments:
        if is_mapped(segment.address, ESP32_C3):
            assert segment.offset % PAGE == segment.address % PAGE
    # No bytes are wasted where something of the RAM is left.
    assert 0 not in {segment.address for segment in segments}
    assert memory_of(parts_of(image)) == memory_of(
        [(each.address, each.data) for each in (large, RODATA, TEXT)]
    )


def test_descriptors_come_first() -> None:
    image = built([TEXT, DESCRIPTOR, RODATA, CODE]).data
    assert image[0x20:].startswith(app_descriptor()[:0x90])

    descriptor = Section(".dram0.bootdesc", 0x3FCD_0000, bootloader_descriptor())
    image = built([CODE, DATA, descriptor]).data
    assert image[0x20:].startswith(bootloader_descriptor())


def test_the_digest_of_the_elf_file_is_in_the_descriptor() -> None:
    elf = elf_for(ESP32_C3, [CODE, DESCRIPTOR]).build()
    image = build_image(elf, ESP32_C3).data
    layout_of(image)
    assert image[0xB0:0xD0] == hashlib.sha256(elf).digest()
    assert image[0xD0:0x120] == app_descriptor()[0xB0:]


def test_the_digest_of_the_elf_file_goes_where_it_is_told() -> None:
    zeros = Section(".iram0.text", 0x4037_C000, bytes(100))
    elf = elf_for(ESP32_C3, [zeros]).build()
    image = build_image(elf, ESP32_C3, ImageOptions(elf_digest_offset=0x40)).data
    layout_of(image)
    assert image[0x20:0x84] == bytes(0x20) + hashlib.sha256(elf).digest() + bytes(0x24)

    with pytest.raises(ElfError, match="at 0x40 of the image is something else than the zeros"):
        built([CODE], elf_digest_offset=0x40)
    with pytest.raises(ElfError, match="no segment of the image has 32 bytes at 0x65"):
        built([zeros], elf_digest_offset=0x65)


def test_what_the_header_says() -> None:
    image = built(
        [CODE],
        flash_mode="dout",
        flash_frequency="20m",
        flash_size="16MB",
        legacy_minimum_revision=3,
        minimum_revision=Revision(1, 2),
        maximum_revision=Revision(3, 99),
    ).data
    header = layout_of(image).header
    assert (header.flash_mode, header.flash_frequency, header.flash_size) == (3, 2, 4)
    assert header.extended is not None
    assert header.extended.wp_pin == 0xEE
    assert header.extended.legacy_minimum_revision == 3
    assert header.extended.minimum_revision == Revision(1, 2)
    assert header.extended.maximum_revision == Revision(3, 99)
    for revision, is_right in ((Revision(1, 1), False), (Revision(3, 99), True)):
        verdict = check_image(image, ESP32_C3, revision)
        assert (verdict.suitability is Suitability.SUITABLE) == is_right


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flash_mode": "fast"}, "flash mode 'fast': ESP32-C3 has these: qio, qout, dio, dout"),
        ({"flash_size": "512KB"}, "flash size '512KB': ESP32-C3 has these: 1MB"),
        ({"flash_frequency": "60m"}, "flash frequency '60m': ESP32-C3 has these: 40m"),
    ],
)
def test_parameters_that_the_chip_does_not_have(options: dict[str, str], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        built([CODE], **options)


def test_no_digest_where_none_is_wanted() -> None:
    image = built([CODE], has_digest=False).data
    assert not layout_of(image).header.has_digest
    assert layout_of(image).size == len(image)


def test_segments_of_the_elf_file_have_physical_addresses() -> None:
    program = Program(0x4200_0020, 0x4037_C000, b"copied later")
    elf = elf_for(ESP32_C3, [TEXT], [program]).build()
    image = build_image(elf, ESP32_C3, ImageOptions(use_segments=True)).data
    assert parts_of(image) == [(0x4037_C000, b"copied later")]


def test_an_image_is_padded_to_a_multiple() -> None:
    image = built([CODE]).data
    padded = built([CODE], pad_to=1000).data
    assert len(padded) == 1000
    assert padded == image.ljust(1000, b"\xff")
    assert len(built([CODE], pad_to=16).data) == len(image)


@pytest.mark.parametrize(
    ("chip", "signature", "behind"),
    [(ESP32, Signature.V1, PAGE - 80), (ESP32, Signature.V2, 0), (ESP32_C3, Signature.V2, 0)],
)
def test_there_is_room_for_a_signature(chip: Chip, signature: Signature, behind: int) -> None:
    sections = [Section(".dram0.data", 0x3FFB_0000 if chip is ESP32 else 0x3FC9_0000, b"data")]
    image = built(sections, chip, signature=signature).data
    layout_of(image, chip)
    assert len(image) % PAGE == behind
    with pytest.raises(UnsupportedError, match="the image would have no digest"):
        built(sections, chip, signature=signature, has_digest=False)


def test_a_signature_of_the_first_kind_is_for_the_esp32_alone() -> None:
    assert built([CODE], signature=Signature.V1) == built([CODE])


def test_only_what_goes_into_ram_is_announced() -> None:
    made = built([TEXT, CODE, RODATA], ram_only_header=True)
    image = made.data
    assert parts_of(image) == [(CODE.address, CODE.data)]
    assert not layout_of(image).header.has_digest
    for section in (TEXT, RODATA):
        assert image.index(section.data) % PAGE == section.address % PAGE
    assert "only what goes into RAM" in made.remarks[0]


def test_the_size_of_pages_is_that_of_the_application() -> None:
    text = Section(".flash.text", 0x4201_0020, b"text")
    for size in ESP32_C6.mmu_page_sizes:
        sections = [Section(".flash.appdesc", 0x4200_0020, app_descriptor(size)), text]
        image = built(sections, ESP32_C6).data
        assert layout_of(image, ESP32_C6).segments[-1].offset == size + 0x20

        asked = built(sections, ESP32_C6, mmu_page_size=64 * KIB).data
        assert layout_of(asked, ESP32_C6).segments[-1].offset == PAGE + 0x20

    sections = [Section(".flash.appdesc", 0x4200_8020, app_descriptor(0)), text]
    assert built(sections, ESP32_C6).remarks == ("MMU pages are taken to have 32 KiB",)

    sections = [Section(".flash.appdesc", 0x4200_0024, app_descriptor(0)), text]
    assert built(sections, ESP32_C6).remarks == (
        "MMU pages are taken to have 64 KiB, although .flash.appdesc begins at 0x42000024",
    )


def test_a_size_of_pages_that_the_chip_does_not_have() -> None:
    with pytest.raises(UnsupportedError, match="MMU pages of 128 KiB: ESP32-C6 has 8 KiB, 16 KiB"):
        built([Section(".t", 0x4080_0000, b"text")], ESP32_C6, mmu_page_size=128 * KIB)
    odd = app_descriptor(64 * KIB)[:-76] + b"\x03" + bytes(75)
    with pytest.raises(UnsupportedError, match="MMU pages of 8 bytes"):
        built([Section(".flash.appdesc", 0x4200_0020, odd)], ESP32_C6)
    assert built([CODE], mmu_page_size=32 * KIB).remarks == (
        "the size of MMU pages of the ESP32-C3 is always 64 KiB",
    )


def test_what_is_mapped_begins_with_a_word() -> None:
    with pytest.raises(ElfError, match="belongs at 0x42000021 cannot be mapped"):
        built([Section(".flash.text", 0x4200_0021, b"text")])


def test_two_parts_in_one_page_are_refused() -> None:
    other = Section(".flash.more", 0x4200_8000, b"more")
    with pytest.raises(ElfError, match="belongs at 0x42000020 and at 0x42008000 shares a page of"):
        built([TEXT, other])


def test_a_program_without_anything_to_load_is_refused() -> None:
    note = Section(".note", 0x4037_C000, b"note", type=NOTE)
    with pytest.raises(ElfError, match="it has no sections that would be loaded"):
        built([note])
    with pytest.raises(ElfError, match="it has no segments that would be loaded"):
        built([CODE], use_segments=True)


def test_gaps_are_filled_up_to_a_limit() -> None:
    first = Section(".flash.text", 0x4200_0020, b"text")
    second = Section(".flash.more", 0x4240_0000, b"more", alignment=4 << 20)
    near = attrs.evolve(second, address=0x4200_0080, alignment=0x80)
    made = built([CODE, first, near], ram_only_header=True)
    assert b"text" + bytes(0x5C) + b"more" in made.data
    # Between these two there is almost all that may be filled.
    third = Section(".flash.last", 0x4240_0080, b"last", alignment=0x80)
    with pytest.raises(ElfError, match="its sections leave gaps of more than 4194304 bytes"):
        built([CODE, first, second, third], ram_only_header=True)


def test_a_segment_that_is_too_large_is_refused() -> None:
    with pytest.raises(ElfError, match=r"\.t has 0x1000000 bytes"):
        built([Section(".t", 0x4037_C000, bytes(16 << 20))])
    with pytest.raises(ElfError, match=r"\.t has 0x1000000 bytes"):
        built([Section(".t", 0x1000_0000 + n * (8 << 20), bytes(8 << 20)) for n in (0, 1)])


def test_a_chip_of_which_too_little_is_known() -> None:
    with pytest.raises(UnsupportedError, match="it is not known yet"):
        build_image(elf_for(ESP32_C3, [CODE]).build(), ESP32_E22)


def test_options_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="no version 4 of images"):
        ImageOptions(esp8266_version=4)
    with pytest.raises(ValueError, match="cannot be padded to 0 bytes"):
        ImageOptions(pad_to=0)
    with pytest.raises(ValueError, match="256 is no part of a revision"):
        ImageOptions(legacy_minimum_revision=256)
    with pytest.raises(ValueError, match=r"no room for the revision v655\.36"):
        ImageOptions(maximum_revision=Revision(655, 36))


IN_RAM = [
    Section(".data", 0x3FFE_8000, b"data" * 8),
    Section(".text", 0x4010_0000, b"code" * 9),
]
IROM = Section(".irom0.text", 0x4021_1234, b"irom" * 9 + b"!")


def test_version_1_for_an_esp8266_is_two_files() -> None:
    made = built([*IN_RAM, IROM], ESP8266, flash_size="2MB", flash_mode="dio")
    assert made.mapped == (0x1_1234, IROM.data + bytes(3))
    assert made.offset is None
    assert parts_of(made.data, ESP8266) == [(each.address, each.data) for each in IN_RAM]
    assert made.data[2:4] == b"\x02\x30"
    assert built(IN_RAM, ESP8266).mapped is None


def test_version_2_for_an_esp8266_has_both_and_a_crc() -> None:
    made = built([*IN_RAM, IROM], ESP8266, esp8266_version=2)
    image = made.data
    assert made.offset == 0x1_1000
    assert image[:2] == bytes((V2_MAGIC, 4))
    # What is mapped belongs nowhere, and has whole rows.
    assert image[8:16] == bytes(4) + (48).to_bytes(4, "little")
    assert image[16:64] == IROM.data.ljust(48, b"\0")
    inner = image[64:-4]
    assert parts_of(inner, ESP8266) == [(each.address, each.data) for each in IN_RAM]
    found = zlib.crc32(image[:-4])
    assert int.from_bytes(image[-4:], "little") == (
        found + 1 if found < 0x8000_0000 else found ^ WORD
    )


def test_version_2_for_an_esp8266_may_map_nothing() -> None:
    made = built(IN_RAM, ESP8266, esp8266_version=2)
    image = made.data
    assert (made.offset, made.mapped) == (0, None)
    assert image[:2] == bytes((V2_MAGIC, 4))
    # The header of the segments in RAM is right behind the first one.
    assert image[8:10] == bytes((0xE9, len(IN_RAM)))
    assert int.from_bytes(image[-4:], "little") == crc_of(image[:-4])
    assert measure_image(lambda at, size: image[at : at + size], ESP8266) == len(image)
    report = inspect_image(image, ESP8266)
    assert [each.address for each in report.segments] == [each.address for each in IN_RAM]
    assert report.size == len(image)


def test_both_kinds_of_crc() -> None:
    assert zlib.crc32(b"b") < 0x8000_0000 < zlib.crc32(b"a")
    assert crc_of(b"b") == zlib.crc32(b"b") + 1
    assert crc_of(b"a") == zlib.crc32(b"a") ^ WORD


def test_version_3_for_an_esp8266_begins_with_what_is_mapped() -> None:
    rodata = Section(".flash.rodata", 0x4022_0008, b"8 bytes.read-only data..")
    image = built([*IN_RAM, IROM, rodata], ESP8266, esp8266_version=3).data
    assert image[-32:] == hashlib.sha256(image[:-32]).digest()
    assert parts_of(image, ESP8266) == [
        (IROM.address, IROM.data + bytes(3)),
        (rodata.address, b"read-only data.."),
        *((each.address, each.data) for each in IN_RAM),
    ]
    # The codes of sizes are those of later chips.
    assert image[3] == 0


def test_the_frequency_is_that_of_the_flash_of_an_esp8266() -> None:
    codes = [
        built(IN_RAM, ESP8266, flash_frequency=name).data[3] & 0xF
        for name in ("40m", "26m", "20m", "80m")
    ]
    assert codes == [0, 1, 2, 0xF]


@pytest.mark.parametrize("version", [1, 2])
def test_older_images_for_an_esp8266_map_one_part(version: int) -> None:
    other = Section(".irom1.text", 0x4023_0000, b"more")
    with pytest.raises(ElfError, match="2 parts of the program are mapped from the flash"):
        built([*IN_RAM, IROM, other], ESP8266, esp8266_version=version)


def test_reprs_are_short() -> None:
    made = built([CODE, TEXT, RODATA])
    for each in (made, ImageOptions()):
        assert len(repr(each)) < 500
