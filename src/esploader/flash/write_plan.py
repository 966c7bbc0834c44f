"""A whole job: plan, compare, write, verify, region by region."""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import frozen
from esploader.errors import (
    CommandError,
    CommandFailedError,
    FlashError,
    NoResponseError,
    ProtocolError,
    TransportError,
)
from esploader.flash.blank import blank_apart
from esploader.flash.delta import CostModel, changed_pieces
from esploader.flash.erase import Doubts
from esploader.flash.hashing import which_hold
from esploader.flash.plan import ERASED, SECTOR_SIZE, Piece
from esploader.flash.progress import Phase, Progress, ProgressCallback, ignore_progress
from esploader.flash.read_back import is_blind, is_hidden
from esploader.flash.steps import can_compress
from esploader.flash.write import RegionWriter
from esploader.protocol.status import RECOVERABLE_CODES

if TYPE_CHECKING:
    from esploader.flash.plan import FlashRange, InputPart, WritePlan
    from esploader.loader.link import Link

_log: Final = logging.getLogger(__name__)

_SAMPLE_SIZE: Final = 0x1_0000
_COMPARE_ATTEMPTS: Final = 3


@frozen(kw_only=True)
class RegionResult:
    """What became of one region of a plan."""

    offset: int = attrs.field(repr=hex)
    """Where the region begins."""
    size: int
    """Bytes of flash: of the inputs, and what fills them up."""
    written: int
    """Bytes of flash that were erased and written; the others were right already."""
    sent: int
    """Bytes of blocks on the wire, compressed or not."""
    restarts: int
    """How often a download had to begin again."""
    verified: bool
    """All of it was seen to be in place, by MD5. What the device encrypted cannot be, and in
    Secure Download Mode nothing: the loader reported no failure, and that is all that is known."""
    seconds: float
    """How long it took."""
    warnings: tuple[str, ...] = attrs.field(default=(), repr=lambda all_: f"<{len(all_)}>")
    """Why something else may have been erased: nothing protects offset and size of a request
    that erases."""
    inputs: tuple[InputPart, ...] = attrs.field(default=(), repr=lambda parts: f"<{len(parts)}>")
    """What the region was made of, in order."""


def write_plan(
    link: Link,
    plan: WritePlan,
    *,
    skip: bool = True,
    compress: bool | None = None,
    on_progress: ProgressCallback = ignore_progress,
) -> tuple[RegionResult, ...]:
    """Write every region of ``plan`` and see that it is there, unless nobody can.

    ``skip`` leaves alone what is right already, as far as that can be seen. ``compress``
    forces or forbids compression.

    Raises:
        FlashError: a region is not in place after every effort.
        EsploaderError: the loader refused, or could not be reached.
    """
    results: list[RegionResult] = []
    for region in plan.regions:
        sent = sum(result.sent for result in results)
        job = _Job(
            link=link,
            skip=skip,
            compress=compress,
            on_progress=on_progress,
            sent_before=sent,
            uncovered=() if plan.erase_all else plan.uncovered,
        )
        results.append(_write_region(job, region))
    if not any(result.restarts for result in results):
        return tuple(results)
    # Nothing protects the offset in a request that begins a download: on a line bad enough
    # to need restarts one may have gone to what was in place already.
    if is_hidden(link):
        reason = "there was trouble on the line, and what came of it cannot be seen"
        return tuple(_doubted(result, reason) if result.restarts else result for result in results)
    comparable = [region for region in plan.regions if not region.encrypted]
    wrong = [region for region in comparable if not _holds_stubbornly(link, region)]
    if not wrong:
        return tuple(results)
    sent = sum(result.sent for result in results)
    job = _Job(link=link, skip=True, compress=compress, on_progress=on_progress, sent_before=sent)
    again: list[RegionResult] = []
    for index, region in enumerate(plan.regions):
        if region in wrong:
            reason = f"{region.offset:#x} to {region.end:#x} was in place, and is no longer"
            results[index] = _doubted(results[index], reason)
            again.append(_write_region(job, region))
    if any(result.restarts for result in again) or not all(
        _holds_stubbornly(link, region) for region in comparable
    ):
        first, last = plan.regions[0], plan.regions[-1]
        reason = "the line is too bad to be sure of it"
        raise FlashError(first.offset, 0, plan.size, last.end, reason)
    return tuple(results)


def _doubted(result: RegionResult, reason: str) -> RegionResult:
    doubts = Doubts()
    doubts.note(reason)
    return attrs.evolve(result, warnings=(*result.warnings, *doubts.warnings))


@frozen(kw_only=True)
class _Job:
    """How regions are to be written."""

    link: Link
    skip: bool
    compress: bool | None
    on_progress: ProgressCallback
    sent_before: int
    """Bytes of blocks that were sent for regions before this one."""
    uncovered: tuple[FlashRange, ...] = ()
    """What is erased though nothing is written there."""


def _write_region(job: _Job, region: Piece) -> RegionResult:
    clock = job.link.session.transport.clock
    start = clock.now()
    size = len(region.data)
    pieces = [region]
    compressed = job.compress is not False and can_compress(job.link)
    costs = _costs(job.link, region, compressed=compressed)
    if job.skip and not region.encrypted and not is_blind(job.link):
        pieces = _pieces_to_write(job.link, region, costs)
        _report(job, Phase.COMPARE, region, job.sent_before)
    written = sum(len(piece.data) for piece in pieces)
    for piece in pieces:
        _warn_of_loss(job, piece)
    if not region.encrypted:
        pieces = [
            part for piece in pieces for part in blank_apart(piece, costs, compressed=compressed)
        ]
    writer = RegionWriter(
        job.link,
        region,
        job.on_progress,
        job.compress,
        done=size - written,
        sent_before=job.sent_before,
    )
    unasked = job.link.session.unasked_erasures
    for piece in pieces:
        writer.write(piece)
    if job.link.session.unasked_erasures > unasked:
        writer.doubts.note("the loader has carried out ERASE_FLASH, which nobody had asked for")
    is_verified = not region.encrypted and not is_hidden(job.link)
    if is_verified:
        _report(job, Phase.VERIFY, region, job.sent_before + writer.sent)
    return RegionResult(
        offset=region.offset,
        size=size,
        written=written,
        sent=writer.sent,
        restarts=writer.restarts,
        verified=is_verified,
        seconds=clock.now() - start,
        warnings=tuple(writer.doubts.warnings),
        inputs=region.inputs,
    )


def _warn_of_loss(job: _Job, piece: Piece) -> None:
    """Say what is lost with the sectors of ``piece``, unless it is seen to be blank."""
    end = -(-piece.end // SECTOR_SIZE) * SECTOR_SIZE
    for lost in job.uncovered:
        start = max(lost.start, piece.offset)
        blank = Piece(start, ERASED * (min(lost.end, end) - start))
        if not blank.data:
            continue
        # A loader that cannot hash takes longer to look than to write.
        if is_blind(job.link) or not _holds_stubbornly(job.link, blank):
            _log.warning(
                "what is at %#x to %#x is lost with its sector: no input covers it",
                blank.offset,
                blank.end,
            )


def _report(job: _Job, phase: Phase, region: Piece, wire_bytes: int) -> None:
    size = len(region.data)
    job.on_progress(
        Progress(phase=phase, offset=region.offset, done=size, total=size, wire_bytes=wire_bytes)
    )


def _holds_stubbornly(link: Link, region: Piece) -> bool:
    """Tell whether the flash holds ``region``; whatever the answer, it must come twice."""
    for _ in range(_COMPARE_ATTEMPTS):
        try:
            if which_hold(link, [region])[0]:
                return True
        except (CommandError, ProtocolError, TransportError) as exc:
            _log.warning("%s; comparing again", exc)
            link.revive(slower=False)
    return False


def _costs(link: Link, region: Piece, *, compressed: bool) -> CostModel:
    transport = link.session.transport
    compression = region.once(_compression) if compressed else 1.0
    return CostModel(
        baudrate=transport.baudrate,
        round_trip=transport.round_trip,
        turnaround=transport.turnaround,
        compression=compression,
    )


def _compression(data: bytes | memoryview) -> float:
    """Return what becomes of a byte on the wire, by the beginning of ``data``."""
    sample = data[:_SAMPLE_SIZE]
    return min(len(zlib.compress(sample, 1)) / len(sample), 1.0)


def _pieces_to_write(link: Link, region: Piece, costs: CostModel) -> list[Piece]:
    """Return what the device does not hold; everything, when it cannot be asked."""
    for _ in range(_COMPARE_ATTEMPTS):
        try:
            return changed_pieces(link, region, costs)
        except (NoResponseError, ProtocolError, TransportError) as exc:
            _log.warning("%s; comparing again", exc)
        except CommandFailedError as exc:
            if exc.code not in RECOVERABLE_CODES:
                raise
            _log.warning("%s; comparing again", exc)
        link.revive(slower=False)
    return [region]
