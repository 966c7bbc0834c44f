"""What decides whether a boot ends in download mode: the strap, the port, and a bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.chips.model.quirks import Quirk
from esploader.classes import define
from esploader.simulator.config import PortKind
from esploader.simulator.personality import POWER_CAUSES, ResetCause

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip
    from esploader.simulator.personality import Personality
    from esploader.simulator.soc.host_port import HostPort
    from esploader.simulator.soc.memory import Memory


@define(eq=False)
class Straps:
    """The boot strap of a device, and what can take its place."""

    chip: Chip
    personality: Personality
    memory: Memory
    port: HostPort
    kind: PortKind
    is_latched_low: bool
    """It was low when the chip last looked at it."""
    is_held: bool = attrs.field(default=False, init=False)
    """It is pulled by other means than the lines."""

    def __attrs_post_init__(self) -> None:
        self.memory.hook(self.chip.strapping.address, read=self._read)

    def decide(self, cause: ResetCause) -> bool:
        """Tell whether a boot for that cause ends in download mode."""
        is_forced = self._is_forced(cause)
        if cause is ResetCause.USB:
            return is_forced or self.port.asks_for_download or self.is_latched_low
        self.is_latched_low = self.is_held or self.port.pulls_strap
        return is_forced or self.is_latched_low

    def _read(self) -> int:
        """Return the straps as they were latched when it booted."""
        modes = self.personality
        mode = modes.download_mode if self.is_latched_low else modes.flash_mode
        return mode.number << self.chip.strapping.lsb

    def _is_forced(self, cause: ResetCause) -> bool:
        """Look at the bit that sends a boot to download mode, after what this one does to it."""
        force = self.chip.force_download
        if force is None:
            return False
        bit, word = 1 << force.lsb, self.memory.read_word(force.address)
        if cause is ResetCause.USB and self.kind is PortKind.USB_OTG:
            # By this bit software lets the port have its way.
            if self.port.asks_for_download:
                word |= bit
            elif Quirk.FORCED_DOWNLOAD_OUTLASTS_RESET not in self.chip.quirks:
                word &= ~bit
        elif cause in POWER_CAUSES:
            word &= ~bit
        self.memory.write_word(force.address, word)
        return bool(word & bit)
