"""Make a firmware image of an ELF file.

Sources: esptool documentation, "Firmware Image Format" and "elf2image"; ESP-IDF,
``components/bootloader_support/include/esp_app_format.h``. What the documents leave open was
read off images that esptool 5.6.0 made.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.quirks import Quirk
from esploader.classes import frozen
from esploader.errors import ElfError, UnsupportedError
from esploader.image import esp8266
from esploader.image.descriptor import APP_DIGEST, parse_app_descriptor
from esploader.image.elf import ElfFile, ElfPart, parse_elf
from esploader.image.encoding import chained, with_digest, with_digest_at, with_footer
from esploader.image.firmware import checksum_offset
from esploader.image.header import (
    MAX_HEADER_SIZE,
    NO_WP_PIN,
    ExtendedHeader,
    ImageHeader,
    encode_header,
)
from esploader.image.layout import (
    APP_DESCRIPTOR,
    BOOTLOADER_DESCRIPTOR,
    Placed,
    close_together,
    in_order,
    lengthened,
    page_by_page,
    side_by_side,
    signature_padding,
)
from esploader.image.mapping import is_mapped
from esploader.image.options import ImageOptions
from esploader.image.parts import Part, check_count, joined, parts_of
from esploader.image.patch import parameter_code
from esploader.image.segment import SEGMENT_HEADER_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esploader.chips.model.chip import Chip

_SHOWN_TYPES: Final = 5
_KIB: Final = 1024
_USUAL_PAGE_SIZE: Final = 64 * _KIB
_BLANK: Final = b"\xff"


@frozen(kw_only=True)
class BuiltImage:
    """An image made of an ELF file."""

    data: bytes = attrs.field(repr=False)
    """All of it, but for what :attr:`mapped` has."""

    offset: int | None = attrs.field(default=None, repr=lambda offset: f"{offset or 0:#x}")
    """Where in the flash an image of version 2 for the ESP8266 belongs; else ``None``."""

    mapped: tuple[int, bytes] | None = attrs.field(default=None, repr=False)
    """An image of version 1 for the ESP8266 leaves out what stays in the flash: where in the
    flash that belongs, and what it is."""

    joined_count: int
    """How many sections were joined to the one before them."""

    remarks: tuple[str, ...]
    """What was not done as asked, and what was found out."""


def build_image(elf: bytes, chip: Chip, options: ImageOptions | None = None) -> BuiltImage:
    """Return the image for ``chip`` of the ELF file ``elf``.

    Raises:
        ElfError: it is none, is damaged, or cannot become an image.
        UnsupportedError: the chip does not know one of the options, or is not known enough.
    """
    options = options or ImageOptions()
    file = parse_elf(elf)
    if file.architecture is not chip.architecture:
        raise ElfError(
            f"the program is for {file.architecture.value}, and the {chip.name} is a chip with "
            f"{chip.architecture.value}"
        )
    remarks = []
    if file.unknown_types:
        types = ", ".join(f"{kind:#x}" for kind in file.unknown_types[:_SHOWN_TYPES])
        remarks.append(f"sections of unknown types are left out: {types}")
    parts, joined_count = _parts(file, chip, options)
    digest = hashlib.sha256(elf).digest()
    if chip.image_chip_id is None:
        made = esp8266.build(parts, file.entry, chip, options, digest)
        return BuiltImage(
            data=made.data,
            offset=made.offset,
            mapped=made.mapped,
            joined_count=joined_count,
            remarks=tuple(remarks),
        )
    data = _Build(file, chip, options, parts, digest, remarks).image()
    return BuiltImage(data=data, joined_count=joined_count, remarks=tuple(remarks))


def _parts(file: ElfFile, chip: Chip, options: ImageOptions) -> tuple[list[Part], int]:
    """Return what the image is made of, and how much was joined for that."""
    found = parts_of(file.segments if options.use_segments else file.sections)
    if options.ram_only_header:
        ordered = sorted(found, key=lambda part: part.address)
        parts = joined(ordered, chip, over_gaps=chip.image_chip_id is not None)
    else:
        parts = joined(found, chip)
    if not parts:
        kind = "segments" if options.use_segments else "sections"
        raise ElfError(f"it has no {kind} that would be loaded")
    return parts, len(found) - len(parts)


@frozen
class _Build:
    """An image of the form that all chips but the ESP8266 have."""

    _file: ElfFile
    _chip: Chip
    _options: ImageOptions
    _parts: Sequence[Part]
    _elf_digest: bytes
    _remarks: list[str]

    def image(self) -> bytes:
        """Return it."""
        room = self._options.signature_room(self._chip)
        mapped = [part for part in self._parts if is_mapped(part.address, self._chip)]
        in_ram = [part for part in self._parts if not is_mapped(part.address, self._chip)]
        mapped = in_order(mapped, APP_DESCRIPTOR)
        in_ram = in_order(in_ram, BOOTLOADER_DESCRIPTOR)
        page_size = self._page_size()
        if self._options.ram_only_header:
            return self._image_with_hidden_parts(in_ram, mapped, page_size)
        if Quirk.SHORT_LAST_PAGE_IS_NOT_MAPPED in self._chip.quirks:
            mapped = lengthened(mapped, page_size)
        placed = page_by_page(mapped, in_ram, MAX_HEADER_SIZE, page_size)
        if room is not None:
            end = placed[-1].end
            placed += side_by_side([signature_padding(end, page_size, room)], end)
        placed = self._with_elf_digest(placed)
        has_digest = self._options.has_digest
        pieces = self._visible(placed, has_digest=has_digest)
        return self._padded(with_digest(pieces) if has_digest else pieces)

    def _image_with_hidden_parts(
        self, in_ram: Sequence[Part], mapped: Sequence[Part], page_size: int
    ) -> bytes:
        """Return an image of which the ROM loader sees only what goes into RAM."""
        self._remarks.append(
            "only what goes into RAM is in the header of the image, and no digest follows it"
        )
        visible = side_by_side(in_ram, MAX_HEADER_SIZE)
        end = visible[-1].end if visible else MAX_HEADER_SIZE
        offset = checksum_offset(end) + 1
        shift = self._chip.bootloader_offset
        hidden = close_together([*reversed(mapped)], offset, page_size, shift)
        placed = self._with_elf_digest([*visible, *hidden])
        shown, unseen = placed[: len(visible)], placed[len(visible) :]
        return self._padded([*self._visible(shown, has_digest=False), *chained(unseen)])

    def _visible(self, placed: Sequence[Placed], *, has_digest: bool) -> list[bytes]:
        """Return header, segments and checksum."""
        check_count(len(placed))
        header = encode_header(self._header(len(placed), has_digest=has_digest))
        return with_footer(header, placed)

    def _header(self, segment_count: int, *, has_digest: bool) -> ImageHeader:
        chip, options = self._chip, self._options
        frequency = options.flash_frequency
        code = 0
        if frequency is not None:
            code = parameter_code("frequency", frequency, chip.flash_frequencies, chip)
        return ImageHeader(
            segment_count=segment_count,
            flash_mode=parameter_code("mode", options.flash_mode, chip.flash_modes, chip),
            flash_size=parameter_code("size", options.flash_size, chip.flash_sizes, chip),
            flash_frequency=code,
            entry=self._file.entry,
            extended=ExtendedHeader(
                wp_pin=NO_WP_PIN,
                drives=(0,) * 6,
                chip_id=chip.image_chip_id or 0,
                legacy_minimum_revision=options.legacy_minimum_revision,
                minimum_revision=options.minimum_revision,
                maximum_revision=options.maximum_revision,
                has_digest=has_digest,
            ),
        )

    def _page_size(self) -> int:
        """Return the size of the pages in which the flash is mapped."""
        chip, asked = self._chip, self._options.mmu_page_size
        choices = chip.mmu_page_sizes
        if len(choices) == 1:
            if asked not in {None, *choices}:
                self._remarks.append(
                    f"the size of MMU pages of the {chip.name} is always {choices[0] // _KIB} KiB"
                )
            return choices[0]
        if asked is not None:
            return self._checked(asked)
        section = self._app_descriptor()
        descriptor = None if section is None else parse_app_descriptor(section.data)
        if section is None:
            return _USUAL_PAGE_SIZE
        if descriptor is not None and descriptor.mmu_page_size is not None:
            return self._checked(descriptor.mmu_page_size)
        # The descriptor stands right behind the headers of image and segment.
        start = section.address - MAX_HEADER_SIZE - SEGMENT_HEADER_SIZE
        fitting = [size for size in choices if start % size == 0]
        size = max(fitting, default=_USUAL_PAGE_SIZE)
        doubt = "" if fitting else f", although {section.name} begins at {section.address:#x}"
        self._remarks.append(f"MMU pages are taken to have {size // _KIB} KiB{doubt}")
        return size

    def _app_descriptor(self) -> ElfPart | None:
        """Return the section with the descriptor of the application, if it has one."""
        for section in self._file.sections:
            if section.name == APP_DESCRIPTOR and is_mapped(section.address, self._chip):
                return section
        return None

    def _checked(self, size: int) -> int:
        chip = self._chip
        if size not in chip.mmu_page_sizes:
            choices = ", ".join(f"{each // _KIB} KiB" for each in sorted(chip.mmu_page_sizes))
            asked = f"{size // _KIB} KiB" if size >= _KIB else f"{size} bytes"
            raise UnsupportedError(f"MMU pages of {asked}", f"{chip.name} has {choices}")
        return size

    def _with_elf_digest(self, placed: Sequence[Placed]) -> list[Placed]:
        """Return the parts with the digest of the ELF file where it belongs, if anywhere."""
        asked = self._options.elf_digest_offset
        if asked is not None:
            return with_digest_at(placed, asked, self._elf_digest)
        for each in placed:
            if each.part.name == APP_DESCRIPTOR and is_mapped(each.part.address, self._chip):
                return with_digest_at(placed, each.offset + APP_DIGEST.start, self._elf_digest)
        return [*placed]

    def _padded(self, pieces: Sequence[bytes]) -> bytes:
        size, unit = sum(map(len, pieces)), self._options.pad_to
        return b"".join((*pieces, _BLANK * (0 if unit is None else -size % unit)))
