"""The header of an image says what its bytes say, for each chip in its own form."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given

from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp8266 import ESP8266
from esploader.chips.model.revision import Revision
from esploader.errors import ImageError
from esploader.image.header import (
    NO_MAXIMUM,
    ExtendedHeader,
    ImageHeader,
    encode_header,
    parse_header,
)
from images import Plan, plans

COMMON = bytes.fromhex("e9 03 02 2f d4 04 38 40")
EXTENDED = bytes.fromhex("ee 21 43 65 05 00 03 2c 01 8f 01 00 00 00 00 01")


def test_the_header_of_an_esp8266_image() -> None:
    assert parse_header(COMMON, ESP8266) == ImageHeader(
        segment_count=3,
        flash_mode=2,
        flash_size=2,
        flash_frequency=0xF,
        entry=0x4038_04D4,
        extended=None,
    )


def test_the_header_of_every_later_chip_has_a_second_part() -> None:
    header = parse_header(COMMON + EXTENDED, ESP32_C3)

    assert header.segment_count == 3
    assert header.size == 24
    assert header.extended == ExtendedHeader(
        wp_pin=0xEE,
        drives=(1, 2, 3, 4, 5, 6),
        chip_id=5,
        legacy_minimum_revision=3,
        minimum_revision=Revision(3, 0),
        maximum_revision=Revision(3, 99),
        has_digest=True,
    )


def test_what_follows_an_esp8266_header_is_no_second_part() -> None:
    header = parse_header(COMMON + bytes([1]) * 16, ESP8266)

    assert (header.size, header.chip_id, header.has_digest) == (8, None, False)


def test_chip_id_zero_is_the_esp32_and_not_a_missing_one() -> None:
    extended = bytearray(EXTENDED)
    extended[4] = 0

    assert parse_header(COMMON + extended, ESP32).chip_id == 0


@pytest.mark.parametrize(
    ("legacy", "minimum", "maximum", "expected"),
    [
        (0, (0, 0), (0, 0), True),
        (3, (0, 0), (0, 0), True),
        (3, (0, 3), (0, 0), True),
        (3, (0, 0), NO_MAXIMUM, True),
        (0, (0, 0), NO_MAXIMUM, False),
        (3, (0, 3), NO_MAXIMUM, False),
        (3, (0, 0), (3, 99), False),
    ],
)
def test_which_images_are_older_than_revisions_in_two_parts(
    legacy: int, minimum: tuple[int, int], maximum: Revision | tuple[int, int], *, expected: bool
) -> None:
    latest = maximum if isinstance(maximum, Revision) else Revision(*maximum)
    extended = ExtendedHeader(
        wp_pin=0,
        drives=(0,) * 6,
        chip_id=0,
        legacy_minimum_revision=legacy,
        minimum_revision=Revision(*minimum),
        maximum_revision=latest,
        has_digest=False,
    )

    assert extended.has_legacy_revision_only == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (COMMON[:7], "7 bytes"),
        (COMMON + EXTENDED[:-1], "23 bytes"),
        (b"\xea" + COMMON[1:] + EXTENDED, "begins with 0xea"),
        (b"\xe9\x11" + COMMON[2:] + EXTENDED, "17 segments"),
        (COMMON + EXTENDED[:-1] + b"\x02", "0x02, neither 0 nor 1"),
    ],
    ids=["empty", "short", "no second part", "magic byte", "segment count", "digest flag"],
)
def test_what_is_no_header(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        parse_header(data, ESP32_C3)


def test_a_header_is_encoded_byte_by_byte() -> None:
    for data, chip in ((COMMON, ESP8266), (COMMON + EXTENDED, ESP32_C3)):
        assert encode_header(parse_header(data, chip)) == data


@given(plans())
def test_any_header_is_encoded_as_it_is_read(plan: Plan) -> None:
    assert parse_header(encode_header(plan.header), plan.chip) == plan.header


def test_what_has_no_room_in_a_header_is_refused() -> None:
    header = attrs.evolve(parse_header(COMMON, ESP8266), entry=1 << 32)
    with pytest.raises(ValueError, match="does not fit"):
        encode_header(header)
