"""Our client, a network, our server and a simulated chip: whole jobs, in exact time."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from esploader.connector import connect
from esploader.errors import EsploaderError, TransportError
from esploader.simulator.line.transport import SimulatedTransport
from esploader.transport.com_port import Code, Purge, Setting, encode
from esploader.transport.reset import classic, play
from simulated import SYNC
from stub_files import stub_directory
from untouched import comparing, fill, simulated_behind
from virtual_link import Link, VirtualServer, make_server

if TYPE_CHECKING:
    from pathlib import Path

BAUDRATE = 460800
DATA = random.Random(4).randbytes(48 * 1024)  # noqa: S311 - the same in every run
LARGE = random.Random(5).randbytes(384 * 1024)  # noqa: S311 - the same in every run
SECONDS, LARGE_SECONDS = 2.0, 9.5
"""About how long it takes to connect and write either of them."""

FIRST_SEEDS, ALL_SEEDS = 17, 200
"""Among the first there is each kind of fault, with the ROM loader and with a stub."""


def flash_of(server: VirtualServer, size: int = len(DATA)) -> bytes:
    """Return what has been written."""
    assert isinstance(server.port, SimulatedTransport)
    return bytes(server.port.device.nor.read(0, size))


@pytest.mark.parametrize("round_trip", [0.0, 0.1, 0.4])
def test_the_network_is_as_slow_as_it_is_said_to_be(round_trip: float) -> None:
    server = make_server()
    pipe = server.connect(Link(round_trip=round_trip))
    assert server.clock.now() == round_trip
    pipe.send(encode(Setting(Code.PURGE_DATA, Purge.RECEIVE), from_server=False))
    greeting = pipe.receive(server.clock.now() + 10)
    while not greeting.endswith(encode(Setting(Code.PURGE_DATA, 1), from_server=True)):
        greeting += pipe.receive(server.clock.now() + 10)
    assert server.clock.now() == pytest.approx(2 * round_trip)


def test_a_reset_is_as_long_at_the_chip_as_it_was_meant() -> None:
    server = make_server()
    transport = server.open(Link(round_trip=0.2, jitter=0.3, seed=5))
    play(classic(), transport)
    transport.write(SYNC)
    said = b""
    while data := transport.read(server.clock.now() + 1):
        said += data
    assert b"waiting for download" in said
    assert said.endswith(b"\xc0")


def test_a_client_that_is_cut_off_leaves_the_port_to_the_next() -> None:
    server = make_server()
    transport = server.open(Link(cut_at=5.0))
    transport.set_baudrate(9600)
    server.clock.sleep(10.0)
    with pytest.raises(TransportError):
        transport.read(server.clock.now())
    assert server.port.baudrate == 115200
    assert server.open().baudrate == 115200


def faulty_link(chance: random.Random, server: VirtualServer, seconds: float) -> Link:
    """Return a link that is bad, or whose server is, in a job of so many seconds."""
    now = server.clock.now()
    moment = now + chance.uniform(0.02, 1.0) * seconds
    round_trip = chance.choice([0.0, 0.02, 0.1, 0.3])
    jitter, seed = chance.choice([0.0, round_trip]), chance.randrange(1000)
    stall = None
    cut_at = float("inf")
    match chance.choice(["stall", "cut", "both", "jitter", "lost", "lost"]):
        case "stall":
            stall = (moment, moment + chance.choice([0.2, 1.0, 4.0, 30.0]))
        case "cut":
            cut_at = moment
        case "both":
            stall = (moment, moment + 2.0)
            cut_at = moment + chance.uniform(0.0, 3.0)
        case "lost":
            server.outage = (moment, moment + chance.choice([0.1, 1.0, 5.0, 40.0]))
        case _:
            jitter = chance.uniform(0.0, 1.0)
    return Link(round_trip=round_trip, jitter=jitter, seed=seed, stall=stall, cut_at=cut_at)


def outlive_a_fault(seed: int, stubs: Path) -> None:
    """Write while something happens; check what is there, and that the next client can."""
    chance = random.Random(seed)  # noqa: S311 - a seed is the point
    server = make_server()
    with_stub = chance.random() < 0.3
    data = LARGE if with_stub else DATA
    link = faulty_link(chance, server, LARGE_SECONDS if with_stub else SECONDS)
    stub = stubs if with_stub else False
    fill(simulated_behind(server.port))
    try:
        with (
            comparing(simulated_behind(server.port), (0, len(data))),
            connect(server.open(link), stub=stub, baudrate=BAUDRATE) as device,
        ):
            if chance.random() < 0.8:
                device.link.reopen = server.open_again
            device.flash.write([(0, data)])
    except EsploaderError:
        pass
    else:
        assert flash_of(server, len(data)) == data
    server.clock.sleep(60.0)
    assert server.pipe is None

    with (
        comparing(simulated_behind(server.port), (0, len(DATA))),
        connect(server.open(Link(round_trip=0.02)), stub=False, baudrate=BAUDRATE) as device,
    ):
        device.flash.write([(0, DATA)])
    assert flash_of(server) == DATA


@pytest.fixture(name="stubs", scope="module")
def _stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stub_directory(tmp_path_factory.mktemp("stubs"))


@pytest.mark.parametrize("seed", range(FIRST_SEEDS))
def test_no_fault_of_the_network_writes_what_was_not_meant_or_keeps_the_port(
    seed: int, stubs: Path
) -> None:
    outlive_a_fault(seed, stubs)


@pytest.mark.parametrize("with_stub", [False, True], ids=["ROM", "stub"])
def test_a_job_goes_on_when_a_server_ends_in_the_middle_and_another_one_takes_its_place(
    with_stub: bool,  # noqa: FBT001 - a column of the table
    stubs: Path,
) -> None:
    server = make_server()
    server.outage = (1.5, 4.0)
    stub = stubs if with_stub else False
    fill(simulated_behind(server.port))
    with (
        comparing(simulated_behind(server.port), (0, len(DATA))),
        connect(server.open(Link(round_trip=0.1)), stub=stub, baudrate=BAUDRATE) as device,
    ):
        assert server.clock.now() < 1.5
        device.link.reopen = server.open_again
        device.flash.write([(0, DATA)])
    assert server.clock.now() > 4.0
    assert flash_of(server) == DATA


@pytest.mark.slow
def test_the_same_for_many_more_faults(stubs: Path) -> None:
    for seed in range(FIRST_SEEDS, ALL_SEEDS):
        outlive_a_fault(seed, stubs)
