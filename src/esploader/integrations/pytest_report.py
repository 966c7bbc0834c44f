"""What the report of a test that failed tells of its simulated device."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esploader.simulator.device import SimulatedDevice


def describe(device: SimulatedDevice) -> str:
    """Return lines that say what the device is and what it has been through."""
    erased = len(device.nor.erase_counts)
    return "\n".join(
        (
            f"{device.chip.name}, {device.config.flash_size // 1024} KiB of flash",
            f"boots: {device.boot_count}; baud rate: {device.baudrate}; sectors erased: {erased}",
        )
    )
