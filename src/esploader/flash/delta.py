"""Finding by hashing on the device what need not be written.

A sector that already holds the right bytes is neither erased nor written. Which ones do
is asked coarse to fine: the region, its blocks of 64 KiB, their sectors; each step only
where the hashing costs less than the writing it can save. The costs come from the line's
rate and round trip and from typical parts:

* hashing: one turnaround, some 60 bytes of wire, and the reading at 4 MiB/s, which is
  what the stub does at 40 MHz on two data lines, give or take a factor of two;
* writing: the data on the wire, or erasing and programming if that is slower: 45 ms a
  sector or 150 ms a block of 64 KiB, and 0.4 ms a page (data sheets of the W25Q series).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.classes import frozen
from esploader.flash.hashing import which_hold
from esploader.flash.plan import ERASE_BLOCK_SIZE, PAGE_SIZE, SECTOR_SIZE, Piece, divided
from esploader.flash.read_back import is_blind

if TYPE_CHECKING:
    from esploader.loader.link import Link

HASH_BYTES_PER_SECOND: Final = 4 * 1024 * 1024
SECTOR_ERASE_SECONDS: Final = 0.045
BLOCK_ERASE_SECONDS: Final = 0.150
PAGE_PROGRAM_SECONDS: Final = 0.0004

_HASH_WIRE_SIZE: Final = 60
_BITS_PER_BYTE: Final = 10

WORTHWHILE_SHARE: Final = 0.5
"""Hashing parts may cost this share of writing the whole: they may all differ."""


@frozen(kw_only=True)
class CostModel:
    """What hashing and writing cost on one line, in seconds."""

    baudrate: int
    round_trip: float
    """In seconds."""
    turnaround: float
    """What one more exchange costs among several on the way, in seconds: with gates much
    less than a round trip."""
    compression: float = 1.0
    """Bytes on the wire for each byte of flash."""

    def hashing(self, size: int) -> float:
        """Return what asking for the MD5 of ``size`` bytes costs."""
        wire = _HASH_WIRE_SIZE * _BITS_PER_BYTE / self.baudrate
        return self.turnaround + wire + size / HASH_BYTES_PER_SECOND

    def writing(self, offset: int, size: int) -> float:
        """Return what erasing and writing ``size`` bytes at ``offset`` costs."""
        wire = size * self.compression * _BITS_PER_BYTE / self.baudrate
        return max(wire, _erasing(offset, size) + size / PAGE_SIZE * PAGE_PROGRAM_SECONDS)

    def saved_by_erasing(self, offset: int, size: int) -> float:
        """Return what it saves only to erase ``size`` bytes in the middle of a download.

        That makes two downloads, and an erase that is checked.
        """
        return self.writing(offset, size) - _erasing(offset, size) - 2 * self.overhead()

    def overhead(self) -> float:
        """Return what it costs to begin one more download and to check it."""
        exchanges = self.round_trip + self.turnaround
        return exchanges + 4 * _HASH_WIRE_SIZE * _BITS_PER_BYTE / self.baudrate


def _erasing(offset: int, size: int) -> float:
    end = offset + size
    first_block = -(-offset // ERASE_BLOCK_SIZE)
    block_count = max(end // ERASE_BLOCK_SIZE - first_block, 0)
    sector_count = (size - block_count * ERASE_BLOCK_SIZE) // SECTOR_SIZE
    return block_count * BLOCK_ERASE_SECONDS + sector_count * SECTOR_ERASE_SECONDS


def changed_pieces(link: Link, region: Piece, costs: CostModel) -> list[Piece]:
    """Return the parts of ``region`` that have to be written, in order.

    All of it where the loader cannot hash: reading flash is slower there than writing it.

    Raises:
        CommandError: the loader failed.
        TransportError: the port failed.
    """
    if is_blind(link) or costs.hashing(len(region.data)) > WORTHWHILE_SHARE * costs.writing(
        region.offset, len(region.data)
    ):
        return [region]
    blocks = list(divided(region, ERASE_BLOCK_SIZE))
    # Where all blocks can be asked for at once, asking for the whole first saves nothing.
    is_gated = link.session.transport.capabilities.gated
    if not (is_gated and _is_worth_hashing(blocks, costs)) and all(which_hold(link, [region])):
        return []
    worth_asking = [block for block in blocks if _is_worth_hashing([block], costs)]
    right = _held(link, worth_asking)
    wrong = [block for block in worth_asking if block.offset not in right]
    rewritten = _without_right_sectors(link, wrong, costs)
    changed: list[Piece] = []
    for block in blocks:
        if block.offset not in right:
            changed += rewritten.get(block.offset, [block])
    return _joined(region, changed)


def _held(link: Link, parts: list[Piece]) -> set[int]:
    """Return the offsets of those parts that the flash holds."""
    answers = which_hold(link, parts)
    return {part.offset for part, is_held in zip(parts, answers, strict=True) if is_held}


def _without_right_sectors(
    link: Link, blocks: list[Piece], costs: CostModel
) -> dict[int, list[Piece]]:
    """Return what has to be written of each block where that is less, by its offset."""
    sectors_of = {block.offset: list(divided(block, SECTOR_SIZE)) for block in blocks}
    asked = {
        offset: sectors
        for offset, sectors in sectors_of.items()
        if _is_worth_hashing(sectors, costs)
    }
    right = _held(link, [sector for sectors in asked.values() for sector in sectors])
    rewritten: dict[int, list[Piece]] = {}
    for block in blocks:
        sectors = asked.get(block.offset, [])
        pieces = _joined(block, [sector for sector in sectors if sector.offset not in right])
        apart = sum(
            costs.writing(piece.offset, len(piece.data)) + costs.overhead() for piece in pieces
        )
        if sectors and apart < costs.writing(block.offset, len(block.data)) + costs.overhead():
            rewritten[block.offset] = pieces
    return rewritten


def _is_worth_hashing(parts: list[Piece], costs: CostModel) -> bool:
    size = sum(len(part.data) for part in parts)
    hashing = sum(costs.hashing(len(part.data)) for part in parts)
    return hashing <= WORTHWHILE_SHARE * costs.writing(parts[0].offset, size)


def _joined(whole: Piece, parts: list[Piece]) -> list[Piece]:
    """Join neighbours among ``parts`` of ``whole``: one download instead of two."""
    joined: list[Piece] = []
    for part in parts:
        if joined and joined[-1].end == part.offset:
            joined[-1] = whole.part(joined[-1].offset, part.end)
        else:
            joined.append(part)
    return joined
