"""What a server tells of a port, and what whoever looks after it can do there."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING

import pytest

from esploader.errors import (
    CapabilityError,
    PortBusyError,
    PortNotFoundError,
    TransportClosedError,
)
from esploader.transport.com_port import Code, Control, Setting
from esploader.transport.turns import Ask, Denial
from relays import VirtualTransport
from stations import FakeEnd, at_a_station, make_station
from virtual_loop import run_virtually

if TYPE_CHECKING:
    from esploader.server.station import Station

RESET = [("lines", (False, True)), ("lines", (False, False))]


def lines_of(port: VirtualTransport) -> list[tuple[str, object]]:
    return [(kind, what) for _, kind, what in port.happened if kind == "lines"]


def test_a_port_that_nobody_has_tells_what_is_plugged_in() -> None:
    async def play(station: Station, _: VirtualTransport) -> None:
        view = station.snapshot()
        assert (view.label, view.device, view.baudrate) == ("bench 1", "timed", 115200)
        assert (view.holder, view.missing, view.last_error) == (None, None, None)
        assert view.watchers == 0

    at_a_station(play)


def test_the_holder_is_told_with_what_it_has_done() -> None:
    async def play(station: Station, port: VirtualTransport) -> None:
        end = FakeEnd("10.0.0.7:4711")
        before = dt.datetime.now(dt.UTC)
        station.attach(end)
        station.take_in(b"hello")
        port.say(b"world!")
        station.wake()
        holder = station.snapshot().holder
        assert holder is not None
        assert holder.address == "10.0.0.7:4711"
        assert before <= holder.since <= dt.datetime.now(dt.UTC)
        assert (holder.to_port, holder.to_client) == (5, 6)
        assert (holder.resets, holder.gates, holder.failures) == (0, 0, 0)
        station.let_go(end, "it closed the connection")
        assert station.snapshot().holder is None

    at_a_station(play)


def test_totals_are_those_of_all_clients_with_whoever_has_the_port() -> None:
    async def play(station: Station, port: VirtualTransport) -> None:
        for number, sent in enumerate((b"hello", b"hi", b""), 1):
            end = FakeEnd(f"10.0.0.7:{number}")
            station.attach(end)
            station.take_in(sent)
            port.say(b"world!")
            station.wake()
            before = station.snapshot().totals
            station.let_go(end, "it closed the connection")
            assert station.snapshot().totals == before
            assert before.clients == number
        totals = station.snapshot().totals
        assert (totals.to_port, totals.to_client, totals.losses) == (7, 18, 0)

    at_a_station(play)


def test_a_reset_counts_once_whoever_has_the_port() -> None:
    async def play(station: Station, _: VirtualTransport) -> None:
        station.reset()
        await asyncio.sleep(1.0)
        assert station.snapshot().totals.resets == 1
        end = FakeEnd("10.0.0.7:4711")
        station.attach(end)
        await asyncio.sleep(1.0)
        assert station.snapshot().totals.resets == 1
        station.reset(force=True)
        await asyncio.sleep(1.0)
        view = station.snapshot()
        assert view.holder is not None
        assert (view.holder.resets, view.totals.resets) == (1, 2)
        station.let_go(end, "it closed the connection")
        assert station.snapshot().totals.resets == 2

    at_a_station(play)


def test_a_port_that_is_lost_says_when_and_why() -> None:
    async def play(station: Station, port: VirtualTransport) -> None:
        port.close()
        station.wake()
        view = station.snapshot()
        assert view.device is None
        assert view.last_error == "timed: unplugged"
        assert view.last_error_at is not None
        assert (view.has_lines, view.totals.losses) == (False, 1)

    at_a_station(play)


def test_a_port_that_is_not_there_says_why() -> None:
    def is_not_there() -> VirtualTransport:
        raise PortNotFoundError("/dev/ttyUSB7", "no such device")

    async def play() -> None:
        station = make_station()
        station.find(is_not_there)
        await station.looked.wait()
        view = station.snapshot()
        assert view.missing == view.last_error == "/dev/ttyUSB7: no such device"
        with pytest.raises(PortNotFoundError):
            station.reset()
        await station.close()

    run_virtually(VirtualTransport().virtual_clock, play())


def test_whoever_has_the_port_is_sent_off_when_it_is_released() -> None:
    async def play(station: Station, _: VirtualTransport) -> None:
        end = FakeEnd("10.0.0.7:4711")
        station.attach(end)
        assert station.release("the lab closes")
        assert not end.has_port
        assert station.snapshot().holder is None
        assert not station.release("the lab closes")

    at_a_station(play)


def test_a_board_that_nobody_has_is_reset() -> None:
    async def play(station: Station, port: VirtualTransport) -> None:
        station.reset()
        await asyncio.sleep(1.0)
        assert lines_of(port) == RESET

    at_a_station(play)


def test_a_board_on_its_own_usb_port_is_reset_as_that_takes() -> None:
    async def play(station: Station, port: VirtualTransport) -> None:
        end = FakeEnd("10.0.0.7:4711")
        station.attach(end)
        # To USB-Serial/JTAG this asks for download mode, at the next reset.
        end.fake_peer.wishes.append(Setting(Code.SET_CONTROL, Control.DTR_ON))
        station.take_in(b"")
        await asyncio.sleep(5.0)
        port.happened.clear()
        station.reset(force=True)
        await asyncio.sleep(1.0)
        assert lines_of(port)[:3] == [
            ("lines", (False, False)),
            ("lines", (None, True)),
            ("lines", (None, False)),
        ]

    at_a_station(play, VirtualTransport(usb_ids=(0x303A, 0x1001)))


def test_a_board_that_somebody_has_is_only_reset_by_force() -> None:
    async def play(station: Station, port: VirtualTransport) -> None:
        end = FakeEnd("10.0.0.7:4711")
        station.attach(end)
        with pytest.raises(PortBusyError, match=r"10\.0\.0\.7:4711 has it"):
            station.reset()
        await asyncio.sleep(1.0)
        assert lines_of(port) == []
        station.reset(force=True)
        await asyncio.sleep(1.0)
        assert lines_of(port) == RESET
        assert end.has_port

    at_a_station(play)


def test_what_a_client_holds_is_held_again_after_a_reset_by_force() -> None:
    async def play(station: Station, port: VirtualTransport) -> None:
        end = FakeEnd("10.0.0.7:4711")
        station.attach(end)
        both = (Control.DTR_ON, Control.RTS_ON)
        end.fake_peer.wishes += [Setting(Code.SET_CONTROL, each) for each in both]
        station.take_in(b"")
        await asyncio.sleep(5.0)
        station.reset(force=True)
        await asyncio.sleep(5.0)
        assert lines_of(port)[-1] == ("lines", (True, True))

    at_a_station(play)


def test_a_port_without_lines_cannot_be_reset() -> None:
    async def play(station: Station, port: VirtualTransport) -> None:
        with pytest.raises(CapabilityError):
            station.reset()
        assert lines_of(port) == []

    at_a_station(play, VirtualTransport(set_lines=False))


def test_a_port_that_fails_during_a_reset_is_lost() -> None:
    async def play(station: Station, port: VirtualTransport) -> None:
        port.close()
        with pytest.raises(TransportClosedError):
            station.reset()
        assert station.snapshot().device is None

    at_a_station(play)


def test_what_nobody_reads_and_what_is_thrown_away_unread_is_heard_all_the_same() -> None:
    async def play(station: Station, port: VirtualTransport) -> None:
        port.say(b"to nobody, ")
        station.wake()
        port.say(b"thrown away, ")
        end = FakeEnd("10.0.0.7:4711")
        station.attach(end)
        port.say(b"to its client")
        station.wake()
        assert station.tap.history == b"to nobody, thrown away, to its client"
        assert end.fake_peer.heard == [b"to its client"]

    at_a_station(play)


def test_a_port_that_is_gone_is_nobodys() -> None:
    async def play(station: Station, port: VirtualTransport) -> None:
        port.close()
        station.wake()
        assert station.ask(FakeEnd("10.0.0.7:1"), Ask(), b"") is Denial.TIME
        end = FakeEnd("10.0.0.7:2")
        station.attach(end)
        assert not end.has_port
        station.take_in(b"hello")
        view = station.snapshot()
        assert (view.holder, view.line, view.listening) == (None, (), ())
        assert (view.totals.clients, view.totals.to_port) == (0, 0)

    at_a_station(play)


def test_who_asks_for_a_port_that_is_free_has_it_at_once() -> None:
    async def play(station: Station, _: VirtualTransport) -> None:
        assert station.ask(FakeEnd("10.0.0.7:1"), Ask(), b"") is None
        holder = station.snapshot().holder
        assert holder is not None
        assert holder.address == "10.0.0.7:1"
        # Of one that has nothing to do with the port nothing is to be undone.
        station.let_go(FakeEnd("10.0.0.7:2"), "it closed the connection")
        assert station.snapshot().holder == holder
        assert station.ask(FakeEnd("10.0.0.7:3"), Ask(), b"") is Denial.TIME

    at_a_station(play)
