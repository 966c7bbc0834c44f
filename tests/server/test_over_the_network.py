"""Our client, a network, our server and a simulated chip: whole jobs, in exact time."""

from __future__ import annotations

import hashlib
import random

import pytest

from esploader.chips.registry import chip_by_name
from esploader.connector import connect
from esploader.errors import EsploaderError, TransportError
from esploader.server.relay import Relay
from esploader.server.served_port import serve_transport
from esploader.simulator.transport import SimulatedTransport
from esploader.transport.com_port import Code, Purge, Setting, encode
from esploader.transport.reset import classic, play
from simulated import SYNC
from virtual_link import Link, VirtualServer, make_server

BAUDRATE = 460800
DATA = random.Random(4).randbytes(48 * 1024)  # noqa: S311 - the same in every run
FIRST_SEEDS, ALL_SEEDS = 40, 200


def flash_of(server: VirtualServer) -> bytes:
    """Return what has been written."""
    assert isinstance(server.port, SimulatedTransport)
    return bytes(server.port.device.nor.read(0, len(DATA)))


def write(server: VirtualServer, link: Link) -> float:
    """Write with the ROM loader; return how long everything took."""
    started = server.clock.now()
    with connect(server.open(link), stub=False, baudrate=BAUDRATE) as device:
        device.write_flash([(0, DATA)])
    return server.clock.now() - started


@pytest.mark.parametrize("name", ["esp32", "esp32c3"])
def test_a_round_trip_costs_a_whole_job_only_a_few_of_itself(name: str) -> None:
    near = make_server(chip_by_name(name))
    at_once = write(near, Link())
    for round_trip in (0.05, 0.2):
        far = make_server(chip_by_name(name))
        assert write(far, Link(round_trip=round_trip)) <= at_once * 1.06 + 20 * round_trip
        assert flash_of(far) == DATA


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


def faulty_link(chance: random.Random, now: float) -> Link:
    """Return a link that is bad in one of several ways while a job is going on."""
    moment = now + chance.uniform(0.05, 3.0)
    round_trip = chance.choice([0.0, 0.02, 0.1, 0.3])
    jitter, seed = chance.choice([0.0, round_trip]), chance.randrange(1000)
    stall = None
    cut_at = float("inf")
    match chance.choice(["stall", "cut", "both", "jitter"]):
        case "stall":
            stall = (moment, moment + chance.choice([0.2, 1.0, 4.0, 30.0]))
        case "cut":
            cut_at = moment
        case "both":
            stall = (moment, moment + 2.0)
            cut_at = moment + chance.uniform(0.0, 3.0)
        case _:
            jitter = chance.uniform(0.0, 1.0)
    return Link(round_trip=round_trip, jitter=jitter, seed=seed, stall=stall, cut_at=cut_at)


def outlive_a_fault(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed is the point
    server = make_server()
    try:
        write(server, faulty_link(chance, server.clock.now()))
    except EsploaderError:
        pass
    else:
        assert flash_of(server) == DATA
    server.clock.sleep(60.0)
    assert server.pipe is None

    if chance.random() < 0.3:  # the server did not survive
        server.relay = Relay(serve_transport(server.port))
    write(server, Link(round_trip=0.02))
    assert hashlib.md5(flash_of(server)).digest() == hashlib.md5(DATA).digest()  # noqa: S324


@pytest.mark.parametrize("seed", range(FIRST_SEEDS))
def test_no_fault_of_the_network_writes_what_was_not_meant_or_keeps_the_port(seed: int) -> None:
    outlive_a_fault(seed)


@pytest.mark.slow
def test_the_same_for_many_more_faults() -> None:
    for seed in range(FIRST_SEEDS, ALL_SEEDS):
        outlive_a_fault(seed)
