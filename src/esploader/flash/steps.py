"""The commands of one download, from BEGIN to the MD5 of what is there then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeGuard

from esploader.classes import frozen
from esploader.errors import CommandFailedError, NoResponseError
from esploader.flash.compress import (
    WireBlock,
    is_worth_compressing,
    max_block_count,
    plain_blocks,
    reason_against_compression,
)
from esploader.flash.erase import size_to_announce
from esploader.flash.plan import SECTOR_SIZE, Piece
from esploader.flash.read_back import is_blind
from esploader.protocol.commands import DEFAULT_TIMEOUT, Command
from esploader.protocol.download_commands import (
    FlashBegin,
    FlashData,
    FlashDeflBegin,
    FlashDeflData,
    FlashEnd,
)
from esploader.protocol.flash_commands import SpiFlashMd5

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from esploader.loader.link import Link
    from esploader.protocol.dialect import Dialect

WRITE_SECONDS_PER_MIB: Final = 40.0
"""How long a loader may take to erase and write, in seconds per MiB: slow parts when cold."""

# Of the stub: the flash failed, or the inflater. It says so in the answer to the command
# after the block.
_DEFERRED_CODES: Final = frozenset({0xC4, 0xC7})

# The stub erases up to one block of 64 KiB, and its inflater holds up to 32 KiB back.
_WORK_AHEAD: Final = 0x1_8000
_MIB: Final = 1024 * 1024


@frozen
class Step:
    """One command of a download."""

    command: Command[object]
    block_before: str = ""
    """The block, if any, whose failure a stub would report in answer to this command."""
    size: int = 0
    """Bytes of the block that the command carries."""
    covered: int = 0
    """Bytes of the piece that are done with it."""
    is_early: bool = False
    """A loader that does not take blocks of this size would show it here."""

    def is_about_the_block_before(
        self, error: CommandFailedError | NoResponseError, dialect: Dialect
    ) -> TypeGuard[CommandFailedError]:
        """Tell whether ``error``, the answer to this step, is about the block before it."""
        return (
            isinstance(error, CommandFailedError)
            and bool(self.block_before)
            and dialect.answers_before_writing
            and error.code in _DEFERRED_CODES
        )


def steps_of(link: Link, piece: Piece, *, compress: bool | None) -> Iterator[Step]:
    """Return the commands that download ``piece``, with the MD5 of it at the end.

    ``compress`` is ``None`` to decide by the data.
    """
    if compress is None:
        compress = piece.once(is_worth_compressing)
    if not can_compress(link) or (piece.encrypted and not _inflates_encrypted(link)):
        compress = False
    # Not when the first step is taken: preparing may take commands of its own.
    begin, blocks = _prepare(link, piece, compress=compress)
    return _steps(link, piece, begin, blocks, FlashDeflData if compress else FlashData)


def _steps(
    link: Link,
    piece: Piece,
    begin: Command[None],
    blocks: Iterable[WireBlock],
    block_class: type[FlashData | FlashDeflData],
) -> Iterator[Step]:
    is_deferred = link.session.dialect.answers_before_writing
    yield Step(begin, is_early=True)
    covered = 0
    pending_work = 0.0
    for sequence, block in enumerate(blocks):
        # A stub responds when it has done the block before, a ROM when it has done
        # this one.
        own_work = _work_time(block.covered - covered)
        command = block_class(
            sequence=sequence,
            data=block.data,
            work_time=pending_work if is_deferred else own_work,
        )
        yield Step(
            command,
            f"block {sequence - 1}" if sequence else "",
            size=len(block.data),
            covered=block.covered,
            is_early=not sequence,
        )
        pending_work = own_work if is_deferred else 0.0
        covered = block.covered
    if piece.encrypted and is_deferred:
        yield Step(FlashEnd(reboot=False, work_time=pending_work), "the last block")
    if not is_blind(link):
        size = len(piece.data)
        check = SpiFlashMd5(offset=piece.offset, size=size, work_time=pending_work)
        yield Step(check, "the last block")


def _prepare(
    link: Link, piece: Piece, *, compress: bool
) -> tuple[Command[None], Iterable[WireBlock]]:
    """Return the command that announces ``piece``, and its blocks."""
    dialect = link.session.dialect
    block_size = link.session.flash_block_size
    size = len(piece.data)
    # A stub counts the bytes, a ROM erases so many; it may not round up by itself.
    announced = size if dialect.answers_before_writing else -(-size // SECTOR_SIZE) * SECTOR_SIZE
    if not compress:
        return FlashBegin(
            size=size_to_announce(link, piece.offset, announced),
            block_count=-(-size // block_size),
            block_size=block_size,
            offset=piece.offset,
            encrypt=piece.encrypted,
        ), plain_blocks(piece.data, block_size)
    blocks = piece.compressed_blocks(block_size)
    if dialect.answers_before_writing:
        block_count = max_block_count(size, block_size)
    else:
        blocks = list(blocks)
        block_count = len(blocks)
    return FlashDeflBegin(
        size=announced,
        block_count=block_count,
        block_size=block_size,
        offset=piece.offset,
        encrypt=piece.encrypted,
    ), blocks


def can_compress(link: Link) -> bool:
    """Tell whether the loader may get compressed data."""
    return reason_against_compression(link.session.dialect, link.chip) is None


def _inflates_encrypted(link: Link) -> bool:
    """Tell whether the loader encrypts what it has inflated: those do that write after answering.

    A ROM loader refuses to (``tests/vectors/README.md``).
    """
    return link.session.dialect.answers_before_writing


def _work_time(size: int) -> float:
    """Return how long a loader may take for ``size`` bytes of flash, in seconds."""
    return max(DEFAULT_TIMEOUT, WRITE_SECONDS_PER_MIB * (size + _WORK_AHEAD) / _MIB)
