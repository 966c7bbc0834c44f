"""An image is read as it was built, and nothing that is damaged passes for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from described_chips import DESCRIBED
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp8266 import ESP8266
from esploader.errors import ImageError
from esploader.image.firmware import parse_image, verify_checksum, verify_digest
from images import Plan, build_image, header_for, plans, small_image, small_parts

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip
    from images import Parts

every_chip = pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)


def verify(data: bytes, chip: Chip) -> None:
    """Read an image and hold it against its checksum and its digest."""
    layout = parse_image(data, chip)
    verify_checksum(data, layout)
    verify_digest(data, layout)


def parts_of(data: bytes, chip: Chip) -> Parts:
    segments = parse_image(data, chip).segments
    return tuple((each.address, data[each.offset : each.end]) for each in segments)


@given(plans(), st.binary(max_size=40))
def test_what_was_built_is_read_whatever_follows(plan: Plan, rest: bytes) -> None:
    image = plan.build()
    layout = parse_image(image + rest, plan.chip)

    assert layout.header == plan.header
    assert parts_of(image + rest, plan.chip) == plan.parts
    assert layout.size == len(image)
    verify(image + rest, plan.chip)


@given(st.sampled_from(DESCRIBED), st.binary(max_size=200))
def test_any_bytes_are_an_image_or_an_image_error(chip: Chip, data: bytes) -> None:
    for candidate in (data, b"\xe9\x01" + data):
        try:
            verify(candidate, chip)
        except ImageError as exc:
            assert exc.reason  # noqa: PT017 - either outcome will do


@given(plans(), st.data())
def test_a_changed_byte_is_noticed_or_outside_what_is_covered(
    plan: Plan, data: st.DataObject
) -> None:
    image = bytearray(plan.build())
    layout = parse_image(bytes(image), plan.chip)
    position = data.draw(st.integers(0, len(image) - 1))
    image[position] ^= data.draw(st.integers(1, 0xFF))
    in_a_segment = any(each.offset <= position < each.end for each in layout.segments)

    # Without a digest the header and the padding are covered by nothing.
    if in_a_segment or position == layout.checksum_offset or layout.header.has_digest:
        if position == 23 and not image[23] & 1:
            return  # it says now that there is no digest
        with pytest.raises(ImageError):
            verify(bytes(image), plan.chip)


@every_chip
@pytest.mark.parametrize("digest", [False, True], ids=["plain", "digest"])
def test_no_part_of_an_image_is_an_image(chip: Chip, *, digest: bool) -> None:
    image = small_image(chip, digest=digest)

    for size in range(len(image)):
        with pytest.raises(ImageError):
            parse_image(image[:size], chip)


@every_chip
def test_the_checksum_is_the_last_byte_of_a_row(chip: Chip) -> None:
    for size in range(40):
        parts = ((0x4000_0000, bytes(size)),)
        image = build_image(header_for(chip, parts, digest=False), parts)
        layout = parse_image(image, chip)

        assert len(image) % 16 == 0
        assert layout.checksum_offset == len(image) - 1
        assert 0 <= layout.checksum_offset - layout.segments[-1].end < 16


def test_the_checksum_covers_segments_of_any_size() -> None:
    large = bytes(range(251)) * 600
    parts = ((0x3F40_0020, large), *small_parts(ESP32), (0, b""))
    image = bytearray(build_image(header_for(ESP32, parts), parts))
    verify(bytes(image), ESP32)

    image[24 + 8 + len(large) - 1] ^= 0x40
    with pytest.raises(ImageError, match="checksum"):
        verify_checksum(bytes(image), parse_image(bytes(image), ESP32))


def test_an_image_without_segments_has_a_checksum_too() -> None:
    verify(build_image(header_for(ESP32, ()), ()), ESP32)


def test_a_wrong_checksum_is_named_with_the_right_one() -> None:
    image = bytearray(small_image(ESP32_C3, digest=False))
    right = image[-1]
    image[-1] ^= 0x11

    with pytest.raises(ImageError, match=rf"{right ^ 0x11:#04x} and should be {right:#04x}"):
        verify(bytes(image), ESP32_C3)


def test_a_wrong_digest_is_named() -> None:
    image = bytearray(small_image(ESP32_C3))
    image[3] = 0x2F

    with pytest.raises(ImageError, match="SHA-256 digest"):
        verify(bytes(image), ESP32_C3)


def test_a_one_where_later_chips_have_their_digest_flag_means_nothing_on_the_esp8266() -> None:
    parts = ((0x4010_0000, b"\1" * 32),)
    image = build_image(header_for(ESP8266, parts), parts)
    layout = parse_image(image, ESP8266)

    assert image[23] == 1
    assert not layout.header.has_digest
    assert layout.size == len(image)
    verify(image, ESP8266)
