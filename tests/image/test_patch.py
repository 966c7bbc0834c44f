"""New flash parameters change two bytes and renew a digest; nothing else moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from described_chips import DESCRIBED
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp8266 import ESP8266
from esploader.errors import ImageError, UnsupportedError
from esploader.image.firmware import parse_image, verify_checksum, verify_digest
from esploader.image.patch import PatchResult, patch_header
from images import build_image, header_for, small_image, small_parts

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip


@attrs.frozen
class Request:
    """An image, what follows it, and what it shall say of the flash."""

    chip: Chip
    image: bytes
    rest: bytes
    mode: str | None
    frequency: str | None
    size: str | None


def name_in(table: tuple[tuple[str, int], ...]) -> st.SearchStrategy[str | None]:
    """Return any name of a chip's table, or none."""
    return st.none() | st.sampled_from([name for name, _ in table])


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Return what :func:`patch_header` can do, for any chip."""
    chip = draw(st.sampled_from(DESCRIBED))
    parts = small_parts(chip)[: draw(st.integers(0, 2))]
    header = header_for(
        chip,
        parts,
        mode=draw(st.integers(0, 5)),
        size=draw(st.integers(0, 0xF)),
        frequency=draw(st.integers(0, 0xF)),
        digest=draw(st.booleans()),
    )
    return Request(
        chip=chip,
        image=build_image(header, parts),
        rest=draw(st.binary(max_size=40)),
        mode=draw(name_in(chip.flash_modes)),
        frequency=draw(name_in(chip.flash_frequencies)),
        size=draw(name_in(chip.flash_sizes)),
    )


@given(requests())
def test_only_the_parameters_and_the_digest_change(request: Request) -> None:
    chip, image, rest = request.chip, request.image, request.rest
    before = parse_image(image, chip)
    result = patch_header(
        image + rest, chip, mode=request.mode, frequency=request.frequency, size=request.size
    )
    after = parse_image(result.data, chip)
    covered = before.digest_offset

    assert result.reason is None
    assert result.changed == (result.data != image + rest)
    assert result.digest_updated == (result.changed and before.header.has_digest)
    assert result.data[:2] + result.data[4:covered] == image[:2] + image[4:covered]
    assert result.data[before.size :] == rest
    verify_checksum(result.data, after)
    verify_digest(result.data, after)


@given(requests())
def test_what_is_not_named_stays_and_what_is_named_is_set(request: Request) -> None:
    chip = request.chip
    before = parse_image(request.image, chip).header
    result = patch_header(
        request.image, chip, mode=request.mode, frequency=request.frequency, size=request.size
    )
    after = parse_image(result.data, chip).header

    modes, sizes = {None: before.flash_mode}, {None: before.flash_size}
    frequencies = {None: before.flash_frequency}
    assert after.flash_mode == (modes | dict(chip.flash_modes))[request.mode]
    assert after.flash_size == (sizes | dict(chip.flash_sizes))[request.size]
    assert after.flash_frequency == (frequencies | dict(chip.flash_frequencies))[request.frequency]


def test_the_codes_are_where_the_rom_looks_for_them() -> None:
    result = patch_header(small_image(ESP32_C3), ESP32_C3, mode="dio", frequency="80m", size="4MB")

    assert result.data[2:4] == b"\x02\x2f"


def test_names_mean_what_they_mean_on_that_chip() -> None:
    four_mb = [
        patch_header(small_image(chip), chip, size="4MB").data[3] >> 4 for chip in (ESP32, ESP8266)
    ]

    assert four_mb == [2, 4]


def test_an_image_inside_a_merged_file_gets_its_own_digest_renewed() -> None:
    bootloader, app = small_image(ESP32_C3), small_image(ESP32_C3)
    merged = bootloader.ljust(0x10000, b"\xff") + app
    result = patch_header(merged, ESP32_C3, size="8MB")

    alone = patch_header(bootloader, ESP32_C3, size="8MB").data
    assert result.digest_updated
    assert result.data == alone + merged[len(bootloader) :]


@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_parameters_that_are_there_already_change_nothing(chip: Chip) -> None:
    image = small_image(chip)
    frequency = next(name for name, code in chip.flash_frequencies if code == 0)

    for result in (
        patch_header(image, chip),
        patch_header(image, chip, mode="qio", frequency=frequency),
    ):
        assert result == PatchResult(data=image, changed=False, reason=None, digest_updated=False)


@pytest.mark.parametrize(
    ("names", "choices"),
    [
        ({"mode": "fast"}, "flash mode 'fast': ESP32-C3 has these: qio, qout, dio, dout"),
        ({"frequency": "60m"}, "flash frequency '60m': ESP32-C3 has these: 40m, 26m, 20m, 80m"),
        ({"size": "512KB"}, "flash size '512KB': ESP32-C3 has these: 1MB, 2MB, .*, 128MB"),
    ],
)
def test_a_name_that_the_chip_does_not_know_is_refused_with_the_choices(
    names: dict[str, str], choices: str
) -> None:
    for image in (small_image(ESP32_C3), b"no image"):
        with pytest.raises(UnsupportedError, match=choices):
            patch_header(image, ESP32_C3, **names)


DAMAGED = bytearray(small_image(ESP32_C3))
DAMAGED[40] ^= 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (b"\xff" * 0x1000, "begins with 0xff"),
        (small_image(ESP32_C3)[:-1], "ends 1 bytes too early"),
        (bytes(DAMAGED), "checksum"),
        (small_image(ESP32), "it is for ESP32, not for ESP32-C3"),
        (b"\xe9" * 0x100, "233 segments"),
    ],
    ids=["empty", "erased flash", "cut off", "damaged", "other chip", "something else"],
)
def test_what_is_no_intact_image_for_the_chip_comes_back_with_the_reason(
    data: bytes, reason: str
) -> None:
    result = patch_header(data, ESP32_C3, mode="dio", frequency="80m", size="4MB")

    assert result.data == data
    assert (result.changed, result.digest_updated) == (False, False)
    assert result.reason is not None
    assert reason in result.reason


def test_a_digest_that_was_wrong_before_is_not_made_to_look_right() -> None:
    image = bytearray(small_image(ESP32_C3))
    image[-1] ^= 1
    result = patch_header(bytes(image), ESP32_C3, size="4MB")

    assert result.changed
    assert not result.digest_updated
    assert result.reason is not None
    assert "SHA-256" in result.reason
    assert result.data == image[:3] + b"\x20" + image[4:]
    with pytest.raises(ImageError):
        verify_digest(result.data, parse_image(result.data, ESP32_C3))


def test_a_one_where_later_chips_have_their_digest_flag_is_data_on_the_esp8266() -> None:
    parts = ((0x4010_0000, b"\1" * 32),)
    image = build_image(header_for(ESP8266, parts), parts)
    following = image + bytes(64)
    result = patch_header(following, ESP8266, mode="dio")

    assert image[23] == 1
    assert result.changed
    assert not result.digest_updated
    assert result.data == following[:2] + b"\x02" + following[3:]
