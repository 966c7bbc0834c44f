"""One artefact, or several, to many boards at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.fleet.board import Board, Claims, Surroundings
from esploader.fleet.board_log import LogOfThreads
from esploader.fleet.crew import Hand, Patience
from esploader.fleet.job import require_at_least, require_distinct, require_time
from esploader.fleet.mailbox import Listener, Mailbox, ignore_event
from esploader.fleet.results import BoardResult, FleetResult, Status
from esploader.fleet.stop import StopRules, Tally
from esploader.fleet.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from esploader.fleet.events import OnEvent
    from esploader.fleet.job import Job
    from esploader.fleet.record import Record

LOOK_INTERVAL: Final = 0.1
"""How often it is looked for boards that take too long, in seconds."""


def flash_many(  # noqa: PLR0913 - options, all by keyword
    jobs: Sequence[Job],
    *,
    workers: int | None = None,
    retries: int = 0,
    time_limit: float | None = None,
    patience: Patience = Patience(),  # noqa: B008 - it is frozen
    stop: StopRules = StopRules(),  # noqa: B008 - it is frozen
    dry_run: bool = False,
    record: Record | None = None,
    cancel: threading.Event | None = None,
    on_event: OnEvent = ignore_event,
) -> FleetResult:
    """Write to the boards of all ``jobs``, each in a thread of its own, and say what came of it.

    No board waits for another, or for whoever listens. Boards that fail do not raise: see
    :attr:`BoardResult.status`.

    ``workers`` is how many are under way at a time, by default all. ``retries`` is how often one
    is begun again after an error that may pass. ``time_limit`` is how long one may take, in
    seconds; then it is interrupted, and where it hangs its port is closed and its thread left
    behind, as ``patience`` says. ``stop`` says when no more are begun. ``dry_run`` plans, and
    writes nothing. ``record`` is where each is written down that has ended. ``cancel`` ends all
    when it is set, as an exception from ``on_event`` or Ctrl-C does, which comes out when all
    have ended: interrupted boards are left as their jobs say, by default reset. ``on_event`` is
    called in this thread, with one event at a time.

    Raises:
        ConfigError: two jobs have the same port or label, or a number makes no sense; nothing has
            been done.
        RecordError: the record cannot be written to; nothing has been done.
    """
    require_distinct(jobs)
    require_at_least("workers", workers, 1)
    require_at_least("retries", retries, 0)
    require_time("time_limit", time_limit)
    patience.check()
    stop.check()
    record = None if dry_run else record
    if record is not None:
        record.check()
    run = _Run(
        jobs=jobs,
        workers=len(jobs) if workers is None else workers,
        time_limit=time_limit,
        patience=patience,
        tally=Tally(stop),
        record=record,
        cancel=cancel or threading.Event(),
        listener=Listener(on_event),
    )
    with LogOfThreads() as logs:
        around = Surroundings(
            retries=retries, dry_run=dry_run, post=run.mailbox.post, claims=Claims(), logs=logs
        )
        return run.carry_out(around)


@define(eq=False, kw_only=True)
class _Run:
    """Boards that are begun, and those that are left."""

    jobs: Sequence[Job]
    workers: int
    time_limit: float | None
    patience: Patience
    tally: Tally
    record: Record | None
    cancel: threading.Event
    listener: Listener
    mailbox: Mailbox = attrs.field(factory=Mailbox, init=False)
    _hands: dict[int, Hand] = attrs.field(factory=dict, init=False)
    """By the number of the job."""
    _open: set[int] = attrs.field(factory=set, init=False)
    """Numbers of those that are under way."""
    _is_hurried: bool = attrs.field(default=False, init=False)

    def carry_out(self, around: Surroundings) -> FleetResult:
        """Begin all, and return when the last one has ended."""
        interruption: BaseException | None = None
        while self._open or self._may_begin:
            try:
                while len(self._open) < self.workers and self._may_begin:
                    self._begin(around)
                self._attend()
            except BaseException as exc:  # noqa: BLE001 - it comes out when all have ended
                interruption = interruption or exc
                self.cancel.set()
        self.listener.tell(self.mailbox.take(0.0))
        if interruption is not None:
            raise interruption
        is_partial = len(self._hands) < len(self.jobs)
        boards = tuple(self._results())
        return FleetResult(
            boards=boards,
            count=len(boards),
            done_count=sum(board.is_done for board in boards),
            stopped=self._reason_to_stop if is_partial else None,
        )

    @property
    def _reason_to_stop(self) -> str | None:
        """Why no more boards are begun, though there are some."""
        return "somebody cancelled it" if self.cancel.is_set() else self.tally.reason

    @property
    def _may_begin(self) -> bool:
        """There are boards left, and nothing stops them from being begun."""
        return len(self._hands) < len(self.jobs) and self._reason_to_stop is None

    def _begin(self, around: Surroundings) -> None:
        number = len(self._hands)
        watch = Watch(self.cancel, self.time_limit)
        hand = Hand(
            Board(self.jobs[number], watch, around), self.record, self.mailbox.post, self.patience
        )
        self._hands[number] = hand
        self._open.add(number)
        hand.start()

    def _attend(self) -> None:
        """Hear what has happened, and see to boards that take too long."""
        events = self.mailbox.take(LOOK_INTERVAL)
        if self.cancel.is_set() and not self._is_hurried:
            self._is_hurried = True
            for number in self._open:
                self._hands[number].hurry()
        for number in sorted(self._open):
            hand = self._hands[number]
            hand.look()
            if hand.result is not None:
                self._open.discard(number)
                self.tally.count(hand.result)
        self.listener.tell(events)

    def _results(self) -> Iterator[BoardResult]:
        for number, job in enumerate(self.jobs):
            result = self._hands[number].result if number in self._hands else None
            yield result or BoardResult(label=job.name, port=job.port_name, status=Status.NOT_BEGUN)
