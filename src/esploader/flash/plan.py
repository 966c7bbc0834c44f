"""What a write will do, decided before anything is erased.

Flash is erased by the sector of 4 KiB, and programming only clears bits. So the unit of
a plan is a run of whole sectors. Inputs that share a sector become one region; bytes of a
sector that no input covers are erased with it, as every tool for these chips does.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import attrs
from typing_extensions import override

from esploader.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SECTOR_SIZE: Final = 0x1000
"""The smallest unit of erasing, in bytes."""

ERASE_BLOCK_SIZE: Final = 0x1_0000
"""The unit in which erasing is quickest, in bytes."""

PAGE_SIZE: Final = 0x100
"""The unit of programming, in bytes."""

ERASED: Final = b"\xff"


@attrs.frozen
class Piece:
    """Bytes and where they belong in flash."""

    offset: int = attrs.field(repr=hex)
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")

    @property
    def end(self) -> int:
        """The offset behind the last byte."""
        return self.offset + len(self.data)


@attrs.frozen
class WritePlan:
    """Regions of whole sectors, in order of their offsets, that do not touch."""

    regions: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Bytes that will be erased, unless they are found to be right already."""
        return sum(len(region.data) for region in self.regions)

    @override
    def __str__(self) -> str:
        lines = [
            f"0x{region.offset:08x} to 0x{region.end:08x}: {len(region.data)} bytes"
            for region in self.regions
        ]
        return "\n".join(lines) or "nothing to write"


def plan_write(inputs: Iterable[Piece], flash_size: int | None) -> WritePlan:
    """Return the regions that ``inputs`` fill; ``flash_size`` is in bytes, if known.

    Raises:
        PlanError: an input has no bytes, lies outside the flash, or shares bytes with
            another.
    """
    pieces = sorted(inputs, key=lambda piece: piece.offset)
    _check(pieces, flash_size)
    groups: list[list[Piece]] = []
    for piece in pieces:
        if groups and _round_down(piece.offset) <= _round_up(groups[-1][-1].end):
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return WritePlan(tuple(_join(group) for group in groups))


def _check(pieces: Sequence[Piece], flash_size: int | None) -> None:
    for piece in pieces:
        if not piece.data:
            raise PlanError(f"there is nothing to write at {piece.offset:#x}")
        if piece.offset < 0:
            raise PlanError(f"{piece.offset} is no offset in flash")
        if flash_size is not None and piece.end > flash_size:
            raise PlanError(
                f"{len(piece.data)} bytes at {piece.offset:#x} end at {piece.end:#x}, "
                f"beyond the flash of {flash_size:#x} bytes"
            )
    for first, second in pairwise(pieces):
        if second.offset < first.end:
            raise PlanError(
                f"what goes to {first.offset:#x} ends at {first.end:#x} and overlaps "
                f"what goes to {second.offset:#x}"
            )


def _join(group: Sequence[Piece]) -> Piece:
    start = _round_down(group[0].offset)
    end = _round_up(group[-1].end)
    if len(group) == 1 and (start, end) == (group[0].offset, group[0].end):
        return group[0]  # It may be many megabytes.
    data = bytearray(ERASED * (end - start))
    for piece in group:
        data[piece.offset - start : piece.end - start] = piece.data
    return Piece(start, bytes(data))


def _round_down(offset: int) -> int:
    return offset - offset % SECTOR_SIZE


def _round_up(offset: int) -> int:
    return -(-offset // SECTOR_SIZE) * SECTOR_SIZE
