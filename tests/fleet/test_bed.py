"""A needle bed: boards come, are written, and go; in virtual time, as a script has it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import attrs
import pytest
from typing_extensions import override

from esploader.errors import PlanError, PortBusyError, PortNotFoundError
from esploader.fleet import (
    Again,
    BoardResult,
    FleetEvent,
    FleetResult,
    Job,
    Patience,
    Record,
    SeenAgain,
    Status,
    StopRules,
    VerdictLost,
    Waiting,
    read_record,
    run_bed,
)
from esploader.fleet.bed import REMEMBERED
from esploader.fleet.presence import Presence
from esploader.fleet.watch import Watch
from esploader.simulator import Direction, Drop, FaultyTransport
from esploader.transport.clock import VirtualClock
from esploader.transport.wrapping import WrappingTransport
from eventually import PATIENCE
from fleets import Hang, Place, mac_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from esploader.transport.base import Transport

SOON = Patience(leaving=0.2, closing=0.2)


@attrs.define(eq=False)
class Fixture:
    """A place of a bed, into which boards are put and from which they are taken, by a script.

    A port that stays is silent where there is no board.
    """

    script: Sequence[tuple[float, Place | None]]
    """From when on which board is there."""
    stays: bool = True
    end: float = 45.0
    """When somebody ends it all."""
    cancel: threading.Event = attrs.field(factory=threading.Event, init=False)
    clock: VirtualClock = attrs.field(factory=VirtualClock, init=False)
    empty: Place = attrs.field(factory=lambda: Place(99), init=False)

    def __attrs_post_init__(self) -> None:
        self.clock.watchers.append(self._end)

    def _end(self, now: float) -> None:
        if now >= self.end:
            self.cancel.set()

    def open(self) -> Transport:
        there = [place for moment, place in self.script if moment <= self.clock.now()]
        if there and there[-1] is not None:
            return there[-1].open()
        if not self.stays:
            raise PortNotFoundError("bed", "there is no such port")
        drop = Drop(direction=Direction.FROM_DEVICE, rate=1.0)
        return FaultyTransport(self.empty.open(), [drop])

    def job(self, **options: object) -> Job:
        return self.empty.job(**{"port": self.open, "label": "left", **options})

    def run(
        self,
        *,
        on_event: Callable[[FleetEvent], object] = lambda _: None,
        on_verdict: Callable[[BoardResult], object] = lambda _: None,
        record: Record | None = None,
        again: Again = Again.SKIP,
        limit: int | None = None,
        stop: StopRules = StopRules(),  # noqa: B008 - it is frozen
        **options: object,
    ) -> FleetResult:
        return run_bed(
            [self.job(attempts=2, **options)],
            clock=self.clock,
            cancel=self.cancel,
            patience=SOON,
            on_event=on_event,
            on_verdict=on_verdict,
            record=record,
            again=again,
            limit=limit,
            stop=stop,
        )


def visits(*places: Place | None) -> list[tuple[float, Place | None]]:
    """Return a script: each board is there for a while, and the place is empty in between."""
    script: list[tuple[float, Place | None]] = [(0.0, None)]
    for number, place in enumerate(places):
        script += [(10.0 * number + 5.0, place), (10.0 * number + 11.0, None)]
    return script


@pytest.mark.parametrize("stays", [True, False])
def test_one_board_after_the_other_is_written_and_told(*, stays: bool, tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    boards = [Place(1), Place(2), Place(3)]
    verdicts: list[BoardResult] = []
    fixture = Fixture(visits(*boards), stays=stays)
    result = fixture.run(on_verdict=verdicts.append, record=Record(path))
    assert [board.mac for board in result] == [mac_of(1), mac_of(2), mac_of(3)]
    assert result.is_done
    assert [*result] == verdicts
    assert [entry.mac for entry in read_record(path)] == [mac_of(1), mac_of(2), mac_of(3)]
    for board in boards:
        board.assert_written()
        board.assert_released()


def test_a_board_is_told_to_wait_for_and_to_be_taken_away() -> None:
    board, events = Place(1), list[FleetEvent]()
    Fixture(visits(board)).run(on_event=events.append)
    waits = [event.for_removal for event in events if isinstance(event, Waiting)]
    assert waits == [False, True, False]
    board.assert_written()


@pytest.mark.parametrize("stays", [True, False])
def test_a_board_that_was_done_is_left_alone_when_it_comes_again(*, stays: bool) -> None:
    board, events = Place(1), list[FleetEvent]()
    result = Fixture(visits(board, board), stays=stays).run(on_event=events.append)
    assert len(result.boards) == 1
    (again,) = [event for event in events if isinstance(event, SeenAgain)]
    assert again.result is result.boards[0]
    board.assert_written()
    board.device.advance(board.device.clock.now() + 1.0)
    assert not board.device.history.boots[-1].download


def test_a_board_may_be_written_again() -> None:
    board = Place(1)
    result = Fixture(visits(board, board)).run(again=Again.WRITE)
    assert [each.mac for each in result] == [mac_of(1)] * 2
    board.assert_written()


def test_a_board_that_failed_is_written_when_it_comes_again() -> None:
    board = Place(1)
    chips = iter(["no", "yes"])

    def check(_device: object) -> None:
        if next(chips) == "no":
            raise ZeroDivisionError

    first, second = Fixture(visits(board, board)).run(check=check)
    assert (first.status, second.status) == (Status.FAILED, Status.DONE)
    board.assert_written()


def test_another_board_in_its_place_is_the_next_one() -> None:
    one, two = Place(1), Place(2)
    fixture = Fixture([(0.0, None), (5.0, one), (12.0, two), (20.0, None)])
    result = fixture.run()
    assert [board.mac for board in result] == [mac_of(1), mac_of(2)]
    for board in (one, two):
        board.assert_written()


def test_a_board_that_does_not_answer_at_a_port_that_came_with_it_is_bad() -> None:
    def silent(transport: Transport) -> Transport:
        return FaultyTransport(transport, [Drop(direction=Direction.FROM_DEVICE, rate=1.0)])

    dead, good = Place(1, silent), Place(2)
    first, second = Fixture(visits(dead, good), stays=False).run()
    assert (first.status, second.status) == (Status.FAILED, Status.DONE)
    dead.assert_as_before()
    good.assert_written()


def test_a_board_of_another_kind_is_bad() -> None:
    board = Place(1)
    (result,) = Fixture(visits(board)).run(chip="esp32")
    assert result.status is Status.FAILED
    board.assert_as_before()


def test_trouble_with_a_port_is_said_once_and_waited_out() -> None:
    board, events = Place(1), list[FleetEvent]()
    fixture = Fixture(visits(board))
    open_ = fixture.open

    def port() -> Transport:
        if fixture.clock.now() < 3.0:
            raise PortBusyError("bed", "another program has it")
        return open_()

    (result,) = fixture.run(port=port, on_event=events.append)
    assert result.status is Status.DONE
    troubles = [event.trouble for event in events if isinstance(event, Waiting) and event.trouble]
    assert [str(trouble) for trouble in troubles] == ["bed: another program has it"]
    board.assert_written()


def test_so_many_boards_and_no_more() -> None:
    boards = [Place(1), Place(2), Place(3)]
    result = Fixture(visits(*boards)).run(limit=2)
    assert len(result.boards) == 2
    assert result.stopped is None
    boards[1].assert_written()
    boards[2].assert_as_before()


def test_too_many_failures_end_it() -> None:
    boards = [Place(1), Place(2), Place(3)]
    result = Fixture(visits(*boards)).run(stop=StopRules(in_a_row=2), chip="esp32")
    assert len(result.boards) == 2
    assert result.stopped == "2 boards in a row have failed"
    for board in boards:
        board.assert_as_before()


def test_a_verdict_that_nobody_hears_is_said_and_recorded_and_stops_nothing(
    tmp_path: Path,
) -> None:
    boards, events = [Place(1), Place(2)], list[FleetEvent]()
    path = tmp_path / "record.jsonl"

    def on_verdict(result: BoardResult) -> None:
        raise OSError(f"no lamp for {result.mac}")

    result = Fixture(visits(*boards)).run(
        on_event=events.append, on_verdict=on_verdict, record=Record(path)
    )
    assert result.is_done
    lost = [event.reason for event in events if isinstance(event, VerdictLost)]
    reasons = [f"OSError: no lamp for {mac_of(n)}" for n in (1, 2)]
    assert lost == reasons
    assert [board.verdict_failure for board in result] == reasons
    told = [(entry.mac, entry.result, entry.verdict_failure) for entry in read_record(path)]
    assert told == [
        (mac_of(n), "done", reason) for n in (1, 2) for reason in (None, reasons[n - 1])
    ]
    for board in boards:
        board.assert_written()


def test_a_place_that_hangs_without_a_board_is_not_waited_for() -> None:
    good, released = Place(1), threading.Event()

    def port() -> Transport:
        released.wait()
        raise PortNotFoundError("bed", "there is no such port")

    jobs = [Place(2).job(port=port), good.job()]
    result = run_bed(jobs, limit=1, patience=SOON)
    released.set()
    assert [board.mac for board in result] == [mac_of(1)]
    assert (result.is_done, result.stopped) == (True, None)
    good.assert_written()


@attrs.define(eq=False)
class ClosedLate(WrappingTransport):
    """The port of a board that has answered when no more may be begun."""

    has_answered: threading.Event
    is_too_late: threading.Event

    @override
    def close(self) -> None:
        self.inner.close()
        self.has_answered.set()
        assert self.is_too_late.wait(PATIENCE)


def test_a_board_that_is_not_to_be_begun_any_more_does_not_stay_in_download_mode() -> None:
    has_answered, is_too_late = threading.Event(), threading.Event()

    def after_the_other(transport: Transport) -> Transport:
        assert has_answered.wait(PATIENCE)
        return transport

    first = Place(1, after_the_other)
    second = Place(2, lambda inner: ClosedLate(inner, has_answered, is_too_late))
    jobs = [first.job(check=lambda _: is_too_late.set()), second.job()]
    result = run_bed(jobs, limit=1)
    assert [board.mac for board in result] == [mac_of(1)]
    second.device.advance(second.device.clock.now() + 1.0)
    assert not second.device.history.boots[-1].download
    second.assert_released()
    second.assert_as_before()
    first.assert_written()


def test_when_no_place_can_go_on_that_is_said() -> None:
    def port() -> Transport:
        raise ZeroDivisionError

    result = run_bed([Place(1).job(port=port)])
    assert (result.count, result.stopped) == (0, "no place goes on")


def test_a_link_that_leads_nowhere_is_no_port(tmp_path: Path) -> None:
    link = tmp_path / "bench"
    link.symlink_to(tmp_path / "gone")
    cancel, clock = threading.Event(), VirtualClock()
    clock.watchers.append(lambda now: cancel.set() if now > 60.0 else None)
    presence = Presence(Place(1).job(port=link), Watch(cancel), lambda _: None, clock)
    for _ in range(2):
        # The second time it is known that the port comes and goes.
        presence.await_removal(mac_of(1))
    assert clock.now() < 60.0


@attrs.define
class Turnstile:
    """A port at which one board after the other is, fails at once, and goes."""

    calls: int = 0

    def open(self) -> Transport:
        number, step = divmod(self.calls, 3)
        self.calls += 1
        # It is seen to be there, written to, and seen to be gone.
        if step == 2:
            raise PortNotFoundError("bed", "there is no such port")
        raise PlanError(f"board {number}")


def test_of_a_bed_that_goes_on_for_days_the_latest_results_are_kept() -> None:
    count = REMEMBERED + 3
    job = Place(1).job(port=Turnstile().open)
    result = run_bed([job], clock=VirtualClock(), limit=count)
    assert (result.count, result.done_count) == (count, 0)
    assert [str(board.error) for board in result] == [f"board {n}" for n in range(3, count)]


def test_what_a_listener_raises_ends_it() -> None:
    board = Place(1)

    def on_event(_event: FleetEvent) -> None:
        raise ZeroDivisionError

    fixture = Fixture(visits(board), end=1e9)
    with pytest.raises(ZeroDivisionError):
        fixture.run(on_event=on_event)
    board.assert_intact()


def test_a_place_that_hangs_keeps_no_other_from_working() -> None:
    hanging = Hang(12_000)
    stuck, good = Place(1, hanging), Place(2)
    cancel = threading.Event()

    def on_verdict(result: BoardResult) -> None:
        if result.label == "bench-2":
            assert hanging.hangs.wait(PATIENCE)
            cancel.set()

    jobs = [stuck.job(), good.job()]
    result = run_bed(jobs, cancel=cancel, patience=SOON, on_verdict=on_verdict)
    found = {board.label: board.status for board in result}
    assert found["bench-2"] is Status.DONE
    assert found["bench-1"] is Status.CANCELLED
    stuck.assert_intact()
    good.assert_written()
