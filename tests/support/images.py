"""Make small firmware images, byte by byte, for the tests of those who read them.

Written from esptool's documentation, "Firmware Image Format"; nothing is shared with what it
tests but the classes that say what a header holds.
"""

from __future__ import annotations

import functools
import hashlib
import operator
from typing import TYPE_CHECKING, TypeAlias

import attrs
from hypothesis import strategies as st

from described_chips import DESCRIBED
from esploader.chips.model.revision import Revision
from esploader.image.header import ExtendedHeader, ImageHeader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esploader.chips.model.chip import Chip

Parts: TypeAlias = "tuple[tuple[int, bytes], ...]"
"""The segments of an image: addresses, and what belongs there."""

NO_WP_PIN = 0xEE

_BYTES = st.integers(0, 0xFF)
_HALF_BYTES = st.integers(0, 0xF)
_WORDS = st.integers(0, 0xFFFF_FFFF)
_REVISIONS = st.integers(0, 0xFFFF).map(lambda number: Revision(*divmod(number, 100)))

_EXTENDED = st.builds(
    ExtendedHeader,
    wp_pin=_BYTES,
    drives=st.tuples(*(_HALF_BYTES,) * 6),
    chip_id=st.integers(0, 0xFFFF),
    legacy_minimum_revision=_BYTES,
    minimum_revision=_REVISIONS,
    maximum_revision=_REVISIONS,
    has_digest=st.booleans(),
)


@attrs.frozen
class Plan:
    """An image to be built."""

    chip: Chip
    header: ImageHeader
    parts: Parts

    def build(self) -> bytes:
        """Return the image."""
        return build_image(self.header, self.parts)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Return anything that the header of an image can say, for any chip."""
    chip = draw(st.sampled_from(DESCRIBED))
    parts = draw(st.lists(st.tuples(_WORDS, st.binary(max_size=40)), max_size=16))
    header = ImageHeader(
        segment_count=len(parts),
        flash_mode=draw(_BYTES),
        flash_size=draw(_HALF_BYTES),
        flash_frequency=draw(_HALF_BYTES),
        entry=draw(_WORDS),
        extended=None if chip.image_chip_id is None else draw(_EXTENDED),
    )
    return Plan(chip, header, tuple(parts))


def small_parts(chip: Chip) -> Parts:
    """Return two segments that belong into the RAM of ``chip``."""
    regions = {region.name: region for region in chip.memory}
    code = regions["iram"].end - 0x200
    return ((regions["dram"].start + 0x100, b"data" * 5), (code, bytes(range(1, 0x81))))


def header_for(
    chip: Chip,
    parts: Parts,
    *,
    mode: int = 0,
    size: int = 0,
    frequency: int = 0,
    digest: bool = True,
) -> ImageHeader:
    """Return the header of an image for every revision of ``chip``."""
    extended = ExtendedHeader(
        wp_pin=NO_WP_PIN,
        drives=(0,) * 6,
        chip_id=chip.image_chip_id or 0,
        legacy_minimum_revision=0,
        minimum_revision=Revision(0, 0),
        maximum_revision=Revision(655, 35),
        has_digest=digest,
    )
    return ImageHeader(
        segment_count=len(parts),
        flash_mode=mode,
        flash_size=size,
        flash_frequency=frequency,
        entry=parts[-1][0] if parts else 0,
        extended=None if chip.image_chip_id is None else extended,
    )


def build_image(header: ImageHeader, parts: Parts) -> bytes:
    """Return the image with that header and those segments."""
    image = bytearray(_header(header))
    for address, data in parts:
        image += address.to_bytes(4, "little") + len(data).to_bytes(4, "little") + data
    while len(image) % 16 != 15:
        image.append(0)
    image.append(_xor(byte for _, data in parts for byte in data) ^ 0xEF)
    if header.extended is not None and header.extended.has_digest:
        image += hashlib.sha256(image).digest()
    return bytes(image)


def small_image(chip: Chip, *, digest: bool = True) -> bytes:
    """Return an image for every revision of ``chip``; that of an ESP8266 has no digest."""
    parts = small_parts(chip)
    return build_image(header_for(chip, parts, digest=digest), parts)


def _header(header: ImageHeader) -> bytes:
    parameters = (header.flash_mode, header.flash_size * 16 + header.flash_frequency)
    common = bytes((0xE9, header.segment_count, *parameters)) + header.entry.to_bytes(4, "little")
    extended = header.extended
    if extended is None:
        return common
    clk, q, d, cs, hd, wp = extended.drives
    return b"".join(
        (
            common,
            bytes((extended.wp_pin, q * 16 + clk, cs * 16 + d, wp * 16 + hd)),
            extended.chip_id.to_bytes(2, "little"),
            bytes((extended.legacy_minimum_revision,)),
            _revision(extended.minimum_revision),
            _revision(extended.maximum_revision),
            bytes(4),
            bytes((extended.has_digest,)),
        )
    )


def _revision(revision: Revision) -> bytes:
    return (revision.major * 100 + revision.minor).to_bytes(2, "little")


def _xor(data: Iterable[int]) -> int:
    return functools.reduce(operator.xor, data, 0)
