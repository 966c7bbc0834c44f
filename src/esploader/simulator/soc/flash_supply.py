"""Whether the flash has power, on chips whose loader has to be told to turn it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.chips.model.bits import BitField
from esploader.classes import define

if TYPE_CHECKING:
    from esploader.chips.model.bits import Bits
    from esploader.chips.model.chip import Chip
    from esploader.chips.model.flash_power import FlashPower
    from esploader.simulator.soc.memory import Memory


@define(eq=False)
class FlashSupply:
    """The registers behind the supply of one device's flash; most have none."""

    chip: Chip
    memory: Memory

    @property
    def is_on(self) -> bool:
        """The registers hold what the settings leave there in the end."""
        power = self._power
        if power is None:
            return True
        if self._revision == power.rom_revision and self._read(power.rom_turns_on):
            return self._read(power.forced) != (1 << power.forced.width) - 1
        final = {setting.bits: setting.value for setting in power.settings}
        return all(self._read(bits) == value for bits, value in final.items())

    def forget(self) -> None:
        """Have the registers as after a reset."""
        for setting in () if self._power is None else self._power.settings:
            self._write(setting.bits, 0)

    def turn_on(self) -> None:
        """Do what the client of an earlier session did."""
        for setting in () if self._power is None else self._power.settings:
            self._write(setting.bits, setting.value)

    @property
    def _power(self) -> FlashPower | None:
        power = self.chip.flash_power
        return power if power is not None and self._revision in power.revisions else None

    @property
    def _revision(self) -> tuple[int, int]:
        extract = self.memory.extract
        return extract(self.chip.major_revision), extract(self.chip.minor_revision)

    def _read(self, bits: Bits) -> int:
        return self.memory.extract(BitField(bits))

    def _write(self, bits: Bits, value: int) -> None:
        words = {bits.address: self.memory.read_word(bits.address)}
        for address, word in BitField(bits).insert(value, words).items():
            self.memory.write_word(address, word)
