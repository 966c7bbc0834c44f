"""A needle bed: in each of its places one board after the other."""

from __future__ import annotations

import enum
import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import EsploaderError
from esploader.fleet.board import Board, Claims, Surroundings
from esploader.fleet.board_log import LogOfThreads
from esploader.fleet.crew import Hand, Patience
from esploader.fleet.events import SeenAgain, VerdictLost, Waiting
from esploader.fleet.job import require_at_least, require_distinct, require_time
from esploader.fleet.mailbox import Listener, Mailbox, ignore_event
from esploader.fleet.many import LOOK_INTERVAL
from esploader.fleet.presence import Presence
from esploader.fleet.recording import recorded_unheard
from esploader.fleet.results import FleetResult
from esploader.fleet.stop import StopRules, Tally
from esploader.fleet.watch import REAL_CLOCK, InterruptedWorkError, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from esploader.fleet.events import OnEvent
    from esploader.fleet.job import Job
    from esploader.fleet.record import Record
    from esploader.fleet.results import BoardResult
    from esploader.transport.clock import Clock

REMEMBERED: Final = 1000
"""So many boards are known again, and so many results are kept."""


@enum.unique
class Again(enum.Enum):
    """What becomes of a board that is put into the bed again."""

    SKIP = "skip"
    """It is left alone, if it was done."""
    WRITE = "write"
    """It is written again."""


def run_bed(  # noqa: PLR0913 - options, all by keyword
    jobs: Sequence[Job],
    *,
    again: Again = Again.SKIP,
    limit: int | None = None,
    retries: int = 0,
    time_limit: float | None = None,
    patience: Patience = Patience(),  # noqa: B008 - it is frozen
    stop: StopRules = StopRules(),  # noqa: B008 - it is frozen
    record: Record | None = None,
    cancel: threading.Event | None = None,
    clock: Clock = REAL_CLOCK,
    on_event: OnEvent = ignore_event,
    on_verdict: Callable[[BoardResult], object] = ignore_event,
) -> FleetResult:
    """Write to one board after the other in each place, until somebody cancels it.

    A place waits for a board, writes and checks it, has the verdict told, and waits until the
    board is taken away. No place waits for another. It ends after ``limit`` boards, if there is
    one, when ``stop`` says so, and when ``cancel`` is set; with an exception from ``on_event``
    and Ctrl-C as :func:`flash_many`, whose arguments the others are.

    ``on_verdict`` is called with what became of a board, in the thread of its place, when that is
    recorded. What it raises is recorded, too, and :class:`VerdictLost` says it. ``again`` says what
    is done with a board that was done a short while ago; of :data:`REMEMBERED` it is known.
    ``clock`` is what places wait by.

    Raises:
        ConfigError: two jobs have the same port or label, or a number makes no sense; nothing has
            been done.
        RecordError: the record cannot be written to; nothing has been done.
    """
    require_distinct(jobs)
    require_at_least("limit", limit, 1)
    require_at_least("retries", retries, 0)
    require_time("time_limit", time_limit)
    patience.check()
    stop.check()
    if record is not None:
        record.check()
    mailbox = Mailbox()
    bed = _Bed(
        mailbox=mailbox,
        again=again,
        limit=limit,
        time_limit=time_limit,
        patience=patience,
        tally=Tally(stop),
        record=record,
        cancel=cancel or threading.Event(),
        clock=clock,
        on_verdict=on_verdict,
    )
    with LogOfThreads() as logs:
        around = Surroundings(
            retries=retries, dry_run=False, post=mailbox.post, claims=Claims(), logs=logs
        )
        return bed.carry_out([_Place(bed, job, around) for job in jobs], Listener(on_event))


@define(eq=False, kw_only=True)
class _Bed:
    """What the places of a bed share."""

    mailbox: Mailbox
    again: Again
    limit: int | None
    time_limit: float | None
    patience: Patience
    tally: Tally
    record: Record | None
    cancel: threading.Event
    clock: Clock
    on_verdict: Callable[[BoardResult], object]
    closing: threading.Event = attrs.field(factory=threading.Event, init=False)
    """No more boards are begun, and none is waited for."""
    _results: deque[BoardResult] = attrs.field(factory=lambda: deque(maxlen=REMEMBERED), init=False)
    _known: OrderedDict[str, BoardResult] = attrs.field(factory=OrderedDict, init=False)
    _begun: int = attrs.field(default=0, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def carry_out(self, places: Sequence[_Place], listener: Listener) -> FleetResult:
        """Work in all places, and return when all have ended."""
        interruption: BaseException | None = None
        deadline: float | None = None
        for place in places:
            place.start()
        while any(place.is_at_work for place in places):
            try:
                listener.tell(self.mailbox.take(LOOK_INTERVAL))
            except BaseException as exc:  # noqa: BLE001 - it comes out when all have ended
                interruption = interruption or exc
                self.cancel.set()
            if self.cancel.is_set():
                self.closing.set()
            has_boards = any(place.is_busy for place in places)
            if not self.closing.is_set() or (has_boards and not self.cancel.is_set()):
                deadline = None
                continue
            # A place that hangs while it waits for a board is left behind.
            now, ending = REAL_CLOCK.now(), self.patience.leaving + 2 * self.patience.closing
            deadline = now + ending if deadline is None else deadline
            if now >= deadline:
                break
        listener.tell(self.mailbox.take(0.0))
        if interruption is not None:
            raise interruption
        stopped = self.tally.reason
        if self.cancel.is_set():
            stopped = "somebody cancelled it"
        elif not self.closing.is_set():
            stopped = "no place goes on"
        return FleetResult(
            boards=tuple(self._results),
            count=self.tally.ended,
            done_count=self.tally.ended - self.tally.failures,
            stopped=stopped,
        )

    def admit(self) -> bool:
        """Tell whether one more board may be begun, and count it."""
        with self._lock:
            if self.closing.is_set():
                return False
            self._begun += 1
            if self._begun == self.limit:
                self.closing.set()
            return True

    def note(self, result: BoardResult) -> None:
        """Take in what became of a board."""
        with self._lock:
            self._results.append(result)
            self.tally.count(result)
            if self.tally.reason is not None:
                self.closing.set()
            if result.mac is None:
                return
            self._known[result.mac] = result
            self._known.move_to_end(result.mac)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    def correct(self, result: BoardResult, corrected: BoardResult) -> None:
        """Put ``corrected`` in the place of a result that was taken in."""
        with self._lock:
            for number, each in enumerate(self._results):
                if each is result:
                    self._results[number] = corrected

    def known(self, mac: str | None) -> BoardResult | None:
        """Return what became of a board that is not to be written again."""
        with self._lock:
            result = None if mac is None else self._known.get(mac)
        is_kept = result is not None and result.is_done and self.again is Again.SKIP
        return result if is_kept else None


@define(eq=False)
class _Place:
    """One place of a bed, and the thread that works there."""

    _bed: _Bed
    _job: Job
    _around: Surroundings
    is_busy: bool = attrs.field(default=False, init=False)
    """It is at a board that is not done yet."""
    _thread: threading.Thread = attrs.field(init=False)

    def start(self) -> None:
        """Begin to wait for boards."""
        self._thread = threading.Thread(target=self._run, name=self._job.name, daemon=True)
        self._thread.start()

    @property
    def is_at_work(self) -> bool:
        """It has not ended."""
        return self._thread.is_alive()

    def _run(self) -> None:
        post = self._around.post
        presence = Presence(self._job, Watch(self._bed.closing), post, self._bed.clock)
        try:
            while self._serve(presence):
                pass
        except InterruptedWorkError:
            return
        except Exception as exc:  # noqa: BLE001 - the other places go on
            post(Waiting(label=self._job.name, for_removal=False, trouble=exc))

    def _serve(self, presence: Presence) -> bool:
        """Have one board put in, and taken out; tell whether there may be another."""
        mac = presence.await_board()
        known = self._bed.known(mac)
        if known is not None:
            self._around.post(SeenAgain(label=self._job.name, result=known))
            presence.leave()
        elif self._bed.admit():
            self.is_busy = True
            try:
                mac = self._work().mac or mac
            finally:
                self.is_busy = False
        else:
            # What it waited by has ended, and the board is in download mode.
            watch = Watch(threading.Event(), self._bed.patience.leaving)
            Presence(self._job, watch, self._around.post, self._bed.clock).leave()
            return False
        presence.await_removal(mac)
        self._around.claims.release(self._job.name)
        return True

    def _work(self) -> BoardResult:
        """Write to the board that is there, and have the verdict told."""
        bed, is_hurried = self._bed, False
        board = Board(self._job, Watch(bed.cancel, bed.time_limit), self._around)
        hand = Hand(board, bed.record, self._around.post, bed.patience)
        hand.start()
        while not hand.ended.wait(LOOK_INTERVAL):
            if bed.cancel.is_set() and not is_hurried:
                is_hurried = True
                hand.hurry()
            hand.look()
        result = hand.result or board.result
        bed.note(result)
        try:
            bed.on_verdict(result)
        except Exception as exc:  # noqa: BLE001 - whoever hears it is no part of the work
            why = str(exc) if isinstance(exc, EsploaderError) else f"{type(exc).__name__}: {exc}"
            unheard, reason = recorded_unheard(result, bed.record, why)
            bed.correct(result, unheard)
            self._around.post(VerdictLost(label=self._job.name, result=unheard, reason=reason))
        return result
