"""Behind our server a job takes hardly longer over a slow network than next to the chip."""

from __future__ import annotations

import contextlib
import os
import random
from typing import TYPE_CHECKING, TypeAlias

import pytest

from esploader.chips.registry import chip_by_name
from esploader.connector import connect
from esploader.simulator.config import InitialState
from stub_files import shared_stubs
from untouched import comparing, fill, old_content, simulated_behind
from virtual_link import Link, make_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esploader.device.device import Device

IS_FULL = os.environ.get("ESPLOADER_FULL") == "1"
ROUND_TRIPS = (0.02, 0.05, 0.1, 0.2) if IS_FULL else (0.2,)
MIB = 1024 * 1024
IMAGE = random.Random(7).randbytes(MIB)  # noqa: S311 - data, not a secret

MOST_EXTRA_ROUND_TRIPS = 8
MOST_EXTRA_SHARE = 0.06

Job: TypeAlias = "Callable[[Device], object]"


def seconds(job: Job, link: Link, stubs: Path | None, *, chip: str = "esp32c3") -> float:
    """Return how long connecting and ``job`` take, from the first SYN on."""
    server = make_server(chip_by_name(chip))
    start = server.clock.now()
    transport = server.open(link)
    simulated = simulated_behind(server.port)
    fill(simulated)
    with (
        comparing(simulated, (0x10000, 0x10000 + len(IMAGE))),
        connect(transport, baudrate=460800, stub=stubs or False) as device,
    ):
        job(device)
        return server.clock.now() - start


def check(
    job: Job,
    stubs: Path | None,
    round_trips: tuple[float, ...] = ROUND_TRIPS,
    *,
    chip: str = "esp32c3",
    at_once: float | None = None,
) -> None:
    at_once = at_once or seconds(job, Link(), stubs, chip=chip)
    for round_trip in round_trips:
        most = at_once * (1 + MOST_EXTRA_SHARE) + MOST_EXTRA_ROUND_TRIPS * round_trip
        assert seconds(job, Link(round_trip=round_trip), stubs, chip=chip) <= most


def write(device: Device) -> object:
    device.flash.id()
    return device.flash.write([(0x10000, IMAGE)])


@pytest.fixture(name="stubs")
def _stubs() -> Path:
    return shared_stubs()


@pytest.fixture(name="near", scope="module")
def _near() -> float:
    """How long writing through a stub takes next to the chip."""
    return seconds(write, Link(), shared_stubs())


def test_writing_through_a_stub(stubs: Path, near: float) -> None:
    check(write, stubs, at_once=near)


@pytest.mark.parametrize("chip", ["esp32c3", pytest.param("esp32", marks=pytest.mark.slow)])
def test_writing_through_the_rom_loader(chip: str) -> None:
    check(write, None, chip=chip)


def test_reading(stubs: Path) -> None:
    check(lambda device: device.flash.read(0, MIB // 2), stubs, (0.2,))


@pytest.mark.slow
def test_reading_much(stubs: Path) -> None:
    check(lambda device: device.flash.read(0, MIB), stubs)


def test_comparing_what_is_there_already(stubs: Path) -> None:
    def compare(device: Device) -> object:
        return device.flash.verify([(0, old_content(MIB))])

    near = seconds(compare, Link(), stubs)
    assert seconds(compare, Link(round_trip=0.2), stubs) <= near + 12 * 0.2


@pytest.mark.parametrize("chip", ["esp8266", "esp32", "esp32s2", "esp32s3", "esp32c3"])
@pytest.mark.parametrize("state", [InitialState.APPLICATION, InitialState.DOWNLOAD])
def test_connecting_takes_five_round_trips(chip: str, state: InitialState) -> None:
    times = []
    for round_trip in (0.0, 0.2):
        server = make_server(chip_by_name(chip), state=state)
        with contextlib.closing(server.open(Link(round_trip=round_trip))) as transport:
            connect(transport)
            times.append(server.clock.now())
    assert times[1] - times[0] <= 5 * 0.2 + 0.1  # and one interval between two SYNCs


def test_jitter_costs_no_more_than_itself(stubs: Path, near: float) -> None:
    link = Link(round_trip=0.05, jitter=0.2, seed=3)
    assert seconds(write, link, stubs) <= near * 1.06 + 20 * 0.25
