"""Boards are found by what their USB ports are, whatever these are called at the moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.fleet import FleetEvent, Job, Status, UsbIdentity, Waiting, flash_many, run_bed
from esploader.transport.clock import VirtualClock
from esploader.transport.ports import PortInfo
from fleets import DATA, END, OFFSET, artefact, mac_of
from made_up_ports import MadeUpPorts
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SIZE = 0x10_0000
SOCKET = UsbIdentity(location="1-2.3")


@attrs.frozen
class Board:
    """A board on USB, of which the flash is a file: what it is called is what it is opened by."""

    flash: Path
    port: PortInfo

    def assert_written(self) -> None:
        after = self.flash.read_bytes()
        assert after[OFFSET:END] == DATA
        assert_untouched(old_content(SIZE), after, [(OFFSET, END)])

    def assert_as_before(self) -> None:
        assert self.flash.read_bytes() == old_content(SIZE)


def board(folder: Path, number: int, location: str) -> Board:
    flash = folder / f"flash-{number}.bin"
    flash.write_bytes(old_content(SIZE))
    url = f"sim://esp32c3?flash=1MB&file={flash}&mac={mac_of(number)}"
    port = PortInfo(
        device=url, vid=0x303A, pid=0x1001, serial_number=mac_of(number), location=location
    )
    return Board(flash, port)


def job(identity: UsbIdentity, label: str = "") -> Job:
    return Job(port=identity, label=label, artefact=artefact(), stub=False)


def test_each_place_has_the_board_that_is_plugged_in_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right = board(tmp_path, 1, "1-2.3:1.0"), board(tmp_path, 2, "1-2.30:1.0")
    MadeUpPorts(monkeypatch, right.port, left.port)
    by_serial = UsbIdentity(serial_number=mac_of(2).upper())
    result = flash_many([job(SOCKET, "left"), job(by_serial, "right")])
    assert [each.mac for each in result] == [mac_of(1), mac_of(2)]
    assert [each.port for each in result] == [
        "usb:location=1-2.3",
        f"usb:serial={mac_of(2).upper()}",
    ]
    left.assert_written()
    right.assert_written()


def test_where_more_than_one_port_fits_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards = [board(tmp_path, 1, "1-1"), board(tmp_path, 2, "1-2")]
    MadeUpPorts(monkeypatch, *(each.port for each in boards))
    (result,) = flash_many([job(UsbIdentity(vid=0x303A))])
    assert result.status is Status.FAILED
    assert str(result.error).startswith("usb:vid=303a: more than one port fits: sim://")
    for each in boards:
        each.assert_as_before()


def test_a_board_that_is_not_plugged_in_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    MadeUpPorts(monkeypatch)
    (result,) = flash_many([job(SOCKET)])
    assert str(result.error) == "usb:location=1-2.3: no such USB port is plugged in"


def test_a_bed_waits_for_what_is_plugged_into_its_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards = [board(tmp_path, number, "1-2.3:1.0") for number in (1, 2)]
    elsewhere = board(tmp_path, 3, "1-2.4:1.0")
    plugged, clock = MadeUpPorts(monkeypatch, elsewhere.port), VirtualClock()
    script = [(0, []), (5, boards[:1]), (20, []), (25, boards[1:])]

    def follow(now: float) -> None:
        there = [each for moment, each in script if moment <= now][-1]
        plugged.ports = [elsewhere.port, *(each.port for each in there)]

    clock.watchers.append(follow)
    waits: list[bool] = []

    def hear(event: FleetEvent) -> None:
        if isinstance(event, Waiting):
            waits.append(event.for_removal)

    result = run_bed([job(SOCKET)], clock=clock, limit=2, on_event=hear)
    assert [each.mac for each in result] == [mac_of(1), mac_of(2)]
    assert waits == [False, True, False, True]
    for each in boards:
        each.assert_written()
    elsewhere.assert_as_before()
