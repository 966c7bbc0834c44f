"""Runs of 0xFF in what is to be written: erasing alone puts them there.

They cost nothing on the wire and no programming. But a run apart from its neighbours makes
three jobs of one: so it has to save more than that costs, on this line. And it is made of
whole blocks of 64 KiB, or what the piece has of one, for these are erased most quickly.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Final

import attrs

from esploader.flash.plan import ERASE_BLOCK_SIZE, ERASED, divided

if TYPE_CHECKING:
    from esploader.flash.delta import CostModel
    from esploader.flash.plan import Piece

MIN_RUN_SIZE: Final = ERASE_BLOCK_SIZE
"""A shorter run stays within a download, in bytes."""

_BLANK_BLOCK: Final = ERASED * ERASE_BLOCK_SIZE
_COMPRESSION: Final = 0.002
"""Bytes on the wire for each byte of a run, if they are compressed."""


def is_blank(data: bytes | memoryview) -> bool:
    """Tell whether ``data`` are what erased flash reads as."""
    return all(
        _BLANK_BLOCK.startswith(bytes(data[start : start + ERASE_BLOCK_SIZE]))
        for start in range(0, len(data), ERASE_BLOCK_SIZE)
    )


def blank_apart(piece: Piece, costs: CostModel, *, compressed: bool) -> list[Piece]:
    """Divide ``piece`` into what is to be downloaded and what is only to be erased.

    ``compressed`` tells whether a download may be.
    """
    costs = attrs.evolve(costs, compression=_COMPRESSION if compressed else 1.0)
    spans = [
        (part.offset, part.end, is_blank(part.data)) for part in divided(piece, ERASE_BLOCK_SIZE)
    ]
    edges = {piece.offset, piece.end}
    for blank, group in groupby(spans, key=lambda span: span[2]):
        run = list(group)
        start, end = run[0][0], run[-1][1]
        if blank and end - start >= MIN_RUN_SIZE and costs.saved_by_erasing(start, end - start) > 0:
            edges |= {start, end}
    return [piece.part(start, end) for start, end in pairwise(sorted(edges))]
