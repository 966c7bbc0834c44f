"""Erasing a region so that it is blank in the end, or saying that it is not.

An answer to a command that erases says that something was erased, not what: nothing protects
the offset and the size in the request. So the region is looked at afterwards, by its MD5 or by
reading it, and what is not blank is erased again.

What else was erased nobody can see. But where a region was said to be erased and is not, or a
request that erases got no answer, it may be that the request was another one on its way: then
the result has a warning.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, frozen
from esploader.errors import (
    CommandFailedError,
    ConnectError,
    FlashError,
    NoResponseError,
    ProtocolError,
    TransportError,
)
from esploader.flash.erase import ERASE_STEP, Doubts, erase_everything, erase_sectors
from esploader.flash.hashing import is_erased
from esploader.flash.plan import ERASE_BLOCK_SIZE, SECTOR_SIZE, FlashRange
from esploader.flash.progress import Phase, Progress, ProgressCallback, Restarted
from esploader.flash.read_back import is_blind, is_hidden
from esploader.flash.write import FAILURES_BEFORE_SLOWING, MAX_FAILURES, MAX_FAILURES_IN_PLACE
from esploader.protocol.refusals import Refusals
from esploader.protocol.status import RECOVERABLE_CODES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.loader.link import Link

_log: Final = logging.getLogger(__name__)

LOOK_SIZE: Final = 0x40_0000
"""How much is hashed in one go, in bytes: a loader may take half a minute for that."""


@frozen(kw_only=True)
class EraseResult:
    """What became of a region that was to be erased."""

    offset: int = attrs.field(repr=hex)
    """Where the region begins."""
    size: int | None
    """Bytes of flash; ``None`` for all of a flash that does not tell how large it is."""
    restarts: int
    """How often something had to be erased again."""
    verified: bool
    """All of it was seen to be blank. In Secure Download Mode nobody can see that, nor beyond
    the reach of the loader: it reported no failure, and that is all that is known."""
    seconds: float
    """How long it took."""
    warnings: tuple[str, ...] = ()
    """Why something else may have been erased: nothing protects offset and size of a request
    that erases."""


def erase_flash(
    link: Link, flash_size: int | None, seen_size: int | None, on_progress: ProgressCallback
) -> EraseResult:
    """Erase the whole flash of ``flash_size`` bytes and see that it is blank.

    Of it the loader can see ``seen_size`` bytes. Where the size is not known nothing is seen and
    reported.

    Raises:
        FlashError: it is not blank after every effort.
        UnsupportedError: the loader cannot do this.
        CommandFailedError: the loader refused twice.
        EsploaderError: the loader could not be reached again.
    """
    clock = link.session.transport.clock
    start = clock.now()
    if flash_size is None or seen_size is None:
        erase_everything(link, None)
        eraser = None
    else:
        eraser = _Eraser(link, 0, seen_size, on_progress, whole_size=flash_size)
        eraser.erase()
    is_seen = seen_size is not None and seen_size == flash_size
    if not is_seen:
        where = "the flash" if seen_size is None else f"what lies beyond {seen_size:#x}"
        _log.warning("whether %s is blank now cannot be seen through this loader", where)
    return EraseResult(
        offset=0,
        size=flash_size,
        restarts=eraser.restarts if eraser is not None else 0,
        verified=is_seen,
        seconds=clock.now() - start,
    )


def erase_region(link: Link, offset: int, size: int, on_progress: ProgressCallback) -> EraseResult:
    """Erase whole sectors and see that they are blank, unless nobody can.

    Raises:
        FlashError: they are not blank after every effort.
        CommandFailedError: the loader refused twice, for a reason that trying again does not
            change.
        EsploaderError: the loader could not be reached again.
    """
    clock = link.session.transport.clock
    start = clock.now()
    eraser = _Eraser(link, offset, size, on_progress)
    eraser.erase()
    return EraseResult(
        offset=offset,
        size=size,
        restarts=eraser.restarts,
        verified=not is_hidden(link),
        seconds=clock.now() - start,
        warnings=tuple(eraser.doubts.warnings),
    )


@define
class _Eraser:
    """Erases one region, whatever it takes."""

    _link: Link
    _offset: int
    _size: int
    _on_progress: ProgressCallback
    _whole_size: int | None = attrs.field(default=None, kw_only=True)
    """Bytes of the flash, if it is all to be erased: then there is nothing else."""

    restarts: int = attrs.field(default=0, init=False)
    doubts: Doubts = attrs.field(factory=Doubts, init=False)
    _failures_in_place: int = attrs.field(default=0, init=False)
    _left: int = attrs.field(init=False)
    """Bytes that were not blank when last looked at."""
    _refusals: Refusals = attrs.field(factory=Refusals, init=False)
    _reported: dict[Phase, int] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._left = self._size

    @property
    def _end(self) -> int:
        return self._offset + self._size

    def erase(self) -> None:
        """Erase until it is blank, or nobody can see that. Raises as :func:`erase_region`."""
        unasked = self._link.session.unasked_erasures
        self._report(Phase.ERASE, 0)
        whole = [FlashRange(start=self._offset, end=self._end)]
        reason = ""
        while True:
            try:
                ranges = self._find_rest(reason) if reason else whole
                if ranges:
                    self._send(ranges)
                self._report(Phase.ERASE, self._size)
                self._look()
            except (NoResponseError, ProtocolError, TransportError, ConnectError) as exc:
                self._refusals.clear()
                reason = str(exc)
                self._fail(reason, exc)
            except CommandFailedError as exc:
                if exc.code not in RECOVERABLE_CODES and self._refusals.is_final(exc):
                    raise
                reason = str(exc)
                self._fail(reason, exc)
            else:
                break
        if self._link.session.unasked_erasures > unasked:
            self._doubt("the loader has carried out ERASE_FLASH, which nobody had asked for")

    def _send(self, ranges: list[FlashRange]) -> None:
        if self._whole_size is not None and ranges[0].end - ranges[0].start == self._size:
            erase_everything(self._link, self._whole_size)
            return
        for whole in ranges:
            for part in self._parts(whole.start, whole.end, ERASE_STEP):
                try:
                    erase_sectors(self._link, part.start, part.end - part.start)
                except (NoResponseError, ProtocolError, TransportError):
                    self._doubt(f"the request to erase {_text(part)} got no answer")
                    raise
                self._report(Phase.ERASE, part.end - self._offset)

    def _look(self) -> None:
        """See that everything is blank.

        Raises:
            ProtocolError: it is not, though the loader has said so.
        """
        if is_hidden(self._link):
            return
        self._report(Phase.VERIFY, 0)
        for part in self._parts(self._offset, self._end, self._look_size):
            if not is_erased(self._link, part.start, part.end - part.start):
                self._doubt(f"{_text(part)} was not blank after the loader had erased it")
                raise ProtocolError("the flash is not blank after it was erased")
            self._report(Phase.VERIFY, part.end - self._offset)

    @property
    def _look_size(self) -> int:
        return SECTOR_SIZE if is_blind(self._link) else LOOK_SIZE

    def _find_rest(self, reason: str) -> list[FlashRange]:
        """Have the loader listen again; return what is not blank, or all if nobody can see it."""
        slower = self._failures_in_place % (FAILURES_BEFORE_SLOWING + 1) == FAILURES_BEFORE_SLOWING
        try:
            self._link.revive(slower=slower)
        except (TransportError, ConnectError) as exc:
            if isinstance(exc, TransportError) or self._link.is_lost:
                raise self._given_up(str(exc)) from exc
            raise
        if is_hidden(self._link):
            found = [FlashRange(start=self._offset, end=self._end)]
        else:
            found = self._not_blank()
        left = sum(part.end - part.start for part in found)
        if left < self._left:
            self._failures_in_place = 0
            self._left = left
        if found:
            self._on_progress(Restarted(offset=found[0].start, reason=reason))
        return found

    def _not_blank(self) -> list[FlashRange]:
        found: list[FlashRange] = []
        for large in self._parts(self._offset, self._end, self._look_size):
            if is_erased(self._link, large.start, large.end - large.start):
                continue
            for part in self._parts(large.start, large.end, ERASE_BLOCK_SIZE):
                is_known = part == large
                if not is_known and is_erased(self._link, part.start, part.end - part.start):
                    continue
                if found and found[-1].end == part.start:
                    part = FlashRange(start=found.pop().start, end=part.end)  # noqa: PLW2901
                found.append(part)
        return found

    @staticmethod
    def _parts(start: int, end: int, unit: int) -> Iterator[FlashRange]:
        while start < end:
            part_end = min(start - start % unit + unit, end)
            yield FlashRange(start=start, end=part_end)
            start = part_end

    def _doubt(self, reason: str) -> None:
        if self._whole_size is None:
            self.doubts.note(reason)

    def _fail(self, reason: str, error: Exception) -> None:
        """Note a failure; give up when there were too many."""
        self.restarts += 1
        self._failures_in_place += 1
        if self.restarts > MAX_FAILURES or self._failures_in_place > MAX_FAILURES_IN_PLACE:
            raise self._given_up(reason) from error
        _log.warning("%s; looking what is blank", reason)

    def _given_up(self, reason: str) -> FlashError:
        return FlashError(
            offset=self._offset,
            confirmed=self._size - self._left,
            total=self._size,
            acknowledged=self._offset + self._reported.get(Phase.ERASE, 0),
            reason=reason,
        )

    def _report(self, phase: Phase, done: int) -> None:
        """Report progress that is one."""
        if done <= self._reported.get(phase, -1):
            return
        self._reported[phase] = done
        self._on_progress(
            Progress(phase=phase, offset=self._offset, done=done, total=self._size, wire_bytes=0)
        )


def _text(part: FlashRange) -> str:
    return f"{part.start:#x} to {part.end:#x}"
