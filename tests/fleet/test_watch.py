"""What is watched goes on as it would, until it is to end: then once, wherever it is."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from esploader.errors import TransportClosedError
from esploader.fleet import Status, flash_many
from esploader.fleet.watch import InterruptedWorkError, Watch, WatchedClock, Why
from esploader.transport.clock import VirtualClock
from fleets import FLASH_SIZE, OFFSET, Place, artefact
from programs import served_chip

if TYPE_CHECKING:
    from esploader.transport.base import Transport


def test_what_is_sent_ahead_to_a_port_server_is_so_when_it_is_watched() -> None:
    gated: list[bool] = []

    with served_chip(f"sim://esp32c3?flash={FLASH_SIZE >> 20}MB", "--rfc2217", "0") as urls:
        url = urls["rfc2217"]
        job = Place(0).job(
            port=url,
            artefact=artefact(b"x" * 0x1000),
            check=lambda device: gated.append(device.session.wire.gated is not None),
        )
        (board,) = flash_many([job])
    assert board.status is Status.DONE, board.error
    assert [region.offset for region in board.regions] == [OFFSET]
    assert gated == [True]


def test_a_wait_ends_when_it_is_to_and_only_once() -> None:
    cancel, clock = threading.Event(), VirtualClock()
    watch = Watch(cancel)
    clock.watchers.append(lambda now: cancel.set() if now >= 3.0 else None)
    watched = WatchedClock(clock, watch)
    watched.sleep(2.0)
    assert clock.now() == pytest.approx(2.0)
    with pytest.raises(InterruptedWorkError):
        watched.sleep(60.0)
    assert clock.now() < 4.0
    assert watch.why is Why.CANCELLED
    # The device has to be left.
    watched.sleep(60.0)
    assert clock.now() > 60.0


def read_on(transport: Transport) -> None:
    """Read whatever comes, without end."""
    while True:
        transport.read(transport.clock.now() + 100.0)


def test_a_read_ends_when_its_time_is_over() -> None:
    place = Place(0)
    watch = Watch(threading.Event(), time_limit=5.0)
    transport = watch.through(place.open())
    start = transport.clock.now()
    watch.check(place.device.clock)
    with pytest.raises(InterruptedWorkError):
        read_on(transport)
    assert transport.clock.now() - start == pytest.approx(5.0, abs=0.5)
    assert watch.why is Why.TOO_LONG
    place.assert_as_before()


def test_no_port_is_opened_for_whom_nobody_waits_any_more() -> None:
    first, late = Place(0), Place(1)
    watch = Watch(threading.Event())
    transport = watch.through(first.open())
    watch.close()
    with pytest.raises(TransportClosedError):
        transport.write(b"")
    with pytest.raises(TransportClosedError, match="nobody waits for this board any more"):
        watch.through(late.open())
    for place in (first, late):
        place.assert_released()
        place.assert_as_before()
