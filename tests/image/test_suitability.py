"""An image is for one chip and a range of its revisions, or it is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from described_chips import DESCRIBED
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32s3 import ESP32_S3
from esploader.chips.esp8266 import ESP8266
from esploader.chips.model.revision import Revision
from esploader.image.suitability import Suitability, Verdict, check_image
from images import build_image, header_for, small_image, small_parts

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

SUITABLE = Verdict(Suitability.SUITABLE, None)
LATEST = Revision(655, 35)
NONE = Revision(0, 0)

every_chip = pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)


def image_for(
    chip: Chip, *, legacy: int = 0, minimum: Revision = NONE, maximum: Revision = LATEST
) -> bytes:
    """Return an image of which not every revision will do."""
    parts = small_parts(chip)
    header = header_for(chip, parts)
    assert header.extended is not None
    extended = attrs.evolve(
        header.extended,
        legacy_minimum_revision=legacy,
        minimum_revision=minimum,
        maximum_revision=maximum,
    )
    return build_image(attrs.evolve(header, extended=extended), parts)


@every_chip
@pytest.mark.parametrize("revision", [None, Revision(0, 0), Revision(3, 99)], ids=str)
def test_an_image_for_every_revision(chip: Chip, revision: Revision | None) -> None:
    assert check_image(small_image(chip), chip, revision) == SUITABLE
    assert check_image(small_image(chip) + b"more", chip, revision) == SUITABLE


def test_an_image_for_another_chip() -> None:
    with_id = [chip for chip in DESCRIBED if chip.image_chip_id is not None]
    for made_for in with_id:
        for chip in with_id:
            verdict = check_image(small_image(made_for), chip, None)
            if made_for is chip:
                assert verdict == SUITABLE
            else:
                reason = f"it is for {made_for.name}, not for {chip.name}"
                assert verdict == Verdict(Suitability.WRONG_CHIP, reason)


def test_all_of_the_chip_id_counts() -> None:
    image = bytearray(small_image(ESP32_C3))
    image[13] = 1

    assert check_image(bytes(image), ESP32_C3, None) == Verdict(
        Suitability.WRONG_CHIP, "it is for the chip with id 261, not for ESP32-C3"
    )


@pytest.mark.parametrize(
    ("minimum", "maximum", "revision", "reason"),
    [
        ((0, 3), (1, 99), (0, 3), None),
        ((0, 3), (1, 99), (1, 99), None),
        ((0, 3), (1, 99), (1, 0), None),
        ((0, 3), (655, 35), (9, 0), None),
        ((0, 3), (1, 99), (0, 2), "it is for revisions from v0.3 to v1.99, not for v0.2"),
        ((0, 3), (1, 99), (2, 0), "it is for revisions from v0.3 to v1.99, not for v2.0"),
        ((3, 0), (655, 35), (2, 9), "it is for revisions from v3.0 on, not for v2.9"),
    ],
)
@pytest.mark.parametrize("chip", [ESP32, ESP32_C3], ids=lambda chip: chip.key)
def test_the_revision_lies_between_minimum_and_maximum(
    chip: Chip,
    minimum: tuple[int, int],
    maximum: tuple[int, int],
    revision: tuple[int, int],
    reason: str | None,
) -> None:
    image = image_for(chip, minimum=Revision(*minimum), maximum=Revision(*maximum))
    verdict = check_image(image, chip, Revision(*revision))

    assert verdict.reason == reason
    assert (verdict == SUITABLE) == (reason is None)
    assert verdict.suitability in {Suitability.SUITABLE, Suitability.WRONG_REVISION}


@pytest.mark.parametrize("maximum", [NONE, LATEST], ids=str)
@pytest.mark.parametrize(
    ("chip", "revision", "reason"),
    [
        (ESP32, (3, 0), None),
        (ESP32, (3, 1), None),
        (ESP32, (1, 3), "it is for revisions from major 3 on, not for v1.3"),
        (ESP32_S3, (2, 9), "it is for revisions from major 3 on, not for v2.9"),
        (ESP32_C3, (0, 3), None),
        (ESP32_C3, (0, 4), None),
        (ESP32_C3, (0, 2), "it is for revisions from minor 3 on, not for v0.2"),
        (ESP32_C3, (3, 0), "it is for revisions from minor 3 on, not for v3.0"),
    ],
)
def test_the_older_minimum_is_one_part_of_the_revision(
    chip: Chip, revision: tuple[int, int], reason: str | None, maximum: Revision
) -> None:
    image = image_for(chip, legacy=3, maximum=maximum)
    verdict = check_image(image, chip, Revision(*revision))

    assert verdict.reason == reason
    assert (verdict.suitability is Suitability.WRONG_REVISION) == (reason is not None)


def test_the_newer_minimum_replaces_the_older_one() -> None:
    image = image_for(ESP32, legacy=3, minimum=Revision(1, 0))

    assert check_image(image, ESP32, Revision(1, 0)) == SUITABLE


def test_a_revision_that_is_not_known_is_not_judged() -> None:
    assert check_image(image_for(ESP32, minimum=Revision(9, 0)), ESP32, None) == SUITABLE


def test_something_else_is_no_image() -> None:
    for data in (b"", b"\xff" * 64, b"\xea" + small_image(ESP8266)[1:]):
        assert check_image(data, ESP32, None).suitability is Suitability.NO_IMAGE


@every_chip
def test_an_image_that_is_cut_off_is_invalid(chip: Chip) -> None:
    image = small_image(chip)

    for size in range(1, len(image)):
        verdict = check_image(image[:size], chip, None)
        assert verdict.suitability is Suitability.INVALID
        assert verdict.reason


@pytest.mark.parametrize(
    ("position", "digest", "reason"),
    [(3, True, "digest"), (40, True, "checksum"), (40, False, "checksum"), (-1, True, "digest")],
)
def test_a_damaged_image_is_invalid(position: int, reason: str, *, digest: bool) -> None:
    image = bytearray(small_image(ESP32_S3, digest=digest))
    image[position] ^= 4
    verdict = check_image(bytes(image), ESP32_S3, None)

    assert verdict.suitability is Suitability.INVALID
    assert verdict.reason is not None
    assert reason in verdict.reason


def test_an_image_for_another_chip_is_that_before_it_is_damaged() -> None:
    image = bytearray(small_image(ESP32_S3))
    image[40] ^= 4

    assert check_image(bytes(image), ESP32, None).suitability is Suitability.WRONG_CHIP


@given(st.sampled_from(DESCRIBED), st.binary(max_size=200))
def test_any_bytes_get_a_verdict(chip: Chip, data: bytes) -> None:
    for candidate in (data, b"\xe9\x01" + data):
        verdict = check_image(candidate, chip, Revision(0, 0))
        assert (verdict.reason is None) == (verdict.suitability is Suitability.SUITABLE)
