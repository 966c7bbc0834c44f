"""How far a download came that broke off, going by what the loader answered.

What it said that it had done is compared with what the flash holds: nothing protects the offset
in the request that begins a download.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.protocol.download_commands import BlockCommand, FlashDeflData

if TYPE_CHECKING:
    from esploader.flash.plan import Piece
    from esploader.protocol.commands import Command
    from esploader.protocol.dialect import Dialect

# So much of what was inflated a loader writes later, in bytes: its window.
_HELD_BACK: Final = 0x8000


@define
class Download:
    """One download of ``piece``."""

    piece: Piece
    sent: int = 0
    """Bytes of the piece that may have reached the loader."""
    is_begun: bool = False
    """The request that begins it was answered."""
    is_refused: bool = False
    """What broke it off was a refusal."""
    _acknowledged: list[int] = attrs.field(factory=list)
    """Bytes of the piece up to the end of each block that was answered."""
    _is_compressed: bool = False
    """These blocks are."""

    def note(self, command: Command[object], covered: int) -> None:
        """Note that the loader has answered ``command``, up to ``covered`` bytes of the piece."""
        self.is_begun = True
        if isinstance(command, BlockCommand):
            self._acknowledged.append(covered)
            self._is_compressed = isinstance(command, FlashDeflData)

    def written(self, dialect: Dialect) -> int:
        """Return how many bytes the loader has surely written, if it has done what it said."""
        # A stub may still fail with the last one.
        count = len(self._acknowledged) - dialect.answers_before_writing
        if count <= 0:
            return 0
        inflated = self._acknowledged[count - 1]
        return max(inflated - _HELD_BACK, 0) if self._is_compressed else inflated
