"""The smallest image that a chip boots, for tests that want an application to run.

Source: esptool documentation, "Firmware Image Format".
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Final

from esploader.chips.registry import chip_by_name
from esploader.simulator.rom.command import xor_checksum

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

_MAGIC: Final = 0xE9
_SEGMENT_COUNT: Final = 1
_DIO: Final = 2
_SIZE_AND_FREQUENCY: Final = 0x20

_NO_WP_PIN: Final = 0xEE
_HAS_DIGEST: Final = 1
_ANY_REVISION: Final = 0xFFFF

_ROW_SIZE: Final = 16

# magic u8 | segment count u8 | flash mode u8 | flash size u4, frequency u4 | entry u32
_HEADER: Final = struct.Struct("<4BI")

# WP pin u8 | drives 3 bytes | chip id u16 | minimum revisions u8, u16 | maximum revision u16
# | reserved 4 bytes | digest appended u8
_EXTENDED: Final = struct.Struct("<B3xHBHH4xB")

_SEGMENT: Final = struct.Struct("<II")


def minimal_image(chip: str | Chip, content: bytes = b"") -> bytes:
    """Return an image with ``content`` as its one segment; it belongs to the bootloader offset.

    Two images with different contents are different applications.

    Raises:
        UnsupportedError: there is no such chip.
    """
    if isinstance(chip, str):
        chip = chip_by_name(chip)
    address = next(region.start for region in chip.memory if region.name == "iram")
    content += bytes(-len(content) % 4)
    image = _HEADER.pack(_MAGIC, _SEGMENT_COUNT, _DIO, _SIZE_AND_FREQUENCY, address)
    if chip.image_chip_id is not None:
        image += _EXTENDED.pack(_NO_WP_PIN, chip.image_chip_id, 0, 0, _ANY_REVISION, _HAS_DIGEST)
    image += _SEGMENT.pack(address, len(content)) + content
    image += bytes(_ROW_SIZE - 1 - len(image) % _ROW_SIZE) + bytes((xor_checksum(content),))
    if chip.image_chip_id is not None:
        image += hashlib.sha256(image).digest()
    return image
