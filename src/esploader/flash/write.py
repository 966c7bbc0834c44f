"""Writing a region so that it is there in the end, or saying how far it got.

The stub answers a block when it has arrived, *before* it is inflated and written, and
appends whatever comes next. So a block is never sent again after trouble: the device is
asked by MD5 which sectors it holds, and the download begins anew at the first that
differs. The same covers a response that was lost, late or garbled, a refusal that line
noise explains, a block that failed to be written, and a device that was reset.

What the device encrypts cannot be compared, since only the device knows the key. A download
of that kind begins on flash that was seen to be blank, so that a request that was garbled and
led elsewhere shows. It is taken to be right when the loader ends it without complaint and the
flash then holds neither the plain data nor nothing, and something at both ends. After trouble
it begins anew where it began, not in its middle, and is believed once two downloads in a row
have left the same bytes: encrypting is a function of key, offset and data.

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
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import (
    CommandFailedError,
    ConnectError,
    FlashError,
    NoResponseError,
    ProtocolError,
    TransportError,
)
from esploader.flash.attempt import Attempt
from esploader.flash.blank import is_blank
from esploader.flash.download import Download
from esploader.flash.erase import ERASE_STEP, Doubts, erase_sectors
from esploader.flash.hashing import count_right_sectors, holds, is_erased, md5_of, md5_of_erased
from esploader.flash.plan import SECTOR_SIZE, Piece
from esploader.flash.progress import Phase, Progress, ProgressCallback, Restarted
from esploader.flash.read_back import is_blind, is_hidden
from esploader.flash.steps import Step, steps_of
from esploader.protocol.dialect import STUB
from esploader.protocol.flash_commands import SpiFlashMd5
from esploader.protocol.status import RECOVERABLE_CODES, ROM_WRITE_FAILED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from esploader.loader.link import Link
    from esploader.protocol.commands import Command

_log: Final = logging.getLogger(__name__)

MAX_FAILURES: Final = 60
"""How often one region may have to be begun again."""

MAX_FAILURES_IN_PLACE: Final = 6
"""How often in a row without a sector more in place."""

FAILURES_BEFORE_SLOWING: Final = 2
"""After how many failures in a row the line is taken to be to blame."""

EARLY_FAILURES_BEFORE_SMALL_BLOCKS: Final = 2
"""After how many downloads in a row that end with their first block the loader is taken not to
take blocks of that size: a single one may be the fault of the line."""

MAX_PIECE_SIZE: Final = 1 << 32
"""No limit: a trouble-free write is one BEGIN and one check."""

MAX_PIECE_SIZE_OF_ROM: Final = ERASE_STEP
"""Of a ROM loader, which erases all of it before it answers: for as long as that may take nobody
knows whether it is there."""

MAX_BLIND_PIECE_SIZE: Final = 0x4000
"""Between two looks at the flash, where those take longer than writing: after trouble all
since the last one is written again, and progress is worth reporting meanwhile."""

MAX_HIDDEN_PIECE_SIZE: Final = 0x4_0000
"""Of one download where nobody can see what became of it: after trouble all of it is sent again.
Not smaller, because nothing protects the offset in the request that begins a download."""


@define
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
    doubts: Doubts = attrs.field(factory=Doubts, init=False)
    """Signs that something else was erased, or written over."""

    def write(self, piece: Piece) -> None:
        """Write ``piece`` and see by MD5 that it is there, unless nobody can.

        Raises:
            FlashError: it is not there after every effort.
            CommandFailedError: the loader refused twice, for a reason that trying again does
                not change.
            EsploaderError: the loader could not be reached again.
        """
        attempt = Attempt(piece, _most_at_once(self._link))
        while True:
            try:
                if attempt.failures:
                    self._find_restart(attempt)
                self._download(attempt)
            except (NoResponseError, ProtocolError, TransportError, ConnectError) as exc:
                attempt.refusals.clear()
                self._fail(attempt, exc)
            except CommandFailedError as exc:
                if exc.code not in RECOVERABLE_CODES and attempt.refusals.is_final(exc):
                    raise
                if exc.code == ROM_WRITE_FAILED:
                    # Nothing protects the size of a block: more of it may have been written.
                    self._doubt(piece.offset, piece.end, "could not be written as it was sent")
                self._fail(attempt, exc)
            else:
                self.done += len(piece.data)
                return

    def _download(self, attempt: Attempt) -> None:
        """Send what is not in place, and compare."""
        while attempt.rest.data:
            piece = attempt.next_download
            if piece.encrypted:
                self._make_blank(piece)
                digest = self._carry_out(
                    attempt, steps_of(self._link, piece, compress=self._compress)
                )
                if not self._is_believable(attempt, piece, digest):
                    continue
            elif not self._put(attempt, piece):
                self._doubt(
                    piece.offset, piece.end, "does not hold what the loader has taken for it"
                )
                raise ProtocolError("the flash does not hold what was sent")
            attempt.succeed(len(piece.data))

    def _make_blank(self, piece: Piece) -> None:
        """Erase ``piece``, so that what is there afterwards was written there.

        Raises:
            ProtocolError: it is not blank after that.
        """
        if is_hidden(self._link):
            return
        size = len(piece.data)
        whole = -(-size // SECTOR_SIZE) * SECTOR_SIZE
        self._erase(piece.offset, piece.offset + whole)
        if not is_erased(self._link, piece.offset, whole):
            what = "was not blank after the loader had erased it"
            self._doubt(piece.offset, piece.offset + whole, what)
            raise ProtocolError("the flash is not blank after it was erased")

    def _put(self, attempt: Attempt, piece: Piece) -> bool:
        """Erase or write, and tell whether the flash holds ``piece`` now."""
        digest: bytes | None = None
        if is_blank(piece.data):
            self._erase(piece.offset, piece.end)
            self._reach(attempt, len(piece.data))
        else:
            digest = self._carry_out(attempt, steps_of(self._link, piece, compress=self._compress))
        if is_hidden(self._link):
            return True
        return digest == piece.once(md5_of) if digest else holds(self._link, piece)

    def _erase(self, start: int, end: int) -> None:
        try:
            erase_sectors(self._link, start, end - start)
        except (NoResponseError, ProtocolError, TransportError):
            self._doubt(start, end, "was to be erased, and there was no answer")
            raise

    def _doubt(self, start: int, end: int, what: str) -> None:
        self.doubts.note(f"{start:#x} to {end:#x} {what}")

    def _carry_out(self, attempt: Attempt, steps: Iterable[Step]) -> bytes:
        """Carry out the steps of one download; return what the last one, if any, brings.

        As many are on the way as the link takes. Leaving early, as by an exception in
        whoever is told of the progress, takes back what has not reached the loader.
        """
        waiting: deque[Step] = deque()
        download = attempt.download = Download(attempt.next_download)

        def commands() -> Iterator[Command[object]]:
            for step in steps:
                waiting.append(step)
                download.sent = max(download.sent, step.covered)
                yield step.command

        session = self._link.session
        last: object = None
        try:
            with contextlib.closing(session.execute_ahead(commands())) as results:
                for result in results:
                    step = waiting.popleft()
                    download.note(step.command, step.covered)
                    if step.size:
                        attempt.early_failures = 0
                        self.sent += step.size
                        self._reach(attempt, step.covered)
                    last = result
        except (CommandFailedError, NoResponseError) as exc:
            step = waiting[0]
            download.is_refused = isinstance(exc, CommandFailedError)
            attempt.early_failures += step.is_early
            if (
                step.is_early
                and attempt.early_failures >= EARLY_FAILURES_BEFORE_SMALL_BLOCKS
                and session.abilities.use_small_blocks(session.dialect)
            ):
                raise ProtocolError(f"{exc}; trying smaller blocks") from exc
            if step.is_about_the_block_before(exc, session.dialect):
                reason = f"{step.block_before} failed after it had been answered: {exc.meaning}"
                raise ProtocolError(reason) from exc
            raise
        return last if isinstance(last, bytes) else b""

    def _reach(self, attempt: Attempt, done: int) -> None:
        """Note that ``done`` bytes of the present download are done."""
        attempt.reached = max(attempt.reached, attempt.in_place + done)
        self._report(attempt.reached)

    def _is_believable(self, attempt: Attempt, piece: Piece, digest: bytes) -> bool:
        """Tell whether an encrypted download needs no repetition to be believed.

        ``digest`` is the MD5 of what is there now.

        Raises:
            ProtocolError: what is in flash is not ``piece``, encrypted.
        """
        if is_hidden(self._link):
            return True
        size = len(piece.data)
        if digest == piece.once(md5_of):
            raise ProtocolError("the flash holds the plain data, not encrypted")
        if digest == md5_of_erased(size):
            self._doubt(piece.offset, piece.end, "is blank after the loader had taken data for it")
            raise ProtocolError("the flash is blank where it was written to")
        if self._has_blank_end(piece):
            self._doubt(piece.offset, piece.end, "is blank where the data begin or end")
            raise ProtocolError("the flash is blank where the data begin or end")
        earlier = attempt.encrypted_digests.get(size)
        if not self.restarts or earlier == digest:
            return True
        attempt.encrypted_digests = {size: digest}
        if earlier is not None:
            self._doubt(
                piece.offset,
                piece.end,
                "was encrypted differently by two downloads of the same data",
            )
            raise ProtocolError("two downloads of the same data were encrypted differently")
        return False

    def _has_blank_end(self, piece: Piece) -> bool:
        """Tell whether what was encrypted seems to stand somewhat beside its place."""
        unit = self._link.chip.encrypted_write_alignment or len(piece.data)
        ends = [SpiFlashMd5(offset=at, size=unit) for at in (piece.offset, piece.end - unit)]
        return md5_of_erased(unit) in self._link.session.execute_all(ends)

    def _fail(self, attempt: Attempt, exc: Exception) -> None:
        """Note a failure; give up when there were too many."""
        self.restarts += 1
        attempt.fail(str(exc))
        if attempt.failures > MAX_FAILURES or attempt.failures_in_place > MAX_FAILURES_IN_PLACE:
            raise self._given_up(attempt, attempt.reason) from exc
        _log.warning("%s; finding out what is in place", exc)

    def _given_up(self, attempt: Attempt, reason: str) -> FlashError:
        is_seen = not is_hidden(self._link)
        return FlashError(
            offset=attempt.rest.offset if is_seen else self._region.offset,
            confirmed=self.done + attempt.in_place if is_seen else 0,
            total=len(self._region.data),
            acknowledged=attempt.piece.offset + max(attempt.reached, attempt.in_place),
            reason=reason,
        )

    def _find_restart(self, attempt: Attempt) -> None:
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
            self._judge(attempt, found)
            if found:
                attempt.succeed(found)
        self._on_progress(Restarted(offset=attempt.rest.offset, reason=attempt.reason))

    def _judge(self, attempt: Attempt, found: int) -> None:
        """See whether the last download, which broke off, did what the loader said of it.

        ``found`` bytes of it are right.
        """
        download, attempt.download = attempt.download, None
        # A loader that has to be read is not looked at: that takes longer than writing again.
        if download is None or is_blind(self._link):
            return
        piece = download.piece
        dialect = self._link.session.dialect
        written = download.written(dialect)
        if found < written - written % SECTOR_SIZE:
            self._doubt(piece.offset, piece.end, "does not hold what the loader has taken for it")
            return
        if dialect.answers_before_writing or (download.is_refused and not download.is_begun):
            return
        # A ROM loader erases it all when it begins.
        behind = max(found, download.sent)
        start = piece.offset - -behind // SECTOR_SIZE * SECTOR_SIZE
        if start < piece.end and not is_erased(self._link, start, piece.end - start):
            self._doubt(piece.offset, piece.end, "was not erased where a download of it had begun")

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


def _most_at_once(link: Link) -> int:
    """Return the bytes of the longest download."""
    if is_hidden(link):
        return MAX_HIDDEN_PIECE_SIZE
    if is_blind(link):
        return MAX_BLIND_PIECE_SIZE
    return MAX_PIECE_SIZE if link.session.dialect is STUB else MAX_PIECE_SIZE_OF_ROM
