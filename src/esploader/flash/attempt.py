"""How far the writing of one piece has come, and what to send next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.classes import define
from esploader.flash.plan import SECTOR_SIZE, Piece
from esploader.protocol.refusals import Refusals

if TYPE_CHECKING:
    from esploader.flash.download import Download


@define
class Attempt:
    """How far the writing of one piece has come."""

    piece: Piece
    most: int
    """Bytes of the longest download."""
    in_place: int = 0
    """Bytes at the beginning that the device was seen to hold."""
    reached: int = 0
    """Bytes that were reported as done: this never goes back."""
    failures: int = 0
    failures_in_place: int = 0
    early_failures: int = 0
    """Downloads in a row that got no further than to their first block."""
    refusals: Refusals = attrs.field(factory=Refusals)
    download: Download | None = None
    """The one that goes on, or that broke off last."""
    reason: str = ""
    limit: int = attrs.field(init=False)
    """Bytes of one download: on a bad line less is lost when less is risked."""
    encrypted_digests: dict[int, bytes] = attrs.field(factory=dict)
    """The MD5 of what the last download that ended left encrypted, by its size."""

    def __attrs_post_init__(self) -> None:
        self.limit = self.most

    @property
    def rest(self) -> Piece:
        """What is not known to be in place."""
        return self.piece.part(self.piece.offset + self.in_place, self.piece.end)

    @property
    def next_download(self) -> Piece:
        """What to send next, between one BEGIN and one check."""
        rest = self.rest
        piece = rest.part(rest.offset, min(rest.offset + self.limit, rest.end))
        # Others that have no trouble get other parts: nobody else needs what is made of this one.
        is_usual = self.limit == self.most and not self.in_place % self.most
        return piece if is_usual else attrs.evolve(piece, shared=None)

    def succeed(self, size: int) -> None:
        """Note that ``size`` bytes more are in place."""
        self.in_place += size
        self.failures_in_place = 0
        self.refusals.clear()
        self.download = None
        self.encrypted_digests.clear()
        self.limit = min(2 * self.limit, self.most)

    def fail(self, reason: str) -> None:
        """Note that a download failed."""
        self.failures += 1
        self.failures_in_place += 1
        self.reason = reason
        if self.failures_in_place > 1:
            smaller = min(self.limit, len(self.rest.data)) // 4
            self.limit = max(smaller - smaller % SECTOR_SIZE, SECTOR_SIZE)
