"""Writing a region so that it is there in the end, or saying how far it got.

The stub answers a block when it has arrived, *before* it is inflated and written, and
appends whatever comes next. So a block is never sent again after trouble: the device is
asked by MD5 which sectors it holds, and the download begins anew at the first that
differs. The same covers a response that was lost, late or garbled, a refusal that line
noise explains, a block that failed to be written, and a device that was reset.

What the device encrypts cannot be compared, since only the device knows the key. A download
of that kind is taken to be right when the loader ends it without complaint and the flash then
holds neither the plain data nor nothing. After trouble it begins anew where it began, not in
its middle, and is believed once two downloads in a row have left the same bytes: encrypting
is a function of key, offset and data.

In Secure Download Mode nothing can be asked. All there is to go by are the loader's answers:
the checksum of each block was right, and the ROM read back what it had programmed. After
trouble a download begins anew where it began: whether the block in question was taken nobody
knows, and a ROM that found its checksum wrong counts it all the same, and puts the next one in
its place.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, Final, TypeGuard

import attrs

from esploader.errors import (
    CommandFailedError,
    ConnectError,
    FlashError,
    NoResponseError,
    ProtocolError,
    TransportError,
)
from esploader.flash.blank import is_blank
from esploader.flash.compress import (
    WireBlock,
    compressed_blocks,
    is_worth_compressing,
    max_block_count,
    plain_blocks,
)
from esploader.flash.erase import erase_sectors, size_to_announce
from esploader.flash.hashing import count_right_sectors, holds, md5_of
from esploader.flash.plan import ERASED, SECTOR_SIZE, Piece
from esploader.flash.read_back import is_blind, is_hidden
from esploader.progress import Phase, Progress, ProgressCallback, Restarted, ignore_progress
from esploader.protocol.commands import DEFAULT_TIMEOUT, Command
from esploader.protocol.download_commands import (
    FlashBegin,
    FlashData,
    FlashDeflBegin,
    FlashDeflData,
    FlashEnd,
)
from esploader.protocol.flash_commands import SpiFlashMd5
from esploader.protocol.opcodes import Opcode
from esploader.protocol.status import RECOVERABLE_CODES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from esploader.loader.link import Link
    from esploader.protocol.dialect import Dialect

_log: Final = logging.getLogger(__name__)

MAX_FAILURES: Final = 60
"""How often one region may have to be begun again."""

MAX_FAILURES_IN_PLACE: Final = 6
"""How often in a row without a sector more in place."""

FAILURES_BEFORE_SLOWING: Final = 2
"""After how many failures in a row the line is taken to be to blame."""

MAX_PIECE_SIZE: Final = 1 << 32
"""No limit: a trouble-free write is one BEGIN and one check."""

MAX_BLIND_PIECE_SIZE: Final = 0x4000
"""Between two looks at the flash, where those take longer than writing: after trouble all
since the last one is written again, and progress is worth reporting meanwhile."""

MAX_HIDDEN_PIECE_SIZE: Final = 0x4_0000
"""Of one download where nobody can see what became of it: after trouble all of it is sent again.
Not smaller, because nothing protects the offset in the request that begins a download."""

WRITE_SECONDS_PER_MIB: Final = 40.0
"""How long a loader may take to erase and write, in seconds per MiB: slow parts when cold."""

# Of the stub: the flash failed, or the inflater. It says so in the answer to the command
# after the block.
_DEFERRED_CODES: Final = frozenset({0xC4, 0xC7})

# The stub erases up to one block of 64 KiB, and its inflater holds up to 32 KiB back.
_WORK_AHEAD: Final = 0x1_8000
_MIB: Final = 1024 * 1024


@attrs.define
class RegionWriter:
    """Writes the pieces of one region that are not in place."""

    _link: Link
    _region: Piece
    _on_progress: ProgressCallback
    _compress: bool | None
    """``None`` to decide by the data."""

    done: int
    """Bytes of the region that are in place."""
    sent_before: int = 0
    """Bytes of blocks that were sent for other regions."""
    sent: int = attrs.field(default=0, init=False)
    """Bytes of blocks that were sent, compressed or not, repetitions included."""
    restarts: int = attrs.field(default=0, init=False)
    """How often a download had to begin again."""

    def write(self, piece: Piece) -> None:
        """Write ``piece`` and see by MD5 that it is there, unless nobody can.

        Raises:
            FlashError: it is not there after every effort.
            CommandFailedError: the loader refused for a reason that trying again does not
                change.
            EsploaderError: the loader could not be reached again.
        """
        attempt = _Attempt(piece, _most_at_once(self._link))
        while True:
            try:
                if attempt.failures:
                    self._find_restart(attempt)
                self._download(attempt)
            except (NoResponseError, ProtocolError, TransportError, ConnectError) as exc:
                self._fail(attempt, exc)
            except CommandFailedError as exc:
                if exc.code not in RECOVERABLE_CODES:
                    raise
                self._fail(attempt, exc)
            else:
                self.done += len(piece.data)
                return

    def _download(self, attempt: _Attempt) -> None:
        """Send what is not in place, and compare."""
        while attempt.rest.data:
            piece = attempt.next_download
            if piece.encrypted:
                digest = self._carry_out(attempt, self._steps(piece))
                if not self._is_believable(attempt, piece, digest):
                    continue
            elif not self._put(attempt, piece):
                raise ProtocolError("the flash does not hold what was sent")
            attempt.succeed(len(piece.data))

    def _put(self, attempt: _Attempt, piece: Piece) -> bool:
        """Erase or write, and tell whether the flash holds ``piece`` now."""
        digest: bytes | None = None
        if is_blank(piece.data):
            erase_sectors(self._link, piece.offset, len(piece.data), ignore_progress)
            self._reach(attempt, len(piece.data))
        else:
            digest = self._carry_out(attempt, self._steps(piece))
        if is_hidden(self._link):
            return True
        return digest == md5_of(piece.data) if digest else holds(self._link, piece)

    def _carry_out(self, attempt: _Attempt, steps: Iterable[_Step]) -> bytes:
        """Carry out the steps of one download; return what the last one, if any, brings.

        As many are on the way as the link takes. Leaving early, as by an exception in
        whoever is told of the progress, takes back what has not reached the loader.
        """
        waiting: deque[_Step] = deque()

        def commands() -> Iterator[Command[object]]:
            for step in steps:
                waiting.append(step)
                yield step.command

        session = self._link.session
        last: object = None
        try:
            with contextlib.closing(session.execute_ahead(commands())) as results:
                for result in results:
                    step = waiting.popleft()
                    if step.size:
                        self.sent += step.size
                        self._reach(attempt, step.covered)
                    last = result
        except (CommandFailedError, NoResponseError) as exc:
            step = waiting[0]
            if step.is_early and session.abilities.use_small_blocks(session.dialect):
                raise ProtocolError(f"{exc}; trying smaller blocks") from exc
            if _is_deferred(exc, step, session.dialect):
                reason = f"{step.block_before} failed after it had been answered: {exc.meaning}"
                raise ProtocolError(reason) from exc
            raise
        return last if isinstance(last, bytes) else b""

    def _reach(self, attempt: _Attempt, done: int) -> None:
        """Note that ``done`` bytes of the present download are done."""
        attempt.reached = max(attempt.reached, attempt.in_place + done)
        self._report(attempt.reached)

    def _is_believable(self, attempt: _Attempt, piece: Piece, digest: bytes) -> bool:
        """Tell whether an encrypted download needs no repetition to be believed.

        ``digest`` is the MD5 of what is there now.

        Raises:
            ProtocolError: what is in flash is not ``piece``, encrypted.
        """
        if is_hidden(self._link):
            return True
        size = len(piece.data)
        if digest == md5_of(piece.data):
            raise ProtocolError("the flash holds the plain data, not encrypted")
        if digest == md5_of(ERASED * size):
            raise ProtocolError("the flash is blank where it was written to")
        earlier = attempt.encrypted_digests.get(size)
        if not self.restarts or earlier == digest:
            return True
        attempt.encrypted_digests = {size: digest}
        if earlier is not None:
            raise ProtocolError("two downloads of the same data were encrypted differently")
        return False

    def _steps(self, piece: Piece) -> Iterator[_Step]:
        """Return the commands that download ``piece``, with the MD5 of it at the end."""
        compress = self._compress
        if compress is None:
            compress = is_worth_compressing(piece.data)
        if not can_compress(self._link):
            compress = False
        # Not when the first step is taken: preparing may take commands of its own.
        begin, blocks = self._prepare(piece, compress=compress)
        return self._steps_of(piece, begin, blocks, FlashDeflData if compress else FlashData)

    def _steps_of(
        self,
        piece: Piece,
        begin: Command[None],
        blocks: Iterable[WireBlock],
        block_class: type[FlashData | FlashDeflData],
    ) -> Iterator[_Step]:
        is_deferred = self._link.session.dialect.answers_before_writing
        yield _Step(begin, is_early=True)
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
            yield _Step(
                command,
                f"block {sequence - 1}" if sequence else "",
                size=len(block.data),
                covered=block.covered,
                is_early=not sequence,
            )
            pending_work = own_work if is_deferred else 0.0
            covered = block.covered
        if piece.encrypted and is_deferred:
            yield _Step(FlashEnd(reboot=False, work_time=pending_work), "the last block")
        if not is_blind(self._link):
            size = len(piece.data)
            check = SpiFlashMd5(offset=piece.offset, size=size, work_time=pending_work)
            yield _Step(check, "the last block")

    def _prepare(
        self, piece: Piece, *, compress: bool
    ) -> tuple[Command[None], Iterable[WireBlock]]:
        """Return the command that announces ``piece``, and its blocks."""
        dialect = self._link.session.dialect
        block_size = self._link.session.flash_block_size
        size = len(piece.data)
        # A stub counts the bytes, a ROM erases so many; it may not round up by itself.
        announced = (
            size if dialect.answers_before_writing else -(-size // SECTOR_SIZE) * SECTOR_SIZE
        )
        if not compress:
            return FlashBegin(
                size=size_to_announce(self._link, piece.offset, announced),
                block_count=-(-size // block_size),
                block_size=block_size,
                offset=piece.offset,
                encrypt=piece.encrypted,
            ), plain_blocks(piece.data, block_size)
        blocks: Iterable[WireBlock] = compressed_blocks(piece.data, block_size)
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

    def _fail(self, attempt: _Attempt, exc: Exception) -> None:
        """Note a failure; give up when there were too many."""
        self.restarts += 1
        attempt.fail(str(exc))
        if attempt.failures > MAX_FAILURES or attempt.failures_in_place > MAX_FAILURES_IN_PLACE:
            raise self._given_up(attempt, attempt.reason) from exc
        _log.warning("%s; finding out what is in place", exc)

    def _given_up(self, attempt: _Attempt, reason: str) -> FlashError:
        is_seen = not is_hidden(self._link)
        return FlashError(
            offset=attempt.rest.offset if is_seen else self._region.offset,
            confirmed=self.done + attempt.in_place if is_seen else 0,
            total=len(self._region.data),
            acknowledged=attempt.piece.offset + max(attempt.reached, attempt.in_place),
            reason=reason,
        )

    def _find_restart(self, attempt: _Attempt) -> None:
        """Have the loader listen again and ask it what it holds."""
        slower = (
            attempt.failures_in_place % (FAILURES_BEFORE_SLOWING + 1) == FAILURES_BEFORE_SLOWING
        )
        try:
            self._link.revive(slower=slower)
        except (TransportError, ConnectError) as exc:
            if isinstance(exc, TransportError) or self._link.is_lost:
                raise self._given_up(attempt, str(exc)) from exc
            raise
        if not attempt.piece.encrypted:
            found = count_right_sectors(self._link, attempt.rest) * SECTOR_SIZE
            if found:
                attempt.succeed(found)
        self._on_progress(Restarted(offset=attempt.rest.offset, reason=attempt.reason))

    def _report(self, reached: int) -> None:
        self._on_progress(
            Progress(
                phase=Phase.WRITE,
                offset=self._region.offset,
                done=self.done + reached,
                total=len(self._region.data),
                wire_bytes=self.sent_before + self.sent,
            )
        )


@attrs.frozen
class _Step:
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


@attrs.define
class _Attempt:
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
        return attrs.evolve(
            self.piece,
            offset=self.piece.offset + self.in_place,
            data=self.piece.data[self.in_place :],
        )

    @property
    def next_download(self) -> Piece:
        """What to send next, between one BEGIN and one check."""
        return attrs.evolve(self.rest, data=self.rest.data[: self.limit])

    def succeed(self, size: int) -> None:
        """Note that ``size`` bytes more are in place."""
        self.in_place += size
        self.failures_in_place = 0
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


def _is_deferred(
    error: CommandFailedError | NoResponseError, step: _Step, dialect: Dialect
) -> TypeGuard[CommandFailedError]:
    """Tell whether the answer to ``step`` is about the block before it."""
    return (
        isinstance(error, CommandFailedError)
        and bool(step.block_before)
        and dialect.answers_before_writing
        and error.code in _DEFERRED_CODES
    )


def _most_at_once(link: Link) -> int:
    """Return the bytes of the longest download."""
    if is_hidden(link):
        return MAX_HIDDEN_PIECE_SIZE
    return MAX_BLIND_PIECE_SIZE if is_blind(link) else MAX_PIECE_SIZE


def can_compress(link: Link) -> bool:
    """Tell whether the loader takes compressed data."""
    return Opcode.FLASH_DEFL_BEGIN in link.session.dialect.opcodes


def _work_time(size: int) -> float:
    """Return how long a loader may take for ``size`` bytes of flash, in seconds."""
    return max(DEFAULT_TIMEOUT, WRITE_SECONDS_PER_MIB * (size + _WORK_AHEAD) / _MIB)
