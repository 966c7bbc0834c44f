"""How long clients are kept from a port that opens just now."""

from __future__ import annotations

import asyncio

import pytest

from esploader.errors import PortNotFoundError
from esploader.server.opening import OPENING_TIME, has_looked
from relays import VirtualTransport
from stations import make_station
from virtual_loop import run_virtually


def test_a_port_that_takes_long_to_open_is_waited_for_no_longer_than_that() -> None:
    port = VirtualTransport()

    async def play() -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await has_looked(make_station())
        assert loop.time() - before == pytest.approx(OPENING_TIME)

    run_virtually(port.virtual_clock, play())


@pytest.mark.parametrize("turns", range(5))
def test_whoever_waits_no_longer_goes_at_once_even_if_the_port_opens_just_then(turns: int) -> None:
    def is_not_there() -> VirtualTransport:
        raise PortNotFoundError("/dev/ttyUSB7", "no such device")

    async def play() -> None:
        station = make_station()
        waiting = asyncio.create_task(has_looked(station))
        await asyncio.sleep(0)
        station.find(is_not_there)
        await station.looked.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        has_been_told = waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled() == has_been_told
        await station.close()

    run_virtually(VirtualTransport().virtual_clock, play())
