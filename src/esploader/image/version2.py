"""Images of version 2 for the ESP8266: two headers, one image, and a CRC.

Source: esptool documentation, "Firmware Image Format" for the ESP8266.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from esploader.errors import ImageError
from esploader.image.firmware import ImageLayout
from esploader.image.header import MAGIC, parse_header
from esploader.image.segment import parse_segments

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip
    from esploader.image.segment import Segment

V2_MAGIC: Final = 0xEA
"""The first byte of an image of version 2."""

CRC_SIZE: Final = 4
"""In bytes: what an image of version 2 ends with."""


def parse_version_2(
    data: bytes | memoryview, chip: Chip
) -> tuple[ImageLayout, tuple[Segment, ...]]:
    """Return the layout of the image of version 2 that ``data`` begins with.

    Its header is the first one, and its segments are those of both. With it come those that its
    checksum is of.

    Raises :exc:`~esploader.errors.ImageError` when it is none, or not all of one.
    """
    header = parse_header(data, chip, magic=V2_MAGIC)
    start = header.size
    mapped: tuple[Segment, ...] = ()
    if data[start : start + 1] != bytes((MAGIC,)):
        mapped = parse_segments(data, start, 1)
        start = mapped[0].end
    inner = parse_header(data[start:], chip)
    in_ram = parse_segments(data, start + inner.size, inner.segment_count)
    both = mapped + in_ram
    if not both:
        raise ImageError("it has no segments")
    layout = ImageLayout(header=attrs.evolve(header, segment_count=len(both)), segments=both)
    missing = layout.digest_offset + CRC_SIZE - len(data)
    if missing > 0:
        raise ImageError(f"it ends {missing} bytes too early")
    return layout, in_ram
