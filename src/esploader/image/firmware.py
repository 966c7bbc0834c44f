"""A whole firmware image: header, segments, checksum, digest.

The checksum is the last byte of a row of 16. A SHA-256 digest of all bytes before it may
follow, as the header says; what comes after that, such as a signature or the next part of a
merged file, is not of the image.

Sources: esptool documentation, "Firmware Image Format"; ESP-IDF,
``components/bootloader_support/src/esp_image_format.c``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from esploader.chips.model.chip import KIB
from esploader.classes import frozen
from esploader.errors import ImageError
from esploader.image.header import ImageHeader, parse_header
from esploader.image.segment import Segment, parse_segments
from esploader.protocol.packet import CHECKSUM_SEED, checksum

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esploader.chips.model.chip import Chip

DIGEST_SIZE: Final = hashlib.sha256().digest_size

CHECKSUM_ROW_SIZE: Final = 16
"""The checksum is the last byte of a row of so many."""

# An image may have megabytes, and the checksum of a part needs a few times its memory.
_PART_SIZE: Final = 64 * KIB


@frozen(kw_only=True)
class ImageLayout:
    """Where everything is in the bytes of an image."""

    header: ImageHeader
    segments: tuple[Segment, ...]

    @property
    def checksum_offset(self) -> int:
        """Where the checksum is: the last byte of its row."""
        return checksum_offset(self.segments[-1].end if self.segments else self.header.size)

    @property
    def digest_offset(self) -> int:
        """Where the digest is, or would be."""
        return self.checksum_offset + 1

    @property
    def size(self) -> int:
        """Bytes of the image, its digest included."""
        return self.digest_offset + (DIGEST_SIZE if self.header.has_digest else 0)


def checksum_offset(end: int) -> int:
    """Return where the checksum stands behind data that end at ``end``: last in its row."""
    return end | (CHECKSUM_ROW_SIZE - 1)


def parse_image(data: bytes | memoryview, chip: Chip) -> ImageLayout:
    """Return the layout of the image that ``data`` begins with.

    Checksum and digest are located, not verified; that the image is for ``chip`` and no
    other chip with this form of header is not checked.

    Raises :exc:`~esploader.errors.ImageError` when it is no image, or not all of one.
    """
    header = parse_header(data, chip)
    segments = parse_segments(data, header.size, header.segment_count)
    layout = ImageLayout(header=header, segments=segments)
    if layout.size > len(data):
        raise ImageError(f"it ends {layout.size - len(data)} bytes too early")
    return layout


def verify_checksum(data: bytes | memoryview, layout: ImageLayout) -> None:
    """Compare the checksum of the image ``data`` with its segments.

    Raises :exc:`~esploader.errors.ImageError` when they differ.
    """
    stored, computed = data[layout.checksum_offset], checksum_of(data, layout.segments)
    if stored != computed:
        raise ImageError(f"its checksum is {stored:#04x} and should be {computed:#04x}")


def checksum_of(data: bytes | memoryview, segments: Iterable[Segment]) -> int:
    """Return what the checksum of these segments of the image ``data`` has to be."""
    computed = CHECKSUM_SEED
    for segment in segments:
        for start in range(segment.offset, segment.end, _PART_SIZE):
            part = data[start : min(start + _PART_SIZE, segment.end)]
            computed ^= checksum(part) ^ CHECKSUM_SEED
    return computed


def verify_digest(data: bytes | memoryview, layout: ImageLayout) -> None:
    """Compare the digest of the image ``data``, where it has one, with what it is of.

    Raises :exc:`~esploader.errors.ImageError` when they differ.
    """
    if not layout.header.has_digest:
        return
    stored, computed = data[layout.digest_offset : layout.size], digest_of(data, layout)
    if stored != computed:
        raise ImageError(f"its SHA-256 digest is {stored.hex()} and should be {computed.hex()}")


def digest_of(data: bytes | memoryview, layout: ImageLayout) -> bytes:
    """Return what the digest of the image ``data`` has to be."""
    return digest_over([memoryview(data)[: layout.digest_offset]])


def digest_over(pieces: Iterable[bytes | memoryview]) -> bytes:
    """Return the digest of all of ``pieces``, one behind the other."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()
