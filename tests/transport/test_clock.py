"""Virtual time moves only when told, and never back."""

from __future__ import annotations

import time

from esploader.transport.clock import RealClock, VirtualClock


def test_virtual_time_passes_at_once() -> None:
    clock = VirtualClock()
    started = time.monotonic()
    clock.sleep(3600)
    assert clock.now() == 3600
    assert time.monotonic() - started < 60


def test_virtual_time_never_goes_back() -> None:
    clock = VirtualClock(5.0)
    clock.advance_to(3.0)
    clock.sleep(-1)
    assert clock.now() == 5.0


def test_real_time_goes_on_by_itself() -> None:
    clock = RealClock()
    started = clock.now()
    clock.sleep(0.001)
    clock.sleep(-1)
    assert clock.now() >= started + 0.001
