"""What is sent ahead comes to the same as on a plain link; what fails stops what is behind it."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esploader.connector import connect
from esploader.errors import (
    CommandFailedError,
    NoResponseError,
    ProtocolError,
    TransportClosedError,
    TransportTimeoutError,
    UnsupportedError,
)
from esploader.flash.progress import Progress
from esploader.protocol import dialect
from esploader.protocol.commands import (
    ChangeBaudrate,
    Command,
    GetSecurityInfo,
    ReadReg,
    RegisterWrite,
    WriteReg,
)
from esploader.protocol.download_commands import FlashData, MemBegin, MemData
from esploader.protocol.flash_commands import (
    EraseFlash,
    ReadFlash,
    SpiFlashMd5,
)
from esploader.session.ahead import Packet
from esploader.session.rate import change_baudrate
from esploader.session.session import Session
from esploader.session.streams import read_stream
from esploader.simulator.config import InitialState
from esploader.urls import open_transport
from stub_files import stub_directory
from untouched import comparing, fill, simulated_behind
from virtual_link import Link, VirtualServer, make_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esploader.device.device import Device
    from esploader.protocol.dialect import Dialect

RAM = 0x3FCA_0000
MAGIC_ADDRESS = 0x4000_1000
MAGIC = 0x1B31506F
ROUND_TRIP = 0.1
REFUSED = FlashData(sequence=9, data=bytes(16))
"""No download has begun, so no loader takes it."""


def session_on(dialect_: Dialect, link: Link | None = None) -> tuple[Session, VirtualServer]:
    """Return a session with a loader that has answered SYNC, over a network."""
    state = InitialState.STUB if dialect_ is dialect.STUB else InitialState.DOWNLOAD
    server = make_server(state=state)
    session = Session.start(server.open(link or Link(round_trip=ROUND_TRIP)), dialect_)
    session.forget_input()
    session.sync(1.0)
    return session, server


def device_on(folder: Path, link: Link) -> tuple[Device, VirtualServer]:
    server = make_server()
    return connect(server.open(link), baudrate=460800, stub=stub_directory(folder)), server


def write(index: int, value: int) -> WriteReg:
    return WriteReg((RegisterWrite(RAM + 4 * index, value),))


def read(index: int) -> ReadReg:
    return ReadReg(RAM + 4 * index)


LOADERS = pytest.mark.parametrize("loader", [dialect.ROM, dialect.STUB], ids=["ROM", "stub"])


@LOADERS
def test_many_commands_cost_one_round_trip(loader: Dialect) -> None:
    session, server = session_on(loader)
    start = server.clock.now()
    session.execute_all([write(index, index) for index in range(50)])
    assert session.execute_all([read(index) for index in range(50)]) == list(range(50))
    assert server.clock.now() - start < 2 * ROUND_TRIP + 100 * 0.006


@LOADERS
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_outcomes_are_those_of_a_plain_link(loader: Dialect, data: st.DataObject) -> None:
    values = st.integers(0, 2**32 - 1)
    command = st.one_of(
        st.builds(write, st.integers(0, 3), values),
        st.builds(read, st.integers(0, 3)),
        st.builds(SpiFlashMd5, offset=st.sampled_from([0, 0x1000]), size=st.just(0x1000)),
        st.just(GetSecurityInfo()),
        st.just(REFUSED),
    )
    commands: list[Command[object]] = data.draw(st.lists(command, max_size=12))
    reset = [write(index, 0) for index in range(4)]
    session, _ = session_on(loader, Link(round_trip=0.01, jitter=0.02))
    state = "stub" if loader is dialect.STUB else "download"
    with open_transport(f"sim://esp32c3?state={state}") as transport:
        plain = Session.start(transport, loader)
        plain.sync(1.0)
        for each in (plain, session):
            each.execute_all(reset)
        expected = plain.attempt_all(commands)
        outcomes = session.attempt_all(commands)
    assert [repr(each) for each in outcomes] == [repr(each) for each in expected]


@LOADERS
@pytest.mark.parametrize("position", range(8))
def test_nothing_behind_a_refusal_reaches_the_chip(loader: Dialect, position: int) -> None:
    session, server = session_on(loader)
    session.execute_all([write(index, 0) for index in range(8)])
    commands: list[Command[object]] = [write(index, index + 1) for index in range(8)]
    commands.insert(position, REFUSED)
    results = session.execute_ahead(commands)
    for _ in range(position):
        next(results)
    with pytest.raises(CommandFailedError):
        next(results)
    server.clock.sleep(5.0)
    expected = [index + 1 if index < position else 0 for index in range(8)]
    assert session.execute_all([read(index) for index in range(8)]) == expected


@LOADERS
def test_a_refusal_that_was_reckoned_with_stops_nothing(loader: Dialect) -> None:
    session, _ = session_on(loader)
    outcomes = session.attempt_all([write(0, 7), REFUSED, read(0), REFUSED, read(0)])
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        CommandFailedError,
        int,
        CommandFailedError,
        int,
    ]
    assert session.execute(read(0)) == 7


def test_a_command_the_loader_does_not_know_is_not_sent() -> None:
    session, _ = session_on(dialect.ROM)
    results = session.execute_ahead([write(0, 1), EraseFlash(None)])
    with pytest.raises(UnsupportedError):
        list(results)
    assert session.resynchronise() != 0


def test_a_loader_that_stays_silent_is_named_and_can_be_reached_again() -> None:
    session, server = session_on(dialect.ROM)
    server.port.set_lines(dtr=False, rts=True)
    start = server.clock.now()
    with pytest.raises(NoResponseError, match="READ_REG"):
        next(session.execute_ahead([read(0), read(1)]))
    assert server.clock.now() - start < 4
    server.port.set_lines(dtr=True, rts=False)
    server.clock.sleep(0.5)
    assert session.execute(ReadReg(MAGIC_ADDRESS)) == MAGIC


def test_a_server_that_says_nothing_more_is_given_up() -> None:
    session, server = session_on(dialect.ROM, Link(stall=(5.0, 500.0)))
    server.clock.sleep(10)
    with pytest.raises(TransportTimeoutError, match="said nothing for 10 s"):
        session.execute(read(0))


def test_a_connection_that_breaks_is_the_error() -> None:
    session, server = session_on(dialect.ROM, Link(round_trip=0.1, cut_at=5.0))
    server.clock.sleep(4.9)
    with pytest.raises(TransportClosedError):
        session.execute_all([read(0)] * 100)


def test_commands_are_taken_only_as_there_is_room_for_them() -> None:
    session, _ = session_on(dialect.STUB)
    taken = 0

    def commands() -> Iterator[Command[object]]:
        nonlocal taken
        for sequence in range(40):
            taken += 1
            yield MemData(sequence=sequence, data=bytes(0x4000))

    list(
        session.execute_ahead(
            [MemBegin(size=40 * 0x4000, block_count=40, block_size=0x4000, address=RAM)]
        )
    )
    results = session.execute_ahead(commands())
    next(results)
    # Sixteen blocks of 16 KiB fill what may be on the way.
    assert taken < 16
    results.close()
    assert session.execute(ReadReg(MAGIC_ADDRESS)) == MAGIC


def test_reading_a_stream_costs_one_round_trip_and_its_check_another(tmp_path: Path) -> None:
    device, server = device_on(tmp_path, Link(round_trip=0.2))
    device.flash.prepare()
    start = server.clock.now()
    data = device.flash.read(0, 0x10000)
    assert data == b"\xff" * 0x10000
    assert server.clock.now() - start < 0x10000 * 10 / 460800 * 1.05 + 0.65


def test_whoever_stops_in_the_middle_leaves_a_device_that_can_be_used(tmp_path: Path) -> None:
    device, server = device_on(tmp_path, Link(round_trip=0.2))
    image = random.Random(1).randbytes(0x20000)  # noqa: S311 - data, not a secret

    class EnoughError(Exception):
        pass

    done = 0

    def stop(event: object) -> None:
        nonlocal done
        if isinstance(event, Progress) and event.phase.name == "WRITE":
            done = event.done
            raise EnoughError

    simulated = simulated_behind(server.port)
    fill(simulated)
    with comparing(simulated, (0, len(image))), pytest.raises(EnoughError):
        device.flash.write([(0, image)], skip=False, on_progress=stop)
    server.clock.sleep(3.0)
    flash = server_flash(server)
    written = sum(
        flash[start : start + 0x1000] == image[start : start + 0x1000]
        for start in range(0, len(image), 0x1000)
    )
    # At most what was on the way there and on the way back, and not the rest.
    assert written * 0x1000 <= done + 0x4000 * 4
    assert device.flash.id().size
    with comparing(simulated, (0, len(image))):
        device.flash.write([(0, image)])
    assert server_flash(server)[: len(image)] == image


def server_flash(server: VirtualServer) -> bytes:
    nor = server.port.device.nor  # type: ignore[attr-defined]
    return bytes(nor.read(0, 0x20000))


def test_the_rate_changes_in_one_flight() -> None:
    session, server = session_on(dialect.ROM)
    start = server.clock.now()
    change_baudrate(session, ChangeBaudrate(new=460800), 460800).confirm()
    assert session.transport.baudrate == server.port.baudrate == 460800
    assert server.clock.now() - start < ROUND_TRIP + 0.1


def test_a_rate_the_loader_refuses_stays_unset() -> None:
    session, server = session_on(dialect.STUB)
    with contextlib.suppress(NoResponseError, CommandFailedError):
        change_baudrate(session, ChangeBaudrate(new=460800, old=9600), 460800)
    assert session.transport.baudrate in {115200, 460800}
    session.forget_input()
    assert session.transport.baudrate == server.port.baudrate


def test_a_packet_of_another_size_ends_the_stream() -> None:
    session, _ = session_on(dialect.STUB)
    frames = read_stream(session, ReadFlash(offset=0, size=0x1000), [Packet(0x800)])
    with pytest.raises(ProtocolError, match="4096 bytes came out of turn"):
        next(frames)
    assert session.execute(ReadReg(MAGIC_ADDRESS)) == MAGIC
