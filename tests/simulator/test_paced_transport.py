"""Who looks on at a simulated device sees it take the time that a real one takes."""

from __future__ import annotations

import pytest

from esploader.chips.esp32c3 import ESP32_C3
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.line.paced_transport import PacedTransport
from esploader.simulator.line.transport import SimulatedTransport
from esploader.transport import reset
from esploader.transport.clock import VirtualClock


def paced() -> tuple[PacedTransport, SimulatedTransport, VirtualClock]:
    """Return a paced line, the one behind it, and the clock on the wall."""
    inner = SimulatedTransport(SimulatedDevice(ESP32_C3))
    wall = VirtualClock(1000.0)
    return PacedTransport(inner, wall), inner, wall


def test_what_takes_virtual_time_takes_as_much_real_time() -> None:
    transport, inner, wall = paced()
    start = inner.clock.now()
    reset.play(reset.HARD_RESET, transport)
    said = b""
    while b"invalid header" not in said:
        said += transport.read(transport.clock.now() + 1.0)
    took = inner.clock.now() - start
    assert took > 0.1
    assert wall.now() - 1000.0 == pytest.approx(took, abs=0.011)


def test_waiting_in_vain_takes_as_long_as_it_was_to() -> None:
    transport, _, wall = paced()
    assert transport.read(transport.clock.now() + 2.5) == b""
    assert wall.now() == pytest.approx(1002.5)


def test_a_deadline_in_the_past_waits_for_nothing() -> None:
    transport, _, wall = paced()
    assert transport.read(0.0) == b""
    assert wall.now() == 1000.0
