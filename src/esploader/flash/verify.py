"""Where the flash differs from what it should hold, to the byte.

A response that is lost or garbled leads to another comparison. A difference is believed when
it was seen twice: in what was read, and in the MD5 of that, which is another request. Nothing
protects the offset in either.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import frozen
from esploader.errors import (
    CommandError,
    CommandFailedError,
    ConnectError,
    FlashError,
    ProtocolError,
    TransportError,
)
from esploader.flash.hashing import which_hold
from esploader.flash.plan import SECTOR_SIZE, Piece, divided
from esploader.flash.progress import Phase, Progress, ProgressCallback, ignore_progress
from esploader.flash.read import RegionReader
from esploader.flash.read_back import is_blind
from esploader.flash.write import FAILURES_BEFORE_SLOWING, MAX_FAILURES_IN_PLACE
from esploader.protocol.status import RECOVERABLE_CODES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from esploader.loader.link import Link

_log: Final = logging.getLogger(__name__)

_READINGS: Final = 4

PART_SIZE: Final = 0x10_0000
"""How much is compared in one go, in bytes: a ROM loader needs up to 8 s for that."""


@frozen(kw_only=True)
class Difference:
    """A range of flash that does not hold what it should; ``end`` is not part of it."""

    start: int = attrs.field(repr=hex)
    """Offset of the first byte that differs."""
    end: int = attrs.field(repr=hex)
    """Offset behind the last one."""


def compare(
    link: Link, piece: Piece, on_progress: ProgressCallback = ignore_progress
) -> tuple[Difference, ...]:
    """Return where the flash differs from ``piece``, to the byte.

    Where the MD5 of a part differs, that part is read.

    Raises:
        FlashError: a part could not be compared after every effort.
        EsploaderError: the loader refused, or could not be reached again.
    """
    differences: list[Difference] = []
    size = len(piece.data)
    read = 0

    def report(done: int) -> None:
        on_progress(
            Progress(
                phase=Phase.VERIFY, offset=piece.offset, done=done, total=size, wire_bytes=read
            )
        )

    report(0)
    steady = _SteadyComparison(link, piece)
    for start in range(0, size, PART_SIZE):
        end = min(start + PART_SIZE, size)
        whole = piece.part(piece.offset + start, piece.offset + end)
        for part in _different_parts(steady, whole):
            if part.offset > piece.offset:
                report(part.offset - piece.offset)
            found = steady.read_instead_of(part)
            read += len(found)
            for first, end in _runs(part.data, found):
                _append(differences, part.offset + first, part.offset + end)
        report(whole.end - piece.offset)
    return tuple(differences)


def _append(differences: list[Difference], start: int, end: int) -> None:
    """Add a range; one that begins where the last one ends is the same range."""
    if differences and differences[-1].end == start:
        start = differences.pop().start
    differences.append(Difference(start=start, end=end))


@frozen
class _SteadyComparison:
    """Compares parts of a piece over whatever line."""

    link: Link
    whole: Piece

    def holds(self, part: Piece) -> bool:
        """Tell whether the flash holds ``part``. Raises as :meth:`which_hold`."""
        return self.which_hold([part])[0]

    def which_hold(self, parts: Sequence[Piece]) -> list[bool]:
        """Tell for each of ``parts`` whether the flash holds it; ask for all at once.

        Raises:
            FlashError: there were too many failures.
        """
        part = parts[0]
        for failures in range(MAX_FAILURES_IN_PLACE + 1):
            try:
                return which_hold(self.link, parts)
            except (CommandError, ProtocolError, TransportError) as exc:
                if isinstance(exc, CommandFailedError) and exc.code not in RECOVERABLE_CODES:
                    raise
                if failures == MAX_FAILURES_IN_PLACE:
                    raise self._given_up(part, str(exc)) from exc
                _log.warning("%s; comparing again from %#x", exc, part.offset)
            self._revive(part, failures + 1)
        raise AssertionError  # The last failure has raised.

    def _revive(self, part: Piece, failures: int) -> None:
        slower = failures % (FAILURES_BEFORE_SLOWING + 1) == FAILURES_BEFORE_SLOWING
        try:
            self.link.revive(slower=slower)
        except (CommandError, ProtocolError, TransportError, ConnectError) as exc:
            if isinstance(exc, TransportError) or self.link.is_lost:
                raise self._given_up(part, str(exc)) from exc
            # The next comparison fails, and is counted.
            _log.warning("%s", exc)

    def read_instead_of(self, part: Piece) -> bytes:
        """Return what the flash holds where it should hold ``part``.

        Raises:
            FlashError: it could not be read, or never the same twice.
        """
        for _ in range(_READINGS):
            reader = RegionReader(self.link, ignore_progress)
            found = b"".join(reader.read(part.offset, len(part.data)))
            # Without an MD5 the reader believes nothing that did not come twice.
            is_sure = found == part.data or is_blind(self.link)
            if is_sure or self.holds(Piece(part.offset, found)):
                return found
            _log.warning("the flash at %#x does not hold what was read; reading again", part.offset)
        raise self._given_up(part, "what is read is never what the flash holds")

    def _given_up(self, part: Piece, reason: str) -> FlashError:
        compared = part.offset - self.whole.offset
        return FlashError(part.offset, compared, len(self.whole.data), part.offset, reason)


def _different_parts(steady: _SteadyComparison, piece: Piece) -> Iterator[Piece]:
    """Yield parts of about a sector that the flash does not hold.

    Found by halving, or by asking for all at once where that costs no more.
    """
    if is_blind(steady.link):
        # Halving would read the same bytes again and again.
        yield from (part for part in divided(piece, SECTOR_SIZE) if not steady.holds(part))
        return
    if steady.holds(piece):
        return
    if len(piece.data) <= SECTOR_SIZE:
        yield piece
        return
    if steady.link.session.transport.capabilities.gated:
        sectors = list(divided(piece, SECTOR_SIZE))
        answers = steady.which_hold(sectors)
        yield from (part for part, right in zip(sectors, answers, strict=True) if not right)
        return
    middle = piece.offset + (len(piece.data) // 2 // SECTOR_SIZE * SECTOR_SIZE or SECTOR_SIZE)
    yield from _different_parts(steady, piece.part(piece.offset, middle))
    yield from _different_parts(steady, piece.part(middle, piece.end))


def _runs(expected: bytes | memoryview, found: bytes) -> Iterator[tuple[int, int]]:
    """Yield where two byte strings of one size differ."""
    start: int | None = None
    for index, (one, other) in enumerate(zip(expected, found, strict=True)):
        if one != other and start is None:
            start = index
        elif one == other and start is not None:
            yield start, index
            start = None
    if start is not None:
        yield start, len(expected)
