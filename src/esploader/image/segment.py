"""Segments: the parts of a firmware image, and where each belongs in memory.

Sources: esptool documentation, "Firmware Image Format"; ESP-IDF,
``components/bootloader_support/include/esp_app_format.h`` and, for the greatest size,
``src/esp_image_format.c`` beside it.
"""

from __future__ import annotations

import struct
from typing import Final

import attrs

from esploader.chips.model.chip import MIB
from esploader.classes import frozen
from esploader.errors import ImageError

SIZE_LIMIT: Final = 16 * MIB
"""A segment is smaller than this."""

# address u32 | size u32
SEGMENT_HEADER: Final = struct.Struct("<II")
SEGMENT_HEADER_SIZE: Final = SEGMENT_HEADER.size
"""In bytes: address and size."""


@frozen
class Segment:
    """One part of an image."""

    address: int = attrs.field(repr=hex)
    """Where it belongs; 0 for padding, which belongs nowhere."""

    offset: int = attrs.field(repr=hex)
    """Where its data begin in the image."""

    size: int = attrs.field(repr=hex)

    @property
    def end(self) -> int:
        """Where its data end in the image."""
        return self.offset + self.size


def parse_segments(data: bytes | memoryview, offset: int, count: int) -> tuple[Segment, ...]:
    """Return the ``count`` segments of the image ``data`` that begin at ``offset``.

    Raises :exc:`~esploader.errors.ImageError` when one is too large or not all there.
    """
    segments: list[Segment] = []
    for number in range(1, count + 1):
        start = offset + SEGMENT_HEADER_SIZE
        if start > len(data):
            raise ImageError(f"it ends before segment {number} of {count}")
        address, size = SEGMENT_HEADER.unpack_from(data, offset)
        if size >= SIZE_LIMIT:
            raise ImageError(f"segment {number} of {count} cannot have {size:#x} bytes")
        if start + size > len(data):
            raise ImageError(f"it ends within segment {number} of {count}")
        segments.append(Segment(address, start, size))
        offset = start + size
    return tuple(segments)
