"""Erasing, by whichever command the loader has for it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from esploader.progress import Phase, Progress, ProgressCallback
from esploader.protocol.download_commands import FlashBegin
from esploader.protocol.flash_commands import EraseFlash, EraseRegion
from esploader.protocol.opcodes import Opcode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.session import Session


def erase_everything(
    session: Session, flash_size: int | None, on_progress: ProgressCallback
) -> None:
    """Erase the whole flash of ``flash_size`` bytes; nothing is reported where that is unknown.

    Raises:
        UnsupportedCommandError: the loader cannot do this.
        CommandError: the loader failed.
    """
    if flash_size is None:
        session.execute(EraseFlash())
        return
    with _reported(0, flash_size, on_progress):
        session.execute(EraseFlash())


def erase_sectors(session: Session, offset: int, size: int, on_progress: ProgressCallback) -> None:
    """Erase a region of whole sectors.

    Raises:
        CommandError: the loader failed.
    """
    with _reported(offset, size, on_progress):
        if Opcode.ERASE_REGION in session.dialect.opcodes:
            session.execute(EraseRegion(offset=offset, size=size))
        else:
            # A ROM loader erases when a download begins, whether or not it comes.
            block_size = session.dialect.flash_block_size
            session.execute(
                FlashBegin(size=size, block_count=0, block_size=block_size, offset=offset)
            )


@contextlib.contextmanager
def _reported(offset: int, size: int, on_progress: ProgressCallback) -> Iterator[None]:
    """Report the beginning and the end: in between a loader says nothing."""
    on_progress(_erased(offset, 0, size))
    yield
    on_progress(_erased(offset, size, size))


def _erased(offset: int, done: int, total: int) -> Progress:
    return Progress(phase=Phase.ERASE, offset=offset, done=done, total=total, wire_bytes=0)
