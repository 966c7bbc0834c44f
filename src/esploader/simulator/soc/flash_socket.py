"""Where the flash of a simulated device sits: one that answers, a dead one, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.simulator.config import FlashPresence
from esploader.simulator.flash.chip import FlashChip
from esploader.simulator.flash.nor import NorFlash

if TYPE_CHECKING:
    from esploader.simulator.config import DeviceConfig
    from esploader.simulator.flash.timings import Timings


def put_flash_in(config: DeviceConfig, timings: Timings) -> tuple[NorFlash, FlashChip]:
    """Return the cells and the chip of the flash that is asked for.

    Raises:
        ValueError: it is to hold something, and does not answer.
    """
    if config.flash_presence is FlashPresence.PRESENT:
        nor = NorFlash(config.flash_size, timings)
        nor.fill(config.flash_content)
        return nor, FlashChip.around(nor, config.flash_condition)
    if config.flash_content or config.flash_file is not None:
        raise ValueError("a flash that does not answer holds nothing")
    from esploader.simulator.flash.dead import FLOATING, HELD_LOW, DeadFlash, DeadFlashChip

    level = FLOATING if config.flash_presence is FlashPresence.NONE else HELD_LOW
    dead = DeadFlash(config.flash_size, timings, level=level)
    return dead, DeadFlashChip(dead, bytes((level,)) * 3, level=level)
