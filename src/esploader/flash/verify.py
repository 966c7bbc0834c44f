"""Where the flash differs from what it should hold, to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from esploader.flash.hashing import holds, which_hold
from esploader.flash.plan import SECTOR_SIZE, Piece, divided
from esploader.flash.read import RegionReader
from esploader.flash.read_back import is_blind
from esploader.progress import Phase, Progress, ProgressCallback, ignore_progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.flash.loader import Loader

PART_SIZE: Final = 0x10_0000
"""How much is compared in one go, in bytes: a ROM loader needs up to 8 s for that."""


@attrs.frozen(kw_only=True)
class Difference:
    """A range of flash that does not hold what it should; ``end`` is not part of it."""

    start: int = attrs.field(repr=hex)
    end: int = attrs.field(repr=hex)


def compare(
    loader: Loader, piece: Piece, on_progress: ProgressCallback = ignore_progress
) -> tuple[Difference, ...]:
    """Return where the flash differs from ``piece``, to the byte.

    Where the MD5 of a part differs, that part is read.

    Raises:
        EsploaderError: the loader failed.
    """
    differences: list[Difference] = []
    size = len(piece.data)
    read = 0

    def report(done: int) -> None:
        on_progress(
            Progress(
                phase=Phase.VERIFY, offset=piece.offset, done=done, total=size, wire_bytes=read
            )
        )

    report(0)
    for start in range(0, size, PART_SIZE):
        whole = Piece(piece.offset + start, piece.data[start : start + PART_SIZE])
        for part in _different_parts(loader, whole):
            if part.offset > piece.offset:
                report(part.offset - piece.offset)
            reader = RegionReader(loader, ignore_progress)
            found = b"".join(reader.read(part.offset, len(part.data)))
            read += len(found)
            for first, end in _runs(part.data, found):
                _append(differences, part.offset + first, part.offset + end)
        report(whole.end - piece.offset)
    return tuple(differences)


def _append(differences: list[Difference], start: int, end: int) -> None:
    """Add a range; one that begins where the last one ends is the same range."""
    if differences and differences[-1].end == start:
        start = differences.pop().start
    differences.append(Difference(start=start, end=end))


def _different_parts(loader: Loader, piece: Piece) -> Iterator[Piece]:
    """Yield parts of about a sector that the flash does not hold.

    Found by halving, or by asking for all at once where that costs no more.
    """
    if is_blind(loader):
        # Halving would read the same bytes again and again.
        yield from (part for part in divided(piece, SECTOR_SIZE) if not holds(loader, part))
        return
    if holds(loader, piece):
        return
    if len(piece.data) <= SECTOR_SIZE:
        yield piece
        return
    if loader.session.transport.capabilities.gated:
        sectors = list(divided(piece, SECTOR_SIZE))
        answers = which_hold(loader, sectors)
        yield from (part for part, right in zip(sectors, answers, strict=True) if not right)
        return
    middle = len(piece.data) // 2 // SECTOR_SIZE * SECTOR_SIZE or SECTOR_SIZE
    yield from _different_parts(loader, Piece(piece.offset, piece.data[:middle]))
    yield from _different_parts(loader, Piece(piece.offset + middle, piece.data[middle:]))


def _runs(expected: bytes, found: bytes) -> Iterator[tuple[int, int]]:
    """Yield where two byte strings of one size differ."""
    start: int | None = None
    for index, (one, other) in enumerate(zip(expected, found, strict=True)):
        if one != other and start is None:
            start = index
        elif one == other and start is not None:
            yield start, index
            start = None
    if start is not None:
        yield start, len(expected)
