"""Whether a firmware image can run on a device, as far as its bytes tell.

Sources: ESP-IDF, ``components/bootloader_support/src/bootloader_common_loader.c`` and
``include/esp_app_format.h`` beside it. Which images count as made before the minimum
revision had two parts was read off what esptool 5.6.0 accepts.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from esploader.chips.model.quirks import Quirk
from esploader.chips.registry import chip_by_image_id, chip_by_uf2_family
from esploader.classes import frozen
from esploader.errors import ImageError
from esploader.image.firmware import parse_image, verify_checksum, verify_digest
from esploader.image.header import MAGIC, NO_MAXIMUM, ExtendedHeader, ImageHeader

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip
    from esploader.chips.model.revision import Revision


@enum.unique
class Suitability(enum.Enum):
    """How data and device go together."""

    SUITABLE = "suitable"
    """An intact image for this chip and this revision."""

    NO_IMAGE = "no image"
    """Something else."""

    INVALID = "invalid"
    """It begins like an image, and is cut off, damaged, or something else after all."""

    WRONG_CHIP = "wrong chip"
    """An image for another chip."""

    WRONG_REVISION = "wrong revision"
    """An image for this chip, but not for this revision of it."""


@frozen
class Verdict:
    """Whether data can run on a device, and why not."""

    suitability: Suitability

    reason: str | None
    """What is wrong; ``None`` for a suitable image."""


def check_image(image: bytes | memoryview, chip: Chip, revision: Revision | None) -> Verdict:
    """Return whether ``image`` is intact and for devices of that chip and revision.

    ``None`` for a revision that is not known leaves it out of the judgement. More data may
    follow the image.
    """
    if image[:1] != bytes((MAGIC,)):
        return Verdict(Suitability.NO_IMAGE, "it does not begin like an image")
    try:
        layout = parse_image(image, chip)
    except ImageError as exc:
        return Verdict(Suitability.INVALID, exc.reason)
    problem = chip_problem(layout.header, chip)
    if problem is not None:
        return Verdict(Suitability.WRONG_CHIP, problem)
    if layout.header.extended is not None and revision is not None:
        problem = _revision_problem(layout.header.extended, chip, revision)
        if problem is not None:
            return Verdict(Suitability.WRONG_REVISION, problem)
    try:
        verify_checksum(image, layout)
        verify_digest(image, layout)
    except ImageError as exc:
        return Verdict(Suitability.INVALID, exc.reason)
    return Verdict(Suitability.SUITABLE, None)


def chip_problem(header: ImageHeader, chip: Chip) -> str | None:
    """Return why an image with that header is not for ``chip``; ``None`` when it is."""
    if header.chip_id is None or header.chip_id == chip.image_chip_id:
        return None
    made_for = chip_by_image_id(header.chip_id)
    name = f"the chip with id {header.chip_id}" if made_for is None else made_for.name
    return f"it is for {name}, not for {chip.name}"


def family_problem(family: int | None, chip: Chip) -> str | None:
    """Return why a UF2 file for ``family`` is not for ``chip``; ``None`` when it is.

    It is where it does not say, and where nobody knows the family of the chip.
    """
    if family is None or not chip.knows("uf2_family") or family == chip.uf2_family:
        return None
    made_for = chip_by_uf2_family(family)
    name = f"chips of the UF2 family {family:#010x}" if made_for is None else made_for.name
    return f"it is for {name}, not for {chip.name}"


def _revision_problem(extended: ExtendedHeader, chip: Chip, revision: Revision) -> str | None:
    if extended.has_legacy_revision_only:
        minimum = extended.legacy_minimum_revision
        if Quirk.LEGACY_IMAGE_REVISION_IS_MINOR in chip.quirks:
            if revision.minor < minimum:
                return f"it is for revisions from minor {minimum} on, not for {revision}"
        elif revision.major < minimum:
            return f"it is for revisions from major {minimum} on, not for {revision}"
        return None
    if extended.minimum_revision <= revision <= extended.maximum_revision:
        return None
    last = "on" if extended.maximum_revision == NO_MAXIMUM else f"to {extended.maximum_revision}"
    return f"it is for revisions from {extended.minimum_revision} {last}, not for {revision}"
