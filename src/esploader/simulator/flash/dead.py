"""A flash that is not there, or does not answer: what a loader sees is a line that never changes.

What the loaders do then is worked out, not recorded: they wait until the busy bit of the
status register is 0, so a line that is high keeps them waiting for ever. Where it is low, they
find that all has been done, and nothing of what they wrote when they read it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
from typing_extensions import override

from esploader.simulator.flash.chip import FlashChip
from esploader.simulator.flash.nor import SECTOR_SIZE, NorFlash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.simulator.flash.chip import SpiTransaction

FLOATING: Final = 0xFF
"""What every byte reads as where nothing drives the line."""

HELD_LOW: Final = 0x00


class EverBusyError(Exception):
    """The program waits for the flash, and does so for ever."""


@attrs.define(eq=False, kw_only=True)
class DeadFlash(NorFlash):
    """Cells that nobody reaches: all there is to be read is the level of the line."""

    level: int
    """What every byte reads as."""

    @override
    def program(self, offset: int, data: bytes) -> float:
        self._wait()
        return 0.0

    @override
    def erase(self, offset: int, size: int) -> float:
        if size:
            self._wait()
        return 0.0

    def _wait(self) -> None:
        if self.level == FLOATING:
            raise EverBusyError

    @override
    def _pieces(self, offset: int, size: int) -> Iterator[bytes]:
        piece = bytes((self.level,)) * SECTOR_SIZE
        for start in range(0, size, SECTOR_SIZE):
            yield piece[: size - start]


@attrs.define(eq=False, kw_only=True)
class DeadFlashChip(FlashChip):
    """A bus with nobody who answers."""

    level: int

    @override
    def transact(self, transaction: SpiTransaction) -> bytes:
        return bytes((self.level,)) * transaction.receive_size
