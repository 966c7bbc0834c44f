"""Erasing, by whichever command the loader has for it. Nothing here looks what came of it.

Nothing protects offset and size on the line: see :mod:`esploader.flash.erasure`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.quirks import Quirk
from esploader.classes import define
from esploader.flash.plan import ERASE_BLOCK_SIZE, SECTOR_SIZE
from esploader.flash.read_back import port_of_its_own
from esploader.protocol import dialect
from esploader.protocol.download_commands import FlashBegin
from esploader.protocol.flash_commands import EraseFlash, EraseRegion
from esploader.protocol.opcodes import Opcode

if TYPE_CHECKING:
    from esploader.loader.link import Link

_log: Final = logging.getLogger(__name__)

ERASE_STEP: Final = 0x8_0000
"""Of one request that erases, in bytes. A loader says nothing while it erases, and has to be given
the time of the slowest flash: 20 seconds for this. It takes a second or two, against which the
round trip of another request is little."""


@define
class Doubts:
    """What may have been erased or written over besides, as far as there are signs of it."""

    warnings: list[str] = attrs.field(factory=list, init=False)

    def note(self, reason: str) -> None:
        """Take note of a sign, once, and say so."""
        warning = f"{reason}: something else in the flash may have been erased or written over"
        if warning not in self.warnings:
            _log.warning("%s", warning)
            self.warnings.append(warning)


def erase_everything(link: Link, flash_size: int | None) -> None:
    """Erase the whole flash of ``flash_size`` bytes, ``None`` where that is not known.

    Raises:
        UnsupportedError: the loader cannot do this.
        CommandError: the loader failed.
    """
    link.session.execute(EraseFlash(flash_size))


def erase_sectors(link: Link, offset: int, size: int) -> None:
    """Erase a region of whole sectors, in steps that end at multiples of :data:`ERASE_STEP`.

    Raises:
        CommandError: the loader failed.
    """
    session = link.session
    step = ERASE_BLOCK_SIZE if _erases_head_twice(link) else ERASE_STEP
    start, end = offset, offset + size
    while start < end:
        step_end = min(start - start % step + step, end)
        if Opcode.ERASE_REGION in session.dialect.opcodes:
            session.execute(EraseRegion(offset=start, size=step_end - start))
        else:
            _begin(link, start, step_end - start)
        start = step_end


def _begin(link: Link, offset: int, size: int) -> None:
    """Have a ROM loader erase, as it does when a download begins, whether or not it comes."""
    begin = FlashBegin(
        size=size_to_announce(link, offset, size),
        block_count=0,
        block_size=link.session.flash_block_size,
        offset=offset,
    )
    link.session.execute(begin)


def size_to_announce(link: Link, offset: int, size: int) -> int:
    """Return what FLASH_BEGIN has to be told, so that it erases ``size`` bytes, no more.

    Of an odd number of sectors some ROM loaders cannot erase the last one without its
    neighbour (:attr:`Quirk.BEGIN_ERASES_HEAD_TWICE`): then it is erased here.

    Raises:
        CommandError: the loader failed.
    """
    if not _erases_head_twice(link):
        return size
    count = -(-size // SECTOR_SIZE)
    sectors_per_block = ERASE_BLOCK_SIZE // SECTOR_SIZE
    head = sectors_per_block - offset // SECTOR_SIZE % sectors_per_block
    if count >= 2 * head:
        return (count - head) * SECTOR_SIZE
    if count % 2:
        port = port_of_its_own(link)
        port.erase_sector(offset + (count - 1) * SECTOR_SIZE)
    return count // 2 * SECTOR_SIZE


def _erases_head_twice(link: Link) -> bool:
    is_rom = link.session.dialect is not dialect.STUB
    return is_rom and Quirk.BEGIN_ERASES_HEAD_TWICE in link.chip.quirks
