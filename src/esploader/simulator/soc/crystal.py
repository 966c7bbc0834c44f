"""The crystal of a simulated device, and what its ROM takes it to be.

Some chips take it to be the same always, or what a register says. The ESP32 measures it
against an RC oscillator whose frequency was burnt into eFuses, and computes the divider of
the UART from what came of that (see :class:`~esploader.chips.model.crystals.AssumedCrystal`). Both
are a percent or so wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.classes import frozen

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip
    from esploader.simulator.config import DeviceConfig
    from esploader.simulator.personality import Personality
    from esploader.simulator.soc.memory import Memory

_HZ_PER_MHZ: Final = 1_000_000

USUAL_ERROR: Final = 1.012
"""What a ROM takes its crystal to be, unless asked otherwise, as a factor."""

# What CK8M_FREQ holds: 8.5 MHz in units of 62.5 kHz.
_OSCILLATOR: Final = 136


@frozen
class SimulatedCrystal:
    """Two frequencies in Hz."""

    frequency: int
    assumed: float
    """What the ROM takes it to be."""

    @classmethod
    def put_into(
        cls, config: DeviceConfig, personality: Personality, memory: Memory
    ) -> SimulatedCrystal:
        """Return the crystal of a device; registers and eFuses hold what was measured.

        Raises:
            ValueError: the chip does not work with such a crystal, or does not measure it.
        """
        chip = config.chip
        mhz = personality.crystal_mhz if config.crystal_mhz is None else config.crystal_mhz
        if mhz not in chip.crystal.choices_mhz:
            raise ValueError(f"{chip.name} has no crystal of {mhz} MHz")
        frequency = mhz * _HZ_PER_MHZ
        asked = config.assumed_crystal_hz
        if chip.assumed_crystal is None:
            if asked is not None:
                raise ValueError(f"{chip.name} does not measure its crystal")
            return cls(frequency, frequency)
        if not chip.assumed_crystal.factors:
            if asked is not None:
                raise ValueError(f"{chip.name} always takes its crystal to be the same")
            return cls(frequency, chip.assumed_crystal.frequency({}))
        words = _words_for(chip, frequency, asked, memory)
        memory.fix(words)
        return cls(frequency, chip.assumed_crystal.frequency(words) or frequency)

    def rate_for(self, requested: int) -> int:
        """Return the baud rate that comes of a request."""
        return round(requested * self.frequency / self.assumed)

    def uart_divider_for(self, baudrate: int, chip: Chip) -> int:
        """Return what the divider's register holds at a baud rate."""
        clock = self.frequency * chip.crystal.uart_clock_ratio
        return round(clock / baudrate) << chip.uart_clock_divider.lsb


def _words_for(chip: Chip, frequency: int, asked: int | None, memory: Memory) -> dict[int, int]:
    assumed = chip.assumed_crystal
    if assumed is None:
        return {}
    words = {address: memory.read_word(address) for address in assumed.addresses}
    unit = assumed.numerator / assumed.denominator
    if len(assumed.factors) == 1:
        (setting,) = assumed.factors
        return words | setting.insert(round((frequency if asked is None else asked) / unit), words)
    measured, oscillator = assumed.factors
    hertz = round(frequency * USUAL_ERROR) if asked is None else asked
    words |= oscillator.insert(_OSCILLATOR, words)
    return words | measured.insert(round(hertz / (unit * _OSCILLATOR)), words)
