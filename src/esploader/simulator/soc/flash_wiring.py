"""At which pins the flash of a simulated device is, and whether its loader looks for it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.simulator.soc.program import USUAL_PINS

if TYPE_CHECKING:
    from esploader.simulator.config import DeviceConfig
    from esploader.simulator.personality import Personality
    from esploader.simulator.soc.memory import Memory

_PIN_WIDTH: Final = 6


def finds_flash(
    pins: int | None, config: DeviceConfig, personality: Personality, memory: Memory
) -> bool:
    """Tell whether a loader that looks at ``pins`` finds it; ``None``: it was told nothing yet."""
    if pins is None:
        return config.flash_attached or personality.attaches_flash
    return pins in {config.flash_pins, _burnt_pins(config, memory)}


def _burnt_pins(config: DeviceConfig, memory: Memory) -> int:
    """Return the pins in the eFuses, which are those of a flash that is not elsewhere."""
    pins = config.flash_pins
    if pins == USUAL_PINS:
        for pad in config.chip.flash_pads:
            pins = pins << _PIN_WIDTH | memory.extract(pad)
    return pins
