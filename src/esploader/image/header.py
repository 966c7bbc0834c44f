"""The header of a firmware image: what ROM loaders and bootloaders read first.

Sources: esptool documentation, "Firmware Image Format"; ESP-IDF,
``components/bootloader_support/include/esp_app_format.h`` (``esp_image_header_t``). All
words are little-endian.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.revision import Revision
from esploader.classes import frozen
from esploader.errors import ImageError

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

MAGIC: Final = 0xE9
"""The first byte of every image."""

FLASH_PARAMETERS: Final = slice(2, 4)
"""The bytes of an image that hold flash mode, size and frequency."""

MAX_SEGMENT_COUNT: Final = 16
"""ESP_IMAGE_MAX_SEGMENTS."""

NO_WP_PIN: Final = 0xEE
"""In place of a pin: eFuses do not name the flash pins."""

NO_MINIMUM: Final = Revision(0, 0)
"""The minimum revision of an image that runs on all earlier ones."""

NO_MAXIMUM: Final = Revision(655, 35)
"""The maximum revision of an image that runs on all later ones: all bits set."""

# magic u8 | segment count u8 | flash mode u8 | flash size u4, frequency u4 | entry u32
_COMMON: Final = struct.Struct("<4BI")

# WP pin u8 | drives u4 x 6, the lower half of a byte first | chip id u16
# | minimum major or minor revision u8 | minimum revision u16 | maximum revision u16
# | reserved 4 bytes | digest appended u8
_EXTENDED: Final = struct.Struct("<B3sHBHH4xB")

_REVISION_RADIX: Final = 100  # a revision in 16 bits is major x 100 + minor


@frozen(kw_only=True)
class ExtendedHeader:
    """The second part of a header, which the images of all chips but the ESP8266 have."""

    wp_pin: int
    """The GPIO of the flash's WP where eFuses name the flash pins; 0xEE for none."""

    drives: tuple[int, ...]
    """How strongly the flash pins CLK, Q, D, CS, HD and WP are driven, 4 bits each."""

    chip_id: int
    """The chip that the image is for."""

    legacy_minimum_revision: int
    """One part of the earliest revision that will do, from the time before
    :attr:`minimum_revision`; which part depends on the chip."""

    minimum_revision: Revision
    """The earliest revision that will do."""

    maximum_revision: Revision
    """The latest revision that will do; :data:`NO_MAXIMUM` where every later one does."""

    has_digest: bool
    """A SHA-256 digest of the image follows its checksum."""

    @property
    def has_legacy_revision_only(self) -> bool:
        """Whether the image was made before :attr:`minimum_revision` existed.

        Such an image left the newer fields 0, or had the later one filled in.
        """
        if self.maximum_revision == NO_MINIMUM:
            return True
        return (
            self.maximum_revision == NO_MAXIMUM
            and self.minimum_revision == NO_MINIMUM
            and self.legacy_minimum_revision != 0
        )


@frozen(kw_only=True)
class ImageHeader:
    """What the header of an image says. Codes stand for what the tables of a chip name."""

    segment_count: int
    flash_mode: int
    flash_size: int
    flash_frequency: int

    entry: int = attrs.field(repr=hex)
    """The address of the first instruction."""

    extended: ExtendedHeader | None
    """``None`` for the ESP8266."""

    @property
    def size(self) -> int:
        """Bytes of the header: 8 or 24."""
        return _COMMON.size + (0 if self.extended is None else _EXTENDED.size)

    @property
    def chip_id(self) -> int | None:
        """The chip that the image is for; ``None`` where it does not say."""
        return None if self.extended is None else self.extended.chip_id

    @property
    def has_digest(self) -> bool:
        """A SHA-256 digest of the image follows its checksum."""
        return self.extended is not None and self.extended.has_digest


MAX_HEADER_SIZE: Final = _COMMON.size + _EXTENDED.size
"""Of any chip, in bytes."""


def encode_header(header: ImageHeader) -> bytes:
    """Return the bytes of a header; what does not fit into its fields is a :exc:`ValueError`."""
    try:
        common = _COMMON.pack(
            MAGIC,
            header.segment_count,
            header.flash_mode,
            header.flash_size << 4 | header.flash_frequency,
            header.entry,
        )
        return common + (b"" if header.extended is None else _encode_extended(header.extended))
    except struct.error as exc:
        raise ValueError(f"{header!r} does not fit: {exc}") from exc


def _encode_extended(extended: ExtendedHeader) -> bytes:
    lower, upper = extended.drives[::2], extended.drives[1::2]
    return _EXTENDED.pack(
        extended.wp_pin,
        bytes(low | high << 4 for low, high in zip(lower, upper, strict=True)),
        extended.chip_id,
        extended.legacy_minimum_revision,
        _revision_number(extended.minimum_revision),
        _revision_number(extended.maximum_revision),
        extended.has_digest,
    )


def _revision_number(revision: Revision) -> int:
    return revision.major * _REVISION_RADIX + revision.minor


def parse_header(data: bytes | memoryview, chip: Chip, *, magic: int = MAGIC) -> ImageHeader:
    """Return the header at the beginning of ``data``, in the form of the images of ``chip``.

    That it is the header of an image for that chip is not checked. ``magic`` is what it has to
    begin with.

    Raises :exc:`~esploader.errors.ImageError` when it is no header.
    """
    if len(data) < _COMMON.size:
        raise ImageError(f"its {len(data)} bytes are fewer than a header has")
    first, segment_count, flash_mode, size_and_frequency, entry = _COMMON.unpack_from(data)
    if first != magic:
        raise ImageError(f"it begins with {first:#04x} instead of {magic:#04x}")
    if segment_count > MAX_SEGMENT_COUNT:
        raise ImageError(f"it announces {segment_count} segments; {MAX_SEGMENT_COUNT} are possible")
    return ImageHeader(
        segment_count=segment_count,
        flash_mode=flash_mode,
        flash_size=size_and_frequency >> 4,
        flash_frequency=size_and_frequency & 0xF,
        entry=entry,
        # The chip id is in the part that the images of the ESP8266 lack.
        extended=None if chip.image_chip_id is None else _parse_extended(data),
    )


def _parse_extended(data: bytes | memoryview) -> ExtendedHeader:
    if len(data) < _COMMON.size + _EXTENDED.size:
        raise ImageError(f"its {len(data)} bytes are fewer than a header has")
    wp_pin, drives, chip_id, legacy_minimum, minimum, maximum, digest_flag = _EXTENDED.unpack_from(
        data, _COMMON.size
    )
    if digest_flag > 1:
        raise ImageError(f"the flag for an appended digest is {digest_flag:#04x}, neither 0 nor 1")
    return ExtendedHeader(
        wp_pin=wp_pin,
        drives=tuple(half for byte in drives for half in (byte & 0xF, byte >> 4)),
        chip_id=chip_id,
        legacy_minimum_revision=legacy_minimum,
        minimum_revision=Revision(*divmod(minimum, _REVISION_RADIX)),
        maximum_revision=Revision(*divmod(maximum, _REVISION_RADIX)),
        has_digest=digest_flag == 1,
    )
