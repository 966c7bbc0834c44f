"""What is in an image, and which images are in a file, whatever chips they are for.

Sources: esptool documentation, "Firmware Image Format"; ESP-IDF,
``components/bootloader_support/include/esp_app_format.h``.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from esploader.chips.registry import chip_by_image_id, chip_by_name
from esploader.classes import frozen, override
from esploader.errors import ImageError
from esploader.image.descriptor import (
    AppDescriptor,
    BootloaderDescriptor,
    parse_app_descriptor,
    parse_bootloader_descriptor,
)
from esploader.image.firmware import ImageLayout, checksum_of, digest_of, parse_image
from esploader.image.header import MAGIC, MAX_HEADER_SIZE
from esploader.image.mapping import is_mapped, regions_of
from esploader.image.version2 import CRC_SIZE, V2_MAGIC, parse_version_2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.chips.model.chip import Chip
    from esploader.image.header import ImageHeader
    from esploader.image.segment import Segment

SECTOR_SIZE: Final = 4096
"""In bytes: images in a merged file begin at multiples of it."""

_ESP8266: Final = "esp8266"
_CHIP_ID: Final = slice(12, 14)
_RESERVED: Final = slice(19, 23)
_DIGEST_FLAG: Final = 23

_MAX_SUMMED: Final = 8
"""How often as many bytes as there are may be summed up to find images among them."""


@frozen(kw_only=True, repr=False)
class ImageReport:
    """What is in an image."""

    offset: int
    """Where in the data it begins."""

    chip: Chip
    """What it is for, or was said to be for."""

    version: int
    """2 for that form of the ESP8266's, else 1."""

    size: int
    """Bytes of all of it."""

    header: ImageHeader
    """What its header says; of version 2 the first one."""

    segments: tuple[Segment, ...]
    """With offsets in the image, where their data begin."""

    checksum: int
    """What stands there."""

    computed_checksum: int
    """What it has to be."""

    digest: bytes | None
    """The SHA-256 digest that stands there; ``None`` where the image has none."""

    computed_digest: bytes | None
    """What that has to be, likewise."""

    application: AppDescriptor | None
    """What an application says of itself, if it does."""

    bootloader: BootloaderDescriptor | None
    """What a bootloader says of itself, if it does."""

    @override
    def __repr__(self) -> str:
        state = "intact" if self.is_intact else "damaged"
        what = f"{self.size} bytes, {len(self.segments)} segments, {state}"
        return f"<ImageReport {self.chip.name} at {self.offset:#x}: {what}>"

    @property
    def is_intact(self) -> bool:
        """Whether checksum and digest are right."""
        return (self.checksum, self.digest) == (self.computed_checksum, self.computed_digest)


def inspect_image(
    data: bytes | memoryview, chip: Chip | None = None, *, offset: int = 0
) -> ImageReport:
    """Return what is in the image that begins at ``offset`` of ``data``.

    Without ``chip`` it says itself what it is for. That it is damaged is in the report, as long
    as its parts can be found.

    Raises:
        ImageError: there is no image, or not all of one.
    """
    view = memoryview(data)[offset:]
    if chip is not None:
        return _report(view, chip, offset)
    reports: list[ImageReport] = []
    errors: list[ImageError] = []
    for candidate in _candidates(view):
        try:
            report = _report(view, candidate, offset)
        except ImageError as exc:
            errors.append(exc)
        else:
            if report.is_intact:
                return report
            reports.append(report)
    unknown = _unknown_chip(view)
    if unknown is not None:
        raise unknown
    if not reports:
        raise errors[0]
    return reports[0]


def find_images(data: bytes | memoryview, chip: Chip | None = None) -> tuple[ImageReport, ...]:
    """Return what is in the images of ``data``: in one, or in all of a merged file.

    Behind the first one only those are found that are intact and begin at a sector of 4096 bytes.

    Raises:
        ImageError: there is no image in it.
    """
    try:
        first = inspect_image(data, chip)
    except ImageError:
        found = tuple(_later_images(data, chip, SECTOR_SIZE))
        if not found:
            raise
        return found
    return (first, *_later_images(data, chip, first.size))


def _later_images(data: bytes | memoryview, chip: Chip | None, start: int) -> Iterator[ImageReport]:
    offset = start + -start % SECTOR_SIZE
    # Data that look like damaged images all over would be summed up again and again.
    room = _MAX_SUMMED * len(data)
    while offset < len(data) and room > 0:
        size = SECTOR_SIZE
        if data[offset] in {MAGIC, V2_MAGIC}:
            with contextlib.suppress(ImageError):
                report = inspect_image(data, chip, offset=offset)
                # Without segments so few bytes could say that of anything.
                if report.is_intact and report.segments:
                    yield report
                    size = report.size
                else:
                    room -= report.size
        offset += size + -size % SECTOR_SIZE


def _candidates(view: memoryview) -> Iterator[Chip]:
    """Yield the chips that an image may be for: that of its id first, then the ESP8266."""
    if len(view) >= MAX_HEADER_SIZE and view[0] == MAGIC:
        chip = chip_by_image_id(int.from_bytes(view[_CHIP_ID], "little"))
        if chip is not None:
            yield chip
    yield chip_by_name(_ESP8266)


def _unknown_chip(view: memoryview) -> ImageError | None:
    """Return that an image is for an unknown chip, as far as its header makes sense otherwise."""
    image_id = int.from_bytes(view[_CHIP_ID], "little")
    if len(view) < MAX_HEADER_SIZE or view[0] != MAGIC or chip_by_image_id(image_id) is not None:
        return None
    if any(view[_RESERVED]) or view[_DIGEST_FLAG] > 1:
        return None
    return ImageError(f"it is for the chip with id {image_id}, of which nothing is known")


def _report(view: memoryview, chip: Chip, offset: int) -> ImageReport:
    is_version_2 = chip.image_chip_id is None and view[:1] == bytes((V2_MAGIC,))
    if is_version_2:
        layout, summed = parse_version_2(view, chip)
        size = layout.digest_offset + CRC_SIZE
    else:
        layout = parse_image(view, chip)
        summed, size = layout.segments, layout.size
    has_digest = layout.header.has_digest
    return ImageReport(
        offset=offset,
        chip=chip,
        version=2 if is_version_2 else 1,
        size=size,
        header=layout.header,
        segments=layout.segments,
        checksum=view[layout.checksum_offset],
        computed_checksum=checksum_of(view, summed),
        digest=bytes(view[layout.digest_offset : layout.size]) if has_digest else None,
        computed_digest=digest_of(view, layout) if has_digest else None,
        application=_application(view, chip, layout),
        bootloader=_bootloader(view, chip, layout),
    )


def _application(view: memoryview, chip: Chip, layout: ImageLayout) -> AppDescriptor | None:
    if chip.image_chip_id is None or not chip.knows("memory"):
        return None
    for segment in layout.segments:
        if is_mapped(segment.address, chip):
            return parse_app_descriptor(view[segment.offset : segment.end])
    return None


def _bootloader(view: memoryview, chip: Chip, layout: ImageLayout) -> BootloaderDescriptor | None:
    if chip.image_chip_id is None or not chip.knows("memory") or not layout.segments:
        return None
    first = layout.segments[0]
    if not regions_of(first.address, chip) & {"dram", "diram"}:
        return None
    return parse_bootloader_descriptor(view[first.offset : first.end])
