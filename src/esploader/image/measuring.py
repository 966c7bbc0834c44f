"""How large an image is of which nothing has been read yet but what says so.

For images in a flash behind a slow line: a header, and then the header of each segment.

Source: esptool documentation, "Firmware Image Format".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from esploader.errors import ImageError
from esploader.image.firmware import DIGEST_SIZE, checksum_offset
from esploader.image.header import MAGIC, MAX_HEADER_SIZE, parse_header
from esploader.image.segment import SEGMENT_HEADER, SEGMENT_HEADER_SIZE, SIZE_LIMIT
from esploader.image.version2 import CRC_SIZE, V2_MAGIC

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.chips.model.chip import Chip

    Read: TypeAlias = Callable[[int, int], bytes]
    """Returns so many bytes from an offset of the image on."""


def measure_image(read: Read, chip: Chip) -> int:
    """Return how many bytes the image for ``chip`` has that ``read`` reads.

    Raises:
        ImageError: it is none.
    """
    beginning = read(0, MAX_HEADER_SIZE)
    start, tail = 0, 0
    if chip.image_chip_id is None and beginning[0] == V2_MAGIC:
        start, tail = SEGMENT_HEADER_SIZE, CRC_SIZE
        if beginning[start] != MAGIC:
            start = _end_of_segment(read, start)
        beginning = read(start, MAX_HEADER_SIZE)
    header = parse_header(beginning, chip)
    end = start + header.size
    for _ in range(header.segment_count):
        end = _end_of_segment(read, end)
    return checksum_offset(end) + 1 + (DIGEST_SIZE if header.has_digest else tail)


def _end_of_segment(read: Read, offset: int) -> int:
    _, size = SEGMENT_HEADER.unpack(read(offset, SEGMENT_HEADER_SIZE))
    if size >= SIZE_LIMIT:
        raise ImageError(f"a segment cannot have {size:#x} bytes")
    return offset + SEGMENT_HEADER_SIZE + int(size)
