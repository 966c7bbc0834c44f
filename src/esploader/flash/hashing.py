"""What the flash holds, as the device's own MD5 tells; where it has none, by reading."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Final

from esploader.flash.plan import ERASED, SECTOR_SIZE, Piece
from esploader.flash.read_back import is_blind, is_read_back, read_until_agreed
from esploader.protocol.flash_commands import SpiFlashMd5
from esploader.session.confirming import confirm_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esploader.loader.link import Link

_HASHED_AT_ONCE: Final = 0x1_0000


def md5_of(data: bytes | bytearray | memoryview) -> bytes:
    """Return the MD5 of ``data``, as the loaders compute it."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def md5_of_flash(link: Link, offset: int, size: int) -> bytes:
    """Return the MD5 of ``size`` bytes of flash from ``offset`` on.

    Raises:
        ProtocolError: the answers differ every time.
        CommandError: the loader failed.
        TransportError: the port failed.
    """
    if not is_blind(link):
        return confirm_all(link.session, [SpiFlashMd5(offset=offset, size=size)])[0]
    digest = hashlib.md5(usedforsecurity=False)
    for start in range(0, size, SECTOR_SIZE):
        part = min(SECTOR_SIZE, size - start)
        digest.update(read_until_agreed(link, offset + start, part))
    return digest.digest()


@functools.lru_cache(maxsize=8)
def md5_of_erased(size: int) -> bytes:
    """Return the MD5 of ``size`` bytes of erased flash."""
    digest = hashlib.md5(usedforsecurity=False)
    block = ERASED * min(size, _HASHED_AT_ONCE)
    for start in range(0, size, _HASHED_AT_ONCE):
        digest.update(block[: size - start])
    return digest.digest()


def is_erased(link: Link, offset: int, size: int) -> bool:
    """Tell whether ``size`` bytes of flash from ``offset`` on read as erased.

    Raises as :func:`md5_of_flash`.
    """
    if is_blind(link):
        return is_read_back(link, Piece(offset, ERASED * size))
    return md5_of_flash(link, offset, size) == md5_of_erased(size)


def holds(link: Link, piece: Piece, work_time: float = 0.0) -> bool:
    """Tell whether the flash holds ``piece``, which it was seen to take or to give.

    Who has nothing else to go by asks :func:`which_hold`.

    ``work_time`` is for how long the loader may still be writing, in seconds.

    Raises:
        CommandError: the loader failed.
        TransportError: the port failed.
    """
    if is_blind(link):
        return is_read_back(link, piece)
    command = SpiFlashMd5(offset=piece.offset, size=len(piece.data), work_time=work_time)
    return link.session.execute(command) == piece.once(md5_of)


def which_hold(link: Link, pieces: Sequence[Piece]) -> list[bool]:
    """Tell for each of ``pieces`` whether the flash holds it; ask for all at once.

    That it does is believed when it was said twice: the MD5 of another place would do where
    the same data stand there, as blank sectors and copies of an application do.

    Raises:
        CommandError: the loader failed.
        TransportError: the port failed.
    """
    if is_blind(link):
        return [is_read_back(link, piece) for piece in pieces]
    if link.session.transport.capabilities.gated:
        # All in one flight.
        digests = confirm_all(link.session, [_md5_command(piece) for piece in pieces])
        answers = zip(pieces, digests, strict=True)
        return [digest == piece.once(md5_of) for piece, digest in answers]
    held = list(pieces)
    for _ in range(2):
        if not held:
            break
        digests = link.session.execute_all([_md5_command(piece) for piece in held])
        answers = zip(held, digests, strict=True)
        held = [piece for piece, digest in answers if digest == piece.once(md5_of)]
    offsets = {piece.offset for piece in held}
    return [piece.offset in offsets for piece in pieces]


def _md5_command(piece: Piece) -> SpiFlashMd5:
    return SpiFlashMd5(offset=piece.offset, size=len(piece.data))


def count_right_sectors(link: Link, piece: Piece) -> int:
    """Return how many sectors at the beginning of ``piece`` the flash holds.

    Found by halving: the MD5 of a beginning is right up to the first sector that differs.
    A loader that cannot hash is not asked: writing again is quicker than reading.

    Raises:
        CommandError: the loader failed.
        TransportError: the port failed.
    """
    if is_blind(link):
        return 0
    known_right, known_wrong = 0, len(piece.data) // SECTOR_SIZE + 1
    while known_wrong - known_right > 1:
        middle = (known_right + known_wrong) // 2
        start = piece.offset + known_right * SECTOR_SIZE
        part = piece.part(start, piece.offset + middle * SECTOR_SIZE)
        if link.session.execute(_md5_command(part)) == part.once(md5_of):
            known_right = middle
        else:
            known_wrong = middle
    return known_right
