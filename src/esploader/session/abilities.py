"""What not every loader can, and what this one has been seen to lack.

Facts of the dialect say what a kind of loader takes. None of it has been tried on every
chip, so whatever fails gives way by itself to what every loader takes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from esploader.classes import define

if TYPE_CHECKING:
    from esploader.protocol.dialect import Dialect

_log: Final = logging.getLogger(__name__)

SMALL_FLASH_BLOCK_SIZE: Final = 0x400
"""Bytes of the blocks that the documents name; many a ROM loader takes larger ones."""


@define
class Abilities:
    """What is still believed of one loader."""

    bursts_work: bool = True
    """Several commands at once."""

    batches_work: bool | None = None
    """Several entries in one WRITE_REG; ``None`` while that has not been seen."""

    large_blocks_work: bool = True
    """Blocks of flash data beyond :data:`SMALL_FLASH_BLOCK_SIZE`, in a ROM loader."""

    def max_write_reg_entries(self, dialect: Dialect) -> int:
        """Return how many entries one WRITE_REG may have."""
        return 1 if self.batches_work is False else dialect.max_write_reg_entries

    def are_batches_doubtful(self, dialect: Dialect) -> bool:
        """Tell whether several entries are used, and have not been seen to work."""
        return self.batches_work is None and dialect.max_write_reg_entries > 1

    def note_batches(self, *, work: bool) -> None:
        """Take note whether WRITE_REG with several entries does what it should."""
        if not work:
            _log.warning("this loader does not take several writes in one command; one at a time")
        self.batches_work = work

    def flash_block_size(self, dialect: Dialect) -> int:
        """Return the bytes of flash data in one block."""
        size = dialect.flash_block_size
        is_allowed = self.large_blocks_work or dialect.answers_before_writing
        return size if is_allowed else min(size, SMALL_FLASH_BLOCK_SIZE)

    def use_small_blocks(self, dialect: Dialect) -> bool:
        """Use the blocks that every ROM loader takes; tell whether that is a change."""
        size = self.flash_block_size(dialect)
        if dialect.answers_before_writing or size <= SMALL_FLASH_BLOCK_SIZE:
            return False
        _log.warning("this loader may not take blocks of %#x bytes", size)
        self.large_blocks_work = False
        return True
