"""Many boards at once: each is written, and none has anything to do with what befalls another."""

from __future__ import annotations

import gc
import itertools
import logging
import math
import re
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

from esploader.errors import (
    ConfigError,
    FlashError,
    PlanError,
    PortNotFoundError,
    SilentDeviceError,
    TransportClosedError,
    WrongChipError,
)
from esploader.flash.progress import Progress
from esploader.fleet import (
    Artefact,
    Began,
    DeviceInput,
    Ended,
    Failed,
    FleetEvent,
    Found,
    Identified,
    Job,
    Patience,
    Progressed,
    Status,
    StopRules,
    Warned,
    flash_many,
    run_bed,
)
from esploader.image.partitions import parse_csv
from esploader.simulator import Cut, Direction, Drop, FaultyTransport
from eventually import PATIENCE
from fleets import DATA, END, OFFSET, Hang, Place, Swap, artefact, by_label, mac_of
from untouched import assert_untouched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esploader.device.device import Device
    from esploader.transport.base import Transport

SOON = Patience(leaving=0.2, closing=0.2)
IN_MID_WRITE = 12_000
"""Bytes to the board, of some 35,000."""


def places(count: int) -> list[Place]:
    return [Place(number) for number in range(count)]


class PulledOut:
    """In front of a board that is pulled out in mid-write, and does not come back."""

    was_there = False

    def __call__(self, transport: Transport) -> Transport:
        if self.was_there:
            raise PortNotFoundError(transport.name, "there is no such port")
        self.was_there = True
        cut = Cut(direction=Direction.TO_DEVICE, positions=[IN_MID_WRITE], seconds=1e9)
        return FaultyTransport(transport, [cut])


def silent(transport: Transport) -> Transport:
    return FaultyTransport(transport, [Drop(direction=Direction.FROM_DEVICE, rate=1.0)])


def test_one_artefact_goes_to_all_boards() -> None:
    bench = places(12)
    shared = artefact()
    result = flash_many([place.job(artefact=shared) for place in bench])
    assert result.is_done
    assert result.stopped is None
    assert [board.mac for board in result] == [mac_of(number) for number in range(12)]
    for place, board in zip(bench, result, strict=True):
        place.assert_written()
        place.assert_released()
        assert board.is_verified
        assert [region.offset for region in board.regions] == [OFFSET]
        assert (board.inputs, board.device_inputs) == (shared.inputs, ())
        assert board.attempts == 1


def test_what_befalls_some_boards_spares_the_others() -> None:
    good = places(10)
    hanging = Hang(IN_MID_WRITE)
    stuck, pulled, mute = Place(20, hanging), Place(21, PulledOut()), Place(22, silent)
    ended: set[str] = set()

    def on_event(event: FleetEvent) -> None:
        if isinstance(event, Ended):
            ended.add(event.label)
        if len(ended) == len(good) + 2 and hanging.hangs.is_set():
            # All others have ended while it hung.
            hanging.released.set()

    jobs = [place.job(attempts=1) for place in (stuck, pulled, mute, *good)]
    found = by_label(flash_many(jobs, on_event=on_event).boards)
    for place in good:
        assert found[f"bench-{place.number}"].status is Status.DONE
        place.assert_written()
    for place, error in (
        (stuck, FlashError),
        (pulled, FlashError),
        (mute, SilentDeviceError),
    ):
        board = found[f"bench-{place.number}"]
        assert board.status is Status.FAILED
        assert isinstance(board.error, error)
        assert board.regions == ()
        place.assert_intact()
    mute.assert_as_before()


@pytest.mark.parametrize("heeds_closing", [True, False])
def test_a_board_that_hangs_is_given_up_when_all_is_to_end(*, heeds_closing: bool) -> None:
    cancel, hanging = threading.Event(), Hang(IN_MID_WRITE, heeds_closing=heeds_closing)
    stuck, good = Place(0, hanging), Place(1)

    def cancel_then(_event: FleetEvent) -> None:
        if isinstance(_event, Ended):
            assert hanging.hangs.wait(PATIENCE)
            cancel.set()

    result = flash_many(
        [stuck.job(), good.job()], cancel=cancel, patience=SOON, on_event=cancel_then
    )
    hanging.released.set()
    first, second = result
    assert (first.status, second.status) == (Status.CANCELLED, Status.DONE)
    assert first.is_hung is not heeds_closing
    assert first.mac == mac_of(0)
    stuck.assert_intact()
    good.assert_written()


@pytest.mark.parametrize("heeds_closing", [True, False])
def test_a_board_that_hangs_is_given_up_after_its_time(*, heeds_closing: bool) -> None:
    hanging = Hang(0, heeds_closing=heeds_closing)
    stuck = Place(0, hanging)
    (board,) = flash_many([stuck.job()], time_limit=0.2, patience=SOON)
    hanging.released.set()
    assert board.status is Status.GIVEN_UP
    stuck.assert_as_before()


def test_a_board_that_takes_too_long_is_given_up_and_left_as_it_should_be() -> None:
    # In its own time, of which two seconds at 115200 baud are not enough for one of them.
    place, quick = Place(0), Place(1)
    jobs = [place.job(), quick.job(artefact=artefact(b"short"))]
    slow, other = flash_many(jobs, time_limit=2.0)
    assert (slow.status, slow.is_hung, slow.warnings) == (Status.GIVEN_UP, False, ())
    assert other.status is Status.DONE
    place.device.advance(place.device.clock.now() + 1.0)
    assert not place.device.history.boots[-1].download
    place.assert_intact()
    place.assert_released()
    (again,) = flash_many([place.job()])
    assert again.status is Status.DONE
    place.assert_written()


def test_errors_that_may_pass_are_tried_again_and_others_are_not() -> None:
    calls: list[int] = []

    def silent_at_first(transport: Transport) -> Transport:
        calls.append(1)
        return silent(transport) if len(calls) == 1 else transport

    recovering, wrong = Place(0, silent_at_first), Place(1)
    events: list[FleetEvent] = []
    jobs = [recovering.job(attempts=1), wrong.job(chip="esp32")]
    first, second = flash_many(jobs, retries=2, on_event=events.append)
    assert (first.status, first.attempts, first.error) == (Status.DONE, 2, None)
    assert (second.status, second.attempts) == (Status.FAILED, 1)
    assert isinstance(second.error, WrongChipError)
    recovering.assert_written()
    wrong.assert_as_before()
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert (failed.label, failed.attempt) == ("bench-0", 1)
    assert isinstance(failed.error, SilentDeviceError)


@pytest.mark.parametrize("left", [IN_MID_WRITE, 50_000], ids=["first region", "second region"])
def test_a_board_that_is_swapped_in_mid_write_is_not_taken_for_the_other(left: int) -> None:
    other = Place(1)
    place = Place(0, Swap(left, other))
    both = Artefact.read([(OFFSET, DATA), (2 * OFFSET, DATA)])
    (board,) = flash_many([place.job(artefact=both)])
    assert (board.status, board.mac) == (Status.FAILED, mac_of(0))
    assert isinstance(board.error, WrongChipError)
    assert board.regions == ()
    other.assert_as_before()
    assert_untouched(place.before, place.device.flash, [(OFFSET, END), (2 * OFFSET, OFFSET + END)])


@pytest.mark.parametrize("left", [100, 1_000, 3_000])
def test_a_board_whose_line_is_cut_after_every_reopening_is_given_up(left: int) -> None:
    cuts = itertools.chain([IN_MID_WRITE], itertools.repeat(left))

    def cut(transport: Transport) -> Transport:
        fault = Cut(direction=Direction.TO_DEVICE, positions=[next(cuts)], seconds=1e9)
        return FaultyTransport(transport, [fault])

    place = Place(0, cut)
    (board,) = flash_many([place.job()])
    assert board.status is Status.FAILED
    assert isinstance(board.error, FlashError)
    assert place.device.clock.now() < 60.0
    place.assert_intact()


def test_another_board_in_its_place_is_not_written_by_another_attempt() -> None:
    first, second = Place(0), Place(1)

    def port() -> Transport:
        return (second if first.opened else first).open()

    def lost(device: Device) -> None:
        raise TransportClosedError(device.session.transport.name, "it was pulled out")

    (board,) = flash_many([first.job(port=port, check=lost)], retries=2)
    assert (board.status, board.mac, board.attempts) == (Status.FAILED, mac_of(0), 2)
    assert str(board.error) == (
        f"the board with the MAC {mac_of(0)} is gone, and another one is in its place: nothing is "
        "written to that"
    )
    for place in (first, second):
        place.assert_as_before()


def test_retries_end() -> None:
    place = Place(0, silent)
    (board,) = flash_many([place.job(attempts=1)], retries=1)
    assert (board.status, board.attempts) == (Status.FAILED, 2)
    place.assert_as_before()


def test_the_events_of_a_board_come_in_order_and_in_the_thread_that_waits() -> None:
    place, events = Place(0), list[FleetEvent]()
    threads = set[int]()

    def on_event(event: FleetEvent) -> None:
        events.append(event)
        threads.add(threading.get_ident())

    result = flash_many([place.job()], on_event=on_event)
    kinds = [type(event) for event in events if not isinstance(event, Progressed | Warned)]
    assert kinds == [Began, Identified, Ended]
    assert threads == {threading.get_ident()}
    last = events[-1]
    assert isinstance(last, Ended)
    assert last.result is result.boards[0]
    progress = [event.progress for event in events if isinstance(event, Progressed)]
    assert progress
    assert all(isinstance(event, Progress) for event in progress)
    place.assert_written()


def test_what_a_listener_raises_ends_all_and_comes_out_when_they_have_ended() -> None:
    bench = places(3)

    def on_event(event: FleetEvent) -> None:
        if isinstance(event, Identified):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        flash_many([place.job() for place in bench], on_event=on_event)
    for place in bench:
        place.assert_intact()
        place.assert_released()


def test_cancelled_boards_are_left_as_they_should_be_and_others_not_begun() -> None:
    hold, cancel = Hang(IN_MID_WRITE), threading.Event()
    first, second = Place(0, hold), Place(1)

    def on_event(event: FleetEvent) -> None:
        if isinstance(event, Identified):
            assert hold.hangs.wait(PATIENCE)
            cancel.set()
            hold.left = 1 << 30
            hold.released.set()

    jobs = [first.job(), second.job()]
    one, two = result = flash_many(jobs, workers=1, cancel=cancel, on_event=on_event)
    assert (one.status, two.status) == (Status.CANCELLED, Status.NOT_BEGUN)
    assert result.stopped == "somebody cancelled it"
    first.assert_intact()
    first.assert_released()
    second.assert_as_before()


@pytest.mark.parametrize(
    ("rules", "done", "reason"),
    [
        (StopRules(failures=2), 5, "2 boards have failed"),
        (StopRules(in_a_row=2), 6, "2 boards in a row have failed"),
        (StopRules(share=0.3, share_after=4), 5, "2 of 5 boards have failed"),
        (StopRules(), 8, None),
    ],
    ids=str,
)
def test_too_many_failures_stop_the_run(rules: StopRules, done: int, reason: str | None) -> None:
    # Good and bad ones, one after the other.
    bench = [Place(n, silent if n in (1, 4, 5) else lambda inner: inner) for n in range(8)]
    result = flash_many([place.job(attempts=1) for place in bench], workers=1, stop=rules)
    assert result.stopped == reason
    assert len(result.with_status(Status.NOT_BEGUN)) == 8 - done
    for place, board in zip(bench, result, strict=True):
        if board.status is Status.DONE:
            place.assert_written()
        else:
            place.assert_as_before()


def test_no_more_boards_are_under_way_than_workers() -> None:
    now, most = 0, 0

    def on_event(event: FleetEvent) -> None:
        nonlocal now, most
        now += isinstance(event, Began) - isinstance(event, Ended)
        most = max(most, now)

    bench = places(6)
    assert flash_many([place.job() for place in bench], workers=2, on_event=on_event).is_done
    assert most <= 2
    for place in bench:
        place.assert_written()


def test_the_same_port_twice_is_refused_before_anything_begins(tmp_path: Path) -> None:
    place = Place(0)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "port")
    for ports in (
        (place.open, place.open),
        ("sim://esp32", "sim://esp32"),
        (tmp_path / "port", str(link)),
        ("rfc2217://lab:4000", "RFC2217://LAB:4000/?timeout=5"),
        ("rfc2217://lab:4000", "socket://lab:4000"),
    ):
        jobs = [place.job(port=port, label=f"{n}") for n, port in enumerate(ports)]
        with pytest.raises(ConfigError, match="1: its port is that of 0, too"):
            flash_many(jobs)
    with pytest.raises(ConfigError, match="bench-0: more than one place is called that"):
        flash_many([place.job(), place.job(port="sim://esp32")])
    assert place.opened == []


def test_numbers_that_make_no_sense_are_refused() -> None:
    place = Place(0)
    with pytest.raises(ConfigError, match="workers: 0 is less than 1"):
        flash_many([place.job()], workers=0)
    with pytest.raises(ConfigError, match="retries: -1 is less than 0"):
        flash_many([place.job()], retries=-1)
    with pytest.raises(ConfigError, match="limit: 0 is less than 1"):
        run_bed([place.job()], limit=0)
    with pytest.raises(ConfigError, match=r"retries: 1\.5 is not a whole number"):
        flash_many([place.job()], retries=1.5)  # type: ignore[arg-type]
    assert place.opened == []


@pytest.mark.parametrize("run", [flash_many, run_bed], ids=["racks", "bed"])
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"time_limit": -1.0}, "time_limit: -1.0 is less than 0"),
        ({"time_limit": 0.0}, "time_limit: no time at all is not enough"),
        ({"time_limit": math.nan}, "time_limit: nan is not a number"),
        ({"time_limit": math.inf}, "time_limit: inf is not a number"),
        ({"time_limit": "60"}, "time_limit: '60' is not a number"),
        ({"stop": StopRules(failures=0)}, "stop.failures: 0 is less than 1"),
        ({"stop": StopRules(in_a_row=-1)}, "stop.in_a_row: -1 is less than 1"),
        ({"stop": StopRules(share=-0.1)}, "stop.share: -0.1 is less than 0"),
        ({"stop": StopRules(share=50)}, "stop.share: 50 is more than 1"),
        ({"stop": StopRules(share=math.nan)}, "stop.share: nan is not a number"),
        ({"stop": StopRules(share_after=0)}, "stop.share_after: 0 is less than 1"),
        ({"patience": Patience(leaving=math.nan)}, "patience.leaving: nan is not a number"),
        ({"patience": Patience(closing=-1.0)}, "patience.closing: -1.0 is less than 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_times_and_rules_that_make_no_sense_are_refused(
    run: Callable[..., object], options: dict[str, object], complaint: str
) -> None:
    place = Place(0)
    with pytest.raises(ConfigError, match=f"^{re.escape(complaint)}$"):
        run([place.job()], **options)
    assert place.opened == []


def test_a_board_at_two_ports_is_written_once() -> None:
    one, twin = Place(0), Place(0)
    jobs = [one.job(label="first"), twin.job(label="second")]
    first, second = flash_many(jobs, workers=1)
    assert first.status is Status.DONE
    assert second.status is Status.FAILED
    assert str(second.error) == (
        f"the board with the MAC {mac_of(0)} is at first, too: nothing is written to it from here"
    )
    one.assert_written()
    twin.assert_as_before()


def test_each_board_gets_what_is_its_own() -> None:
    def own(found: Found) -> list[DeviceInput | tuple[int, bytes]]:
        assert found.mac is not None
        return [DeviceInput(0x2_0000, found.mac.encode()), (0x3_0000, b"for all")]

    bench = places(3)
    shared = artefact()
    result = flash_many([place.job(artefact=shared, device_inputs=own) for place in bench])
    for place, board in zip(bench, result, strict=True):
        flash = place.device.flash
        assert flash[OFFSET:END] == DATA
        assert flash[0x2_0000 : 0x2_0000 + 17] == mac_of(place.number).encode()
        assert flash[0x3_0000 : 0x3_0000 + 7] == b"for all"
        assert_untouched(
            place.before, flash, [(OFFSET, END), (0x2_0000, 0x2_1000), (0x3_0000, 0x3_1000)]
        )
        assert board.inputs == shared.inputs
        assert [part.offset for part in board.device_inputs] == [0x2_0000, 0x3_0000]


def test_a_board_whose_own_data_cannot_be_had_fails_alone() -> None:
    def own(found: Found) -> list[DeviceInput]:
        if found.mac == mac_of(1):
            raise KeyError(found.mac)
        return []

    bench = places(3)
    result = flash_many([place.job(device_inputs=own) for place in bench])
    assert [board.status for board in result] == [Status.DONE, Status.FAILED, Status.DONE]
    assert str(result.boards[1].error) == (
        f"what goes to this board alone: KeyError: '{mac_of(1)}'"
    )
    bench[1].assert_as_before()
    for place in (bench[0], bench[2]):
        place.assert_written()


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), pytest.fail.Exception()])
def test_whoever_exits_for_one_board_ends_that_board_alone(raised: BaseException) -> None:
    def check(_device: Device) -> None:
        raise raised

    place, good = Place(0), Place(1)
    bad, other = flash_many([place.job(check=check), good.job()])
    assert (bad.status, other.status) == (Status.FAILED, Status.DONE)
    assert isinstance(bad.error, PlanError)
    assert type(raised).__name__ in str(bad.error)
    place.assert_as_before()
    good.assert_written()


def test_a_port_that_exits_fails_one_board_alone() -> None:
    def port() -> Transport:
        raise SystemExit(3)

    place = Place(0)
    (board,) = flash_many([place.job(port=port)])
    assert board.status is Status.FAILED
    assert isinstance(board.error, SystemExit)
    place.assert_as_before()


def test_what_became_of_a_board_holds_no_device() -> None:
    devices: list[weakref.ref[Transport]] = []

    def check(device: Device) -> None:
        devices.append(weakref.ref(device.session.transport))
        raise ZeroDivisionError

    place = Place(0)
    result = flash_many([place.job(check=check)])
    gc.collect()
    assert [device() for device in devices] == [None]
    assert isinstance(result.boards[0].error, PlanError)
    place.assert_as_before()


def test_what_is_checked_on_a_board_may_refuse_it() -> None:
    def check(device: Device) -> None:
        raise PlanError(f"{device.mac} is not wanted here")

    place = Place(0)
    (board,) = flash_many([place.job(check=check)])
    assert board.status is Status.FAILED
    assert str(board.error) == f"{mac_of(0)} is not wanted here"
    place.assert_as_before()


def test_what_nobody_expects_fails_one_board_alone() -> None:
    def port() -> Transport:
        raise ZeroDivisionError("by chance")

    place, good = Place(0), Place(1)
    bad, other = flash_many([place.job(port=port), good.job()])
    assert bad.status is Status.FAILED
    assert isinstance(bad.error, ZeroDivisionError)
    assert other.status is Status.DONE
    good.assert_written()


def test_a_dry_run_plans_for_each_board_and_writes_nothing() -> None:
    bench = places(2)
    result = flash_many([place.job() for place in bench], dry_run=True)
    for place, board in zip(bench, result, strict=True):
        assert board.status is Status.DONE
        assert board.plan is not None
        assert [(region.offset, region.end) for region in board.plan.regions] == [(OFFSET, END)]
        assert board.regions == ()
        assert not board.is_verified
        place.assert_as_before()


def test_warnings_go_to_the_board_they_are_about(caplog: pytest.LogCaptureFixture) -> None:
    short, usual = Place(0), Place(1)
    warned: list[Warned] = []

    def on_event(event: FleetEvent) -> None:
        if isinstance(event, Warned):
            warned.append(event)

    jobs = [short.job(artefact=artefact(b"short")), usual.job()]
    one, two = flash_many(jobs, on_event=on_event)
    (text,) = one.warnings
    assert "is lost with its sector" in text
    assert two.warnings == ()
    assert one.log == (f"WARNING: {text}",)
    assert warned == [Warned(label="bench-0", text=text)]
    # Nobody else hears less for that.
    assert caplog.messages == [text]
    assert_untouched(short.before, short.device.flash, [(OFFSET, OFFSET + 0x1000)])
    usual.assert_written()


def test_the_log_of_a_board_has_what_is_turned_on_and_no_end_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="esploader.session.wire")
    place, handlers = Place(0), list(logging.getLogger("esploader").handlers)
    (board,) = flash_many([place.job()])
    assert len(board.log) == 200
    assert all(line.startswith("DEBUG: ") for line in board.log)
    assert logging.getLogger("esploader").handlers == handlers
    place.assert_written()


NVS = 0xD_0000


def table() -> bytes:
    return parse_csv(f"app,app,factory,0x10000,0x80000\nnvs,data,nvs,{NVS:#x},0x6000\n").to_bytes()


def test_names_go_by_the_table_that_is_written_in_the_same_go() -> None:
    place = Place(0)
    both = Artefact.read([(0x8000, table()), (OFFSET, DATA)])
    job = place.job(artefact=both, device_inputs=lambda _: [DeviceInput("nvs", b"own")])
    (board,) = flash_many([job])
    assert board.status is Status.DONE, board.error
    flash = place.device.flash
    assert flash[NVS : NVS + 3] == b"own"
    assert_untouched(place.before, flash, [(0x8000, 0x9000), (OFFSET, END), (NVS, NVS + 0x1000)])


def test_names_go_by_the_table_in_flash_where_that_stays() -> None:
    place = Place(0)
    place.device.nor.put_sectors({8: table().ljust(0x1000, b"\xff")})
    before = place.device.flash
    job = place.job(device_inputs=lambda _: [DeviceInput("nvs", b"own")])
    (board,) = flash_many([job])
    assert board.status is Status.DONE, board.error
    assert place.device.flash[NVS : NVS + 3] == b"own"
    assert_untouched(before, place.device.flash, [(OFFSET, END), (NVS, NVS + 0x1000)])


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"erase_all": True}, "the whole flash is erased, and with it the partition table"),
        ({"artefact": Artefact.read([(0x8000, b"none")])}, "what is written to 0x8000 is no"),
        ({"artefact": Artefact.read([(0x8800, b"part")])}, "is a part of another partition table"),
        ({}, "no partition table at 0x8000"),
    ],
)
def test_names_without_a_table_are_refused(options: dict[str, object], complaint: str) -> None:
    place = Place(0)
    job = place.job(device_inputs=lambda _: [DeviceInput("nvs", b"own")], **options)
    (board,) = flash_many([job])
    assert board.status is Status.FAILED
    assert complaint in str(board.error)
    place.assert_as_before()


def test_a_job_is_short_in_a_log() -> None:
    assert repr(Place(3).job()) == "<Job: <Artefact: 32768 bytes> to bench-3>"
    assert Job(port="sim://esp32", artefact=artefact()).name == "sim://esp32"
