"""The parts that an image is made of, before they are laid out in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.chip import MIB
from esploader.classes import define, frozen
from esploader.errors import ElfError
from esploader.image.header import MAX_SEGMENT_COUNT
from esploader.image.mapping import regions_of
from esploader.image.segment import SIZE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esploader.chips.model.chip import Chip
    from esploader.image.elf import ElfPart

WORD_SIZE: Final = 4
"""Bytes of which the size of a segment is a multiple."""

_MAX_FILLED: Final = 4 * MIB
"""Bytes that may be filled in between parts, in all."""


@frozen
class Part:
    """What becomes a segment of an image."""

    name: str
    """That of the section it begins with; empty where nobody has to know."""

    address: int = attrs.field(repr=hex)
    data: bytes = attrs.field(repr=False)

    alignment: int = 1
    """Of its address: between it and the part before it may be as much as that takes."""

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.address + len(self.data)


def check_count(count: int) -> None:
    """Refuse more segments than an image can have.

    Raises :exc:`~esploader.errors.ElfError`.
    """
    if count > MAX_SEGMENT_COUNT:
        raise ElfError(
            f"it makes more than {MAX_SEGMENT_COUNT} segments, which an image cannot have; the "
            "linker script may leave gaps between sections"
        )


def parts_of(elf_parts: Iterable[ElfPart]) -> list[Part]:
    """Return what sections or segments of an ELF file become, in whole words."""
    return [
        Part(each.name, each.address, _in_words(each.data), max(each.alignment, 1))
        for each in elf_parts
    ]


def joined(parts: Iterable[Part], chip: Chip, *, over_gaps: bool = False) -> list[Part]:
    """Return ``parts`` with those made one that follow each other without a gap.

    Neighbours in the list are joined when the later one begins where the other ends, in the same
    regions; they keep the name of the first. ``over_gaps`` has a gap that comes from the
    alignment of the later one filled with zeros.

    Raises :exc:`~esploader.errors.ElfError` when more are left than an image can have, one is too
    large, or much has to be filled.
    """
    runs: list[_Run] = []
    room = _MAX_FILLED
    for part in parts:
        if runs and runs[-1].regions == regions_of(part.address, chip):
            gap = part.address - runs[-1].end
            if gap == 0 or (over_gaps and gap == -runs[-1].end % part.alignment):
                room -= gap
                if room < 0:
                    raise ElfError(f"its sections leave gaps of more than {_MAX_FILLED} bytes")
                runs[-1].extend(gap, part)
                continue
        runs.append(_Run(part, regions_of(part.address, chip)))
        check_count(len(runs))
    return [_checked(run.joined()) for run in runs]


def _checked(part: Part) -> Part:
    size = len(part.data)
    if size >= SIZE_LIMIT:
        name = part.name or "a segment"
        raise ElfError(f"{name} has {size:#x} bytes; a segment has less than {SIZE_LIMIT:#x}")
    return part


@define
class _Run:
    """Parts that follow each other."""

    first: Part
    regions: frozenset[str]
    end: int = attrs.field(init=False)
    pieces: list[bytes] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.end = self.first.end
        self.pieces = [self.first.data]

    def extend(self, gap: int, part: Part) -> None:
        self.pieces += (bytes(gap), part.data)
        self.end = part.end

    def joined(self) -> Part:
        if len(self.pieces) == 1:
            return self.first
        return attrs.evolve(self.first, data=_in_words(*self.pieces))


def _in_words(*pieces: bytes | memoryview) -> bytes:
    return b"".join((*pieces, bytes(-sum(map(len, pieces)) % WORD_SIZE)))
