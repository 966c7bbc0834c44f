"""What the flash holds, as the device's own MD5 tells."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from esploader.flash.plan import SECTOR_SIZE
from esploader.protocol.flash_commands import SpiFlashMd5

if TYPE_CHECKING:
    from esploader.flash.plan import Piece
    from esploader.session import Session


def md5_of(data: bytes | bytearray | memoryview) -> bytes:
    """Return the MD5 of ``data``, as the loaders compute it."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def holds(session: Session, piece: Piece, work_time: float = 0.0) -> bool:
    """Tell whether the flash holds ``piece``.

    ``work_time`` is for how long the loader may still be writing, in seconds.

    Raises:
        CommandError: the loader failed.
        TransportError: the port failed.
    """
    command = SpiFlashMd5(offset=piece.offset, size=len(piece.data), work_time=work_time)
    return session.execute(command) == md5_of(piece.data)


def count_right_sectors(session: Session, piece: Piece) -> int:
    """Return how many sectors at the beginning of ``piece`` the flash holds.

    Found by halving: the MD5 of a beginning is right up to the first sector that differs.

    Raises:
        CommandError: the loader failed.
        TransportError: the port failed.
    """
    data = memoryview(piece.data)
    known_right, known_wrong = 0, len(data) // SECTOR_SIZE + 1
    while known_wrong - known_right > 1:
        middle = (known_right + known_wrong) // 2
        size = (middle - known_right) * SECTOR_SIZE
        start = known_right * SECTOR_SIZE
        digest = session.execute(SpiFlashMd5(offset=piece.offset + start, size=size))
        if digest == md5_of(data[start : start + size]):
            known_right = middle
        else:
            known_wrong = middle
    return known_right
