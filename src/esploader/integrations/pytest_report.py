"""What the report of a test that failed tells of its simulated device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.chips.model.chip import KIB
from esploader.simulator.trace import describe_event

if TYPE_CHECKING:
    from esploader.simulator.device import SimulatedDevice

MAX_EVENTS: Final = 60
"""The last ones are what a failure is about."""


def describe(device: SimulatedDevice) -> str:
    """Return lines that say what the device is, and what it has seen and done at last.

    The times are seconds since the first that is known of it.
    """
    events = device.history.events
    lines = [f"{device.chip.name}, {device.nor.size // KIB} KiB of flash, {device.baudrate} baud"]
    if len(events) > MAX_EVENTS:
        lines.append(f"({len(events) - MAX_EVENTS} lines before these)")
    lines += [
        f"{event.moment - events[0].moment:11.6f} {describe_event(event)}"
        for event in events[-MAX_EVENTS:]
    ]
    return "\n".join(lines)
