"""Where the parts of an image stand in its file.

What is run or read in place is mapped from the flash page by page: its place in a page of the
flash has to be its place in a page of the address space. What goes into RAM can stand anywhere,
and fills gaps. Images come out as esptool 5.6.0 makes them, so that their digests agree; where
it leaves a page between two parts that could be in one, so does this.

Sources: ESP-IDF, ``components/bootloader_support/src/esp_image_format.c``; the order of parts
and the sizes of gaps were read off images that esptool 5.6.0 made.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import frozen
from esploader.errors import ElfError
from esploader.image.firmware import CHECKSUM_ROW_SIZE
from esploader.image.parts import WORD_SIZE, Part
from esploader.image.segment import SEGMENT_HEADER_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

APP_DESCRIPTOR: Final = ".flash.appdesc"
BOOTLOADER_DESCRIPTOR: Final = ".dram0.bootdesc"
"""Names of sections that bootloaders look for at the beginning of an image."""

_LEAST_IN_LAST_PAGE: Final = 0x24
"""Bytes that a mapped part has to have in its last page, where that matters."""


@frozen
class Placed:
    """A part, and where its data begin in the image."""

    offset: int = attrs.field(repr=hex)
    part: Part

    @property
    def end(self) -> int:
        """Where its data end in the image."""
        return self.offset + len(self.part.data)


def in_order(parts: Iterable[Part], first: str) -> list[Part]:
    """Return ``parts`` by their addresses, that of the name ``first`` in front of all."""
    return sorted(parts, key=lambda part: (part.name != first, part.address))


def lengthened(parts: Sequence[Part], page_size: int) -> list[Part]:
    """Return mapped ``parts`` with no last page of which next to nothing is used.

    One that ends where the page of another begins stays as it is.
    """
    begun = {part.address // page_size for part in parts}
    found = []
    for part in parts:
        missing = _LEAST_IN_LAST_PAGE - part.end % page_size
        if missing > 0 and part.end // page_size not in begun - {part.address // page_size}:
            found.append(attrs.evolve(part, data=part.data + bytes(missing)))
        else:
            found.append(part)
    return found


def side_by_side(parts: Iterable[Part], offset: int) -> list[Placed]:
    """Return where ``parts`` stand that follow each other from ``offset`` on."""
    placed: list[Placed] = []
    for part in parts:
        placed.append(Placed(offset + SEGMENT_HEADER_SIZE, part))
        offset = placed[-1].end
    return placed


def page_by_page(
    mapped: Sequence[Part], fillers: Iterable[Part], offset: int, page_size: int
) -> list[Placed]:
    """Return where ``mapped`` parts stand, and ``fillers`` between and behind them.

    Raises :exc:`~esploader.errors.ElfError` when two parts are mapped into one page.
    """
    check_pages(mapped, page_size)
    waiting = list(fillers)
    placed: list[Placed] = []
    for part in mapped:
        while not _is_in_place(part, offset, page_size):
            # Both the gap and the part have a header, and a new page is begun.
            gap = part.address % page_size - offset % page_size - 2 * SEGMENT_HEADER_SIZE
            gap += page_size if gap + page_size > 0 else 2 * page_size
            filler, waiting = _filler(waiting, gap)
            placed += side_by_side([filler], offset)
            offset = placed[-1].end
        placed += side_by_side([part], offset)
        offset = placed[-1].end
    return placed + side_by_side(waiting, offset)


def close_together(mapped: Sequence[Part], offset: int, page_size: int, shift: int) -> list[Placed]:
    """Return where ``mapped`` parts stand with nothing but padding between them.

    The file begins ``shift`` bytes into a page of the flash.

    Raises :exc:`~esploader.errors.ElfError` when two parts are mapped into one page.
    """
    check_pages(mapped, page_size)
    placed: list[Placed] = []
    for part in mapped:
        if not _is_in_place(part, offset + shift, page_size):
            gap = (part.address - offset - shift - 2 * SEGMENT_HEADER_SIZE) % page_size
            placed += side_by_side([padding(gap)], offset)
            offset = placed[-1].end
        placed += side_by_side([part], offset)
        offset = placed[-1].end
    return placed


def _is_in_place(part: Part, offset: int, page_size: int) -> bool:
    """Tell whether ``part`` can have its header at ``offset`` of the flash."""
    return (part.address - offset - SEGMENT_HEADER_SIZE) % page_size == 0


def _filler(waiting: list[Part], gap: int) -> tuple[Part, list[Part]]:
    """Return what goes into a gap, and what is still waiting then."""
    if not waiting or gap <= SEGMENT_HEADER_SIZE:
        return padding(gap), waiting
    first, *others = waiting
    if len(first.data) <= gap:
        return first, others
    rest = attrs.evolve(first, address=first.address + gap, data=first.data[gap:])
    return attrs.evolve(first, data=first.data[:gap]), [rest, *others]


def padding(size: int) -> Part:
    """Return a part that belongs nowhere."""
    return Part("", 0, bytes(size))


def check_pages(mapped: Sequence[Part], page_size: int) -> None:
    """Refuse parts that cannot be mapped: two in the same page, or one out of step with words.

    Raises :exc:`~esploader.errors.ElfError`.
    """
    ordered = in_order(mapped, "")
    for part in ordered:
        if part.address % WORD_SIZE:
            raise ElfError(f"what belongs at {part.address:#x} cannot be mapped: no multiple of 4")
    for part, later in itertools.pairwise(ordered):
        if (part.end - 1) // page_size >= later.address // page_size:
            raise ElfError(
                f"what belongs at {part.address:#x} and at {later.address:#x} shares a page of "
                f"{page_size // 1024} KiB, and can only be mapped from different ones; the linker "
                "script has to keep them apart or together"
            )


def signature_padding(end: int, page_size: int, room: int) -> Part:
    """Return what brings an image to the end of a page, with ``room`` behind its checksum.

    ``end`` is where its last segment ends.
    """
    start = end + SEGMENT_HEADER_SIZE
    return padding(-(start + room + CHECKSUM_ROW_SIZE) % page_size)
