"""Images for the ESP8266, of which there are three forms.

Version 1 is two files: what its ROM loader copies into RAM, and what is mapped from the flash.
Version 2 is one file with both, for the bootloaders of the older SDKs, and ends with a CRC.
Version 3 is that of ESP8266_RTOS_SDK.

Sources: esptool documentation, "Firmware Image Format" and "elf2image" for the ESP8266; the
details were read off images that esptool 5.6.0 made.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.layouts import FLASH_SIZES
from esploader.classes import frozen
from esploader.errors import ElfError
from esploader.image.encoding import chained, with_digest, with_digest_at, with_footer
from esploader.image.header import ImageHeader, encode_header
from esploader.image.layout import Placed, check_pages, in_order, side_by_side
from esploader.image.mapping import is_mapped
from esploader.image.parts import Part, check_count
from esploader.image.patch import parameter_code
from esploader.image.version2 import V2_MAGIC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esploader.chips.model.chip import Chip
    from esploader.image.options import ImageOptions

V2_SEGMENT_COUNT: Final = 4
"""What stands in place of a count in the first header of an image of version 2."""

_HEADER_SIZE: Final = 8
_MAPPED_FROM: Final = 0x4020_0000
"""Where the beginning of the flash is seen."""

_V2_OFFSET_MASK: Final = ~0xFFF
"""The headers of an image of version 2 are in the sector in front of what is mapped."""

_PAGE_SIZE: Final = 64 * 1024
_MAPPED_UNIT: Final = 16
_RODATA: Final = ".flash.rodata"
_RODATA_HEADER_SIZE: Final = 8
_WORD: Final = 0xFFFF_FFFF
_SIGN: Final = 0x8000_0000


@frozen
class Made:
    """An image for an ESP8266."""

    data: bytes = attrs.field(repr=False)
    """All of it, but for what :attr:`mapped` has."""

    offset: int | None = None
    """Where in the flash an image of version 2 belongs."""

    mapped: tuple[int, bytes] | None = attrs.field(default=None, repr=False)
    """The second file of version 1: where it belongs in the flash, and what it is."""


def build(
    parts: Sequence[Part], entry: int, chip: Chip, options: ImageOptions, elf_digest: bytes
) -> Made:
    """Return an image with ``parts``, in the form that ``options`` ask for.

    Raises:
        ElfError: there cannot be one.
        UnsupportedError: the chip does not know one of the options.
    """
    check_count(len(parts))
    build_version = {1: _version_1, 2: _version_2, 3: _version_3}[options.esp8266_version]
    return build_version(_Program(parts, entry, chip, options, elf_digest))


@frozen
class _Program:
    parts: Sequence[Part]
    entry: int
    chip: Chip
    options: ImageOptions
    elf_digest: bytes

    def in_ram(self) -> list[Part]:
        return [part for part in self.parts if not is_mapped(part.address, self.chip)]

    def mapped(self) -> list[Part]:
        return [part for part in self.parts if is_mapped(part.address, self.chip)]

    def only_mapped(self) -> Part | None:
        """Return what is mapped; the older forms have room for one part."""
        found = self.mapped()
        if len(found) > 1:
            raise ElfError(
                f"{len(found)} parts of the program are mapped from the flash, and an image of "
                f"version {self.options.esp8266_version} has one"
            )
        return found[0] if found else None

    def header(self, segment_count: int, sizes: tuple[tuple[str, int], ...]) -> bytes:
        chip, options = self.chip, self.options
        frequency, code = options.flash_frequency, 0
        if frequency is not None:
            code = parameter_code("frequency", frequency, chip.flash_frequencies, chip)
        header = ImageHeader(
            segment_count=segment_count,
            flash_mode=parameter_code("mode", options.flash_mode, chip.flash_modes, chip),
            flash_size=parameter_code("size", options.flash_size, sizes, chip),
            flash_frequency=code,
            entry=self.entry,
            extended=None,
        )
        return encode_header(header)

    def with_elf_digest(self, placed: Sequence[Placed]) -> list[Placed]:
        offset = self.options.elf_digest_offset
        return [*placed] if offset is None else with_digest_at(placed, offset, self.elf_digest)


def _version_1(program: _Program) -> Made:
    mapped = program.only_mapped()
    placed = program.with_elf_digest(side_by_side(program.in_ram(), _HEADER_SIZE))
    header = program.header(len(placed), program.chip.flash_sizes)
    image = b"".join(with_footer(header, placed))
    if mapped is None:
        return Made(image)
    return Made(image, mapped=(mapped.address - _MAPPED_FROM, mapped.data))


def _version_2(program: _Program) -> Made:
    mapped = program.only_mapped()
    placed, start, offset = [], _HEADER_SIZE, 0
    if mapped is not None:
        data = mapped.data + bytes(-len(mapped.data) % _MAPPED_UNIT)
        placed = side_by_side([attrs.evolve(mapped, address=0, data=data)], start)
        start = placed[-1].end
        offset = mapped.address - _MAPPED_FROM & _V2_OFFSET_MASK
    in_ram = side_by_side(program.in_ram(), start + _HEADER_SIZE)
    both = program.with_elf_digest([*placed, *in_ram])
    sizes = program.chip.flash_sizes
    head = bytearray(program.header(V2_SEGMENT_COUNT, sizes))
    head[0] = V2_MAGIC
    mapped_now, in_ram_now = both[: len(placed)], both[len(placed) :]
    inner = program.header(len(in_ram_now), sizes)
    image = b"".join((head, *chained(mapped_now), *with_footer(inner, in_ram_now, start=start)))
    return Made(image + struct.pack("<I", crc_of(image)), offset=offset)


def crc_of(image: bytes) -> int:
    """Return what an image of version 2 ends with: the CRC of the SDK's bootloaders.

    It is that of zlib, of which negative numbers are inverted and all others made greater by one.
    """
    found = zlib.crc32(image)
    return found ^ _WORD if found & _SIGN else found + 1


def _version_3(program: _Program) -> Made:
    mapped = in_order(program.mapped(), "")
    check_pages(mapped, _PAGE_SIZE)
    mapped = [_without_header(part) for part in mapped]
    parts = [*mapped, *in_order(program.in_ram(), "")]
    placed = program.with_elf_digest(side_by_side(parts, _HEADER_SIZE))
    # Its sizes have the codes of the chips that came later.
    header = program.header(len(placed), FLASH_SIZES)
    return Made(b"".join(with_digest(with_footer(header, placed))))


def _without_header(part: Part) -> Part:
    """Return a part as version 3 has it: of one section the first eight bytes are left out."""
    if part.name != _RODATA:
        return part
    return attrs.evolve(part, data=part.data[_RODATA_HEADER_SIZE:])
