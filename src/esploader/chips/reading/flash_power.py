"""What has to be written for a flash to have power that download mode leaves without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.chips.model.flash_power import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.chips.model.chip import Chip
    from esploader.chips.model.revision import Revision


def power_addresses(chip: Chip) -> tuple[int, ...]:
    """Return the addresses of the registers that :func:`power_settings` needs."""
    power = chip.flash_power
    return () if power is None else (power.rom_turns_on.address, power.forced.address)


def power_settings(
    chip: Chip, revision: Revision | None, words: Mapping[int, int]
) -> tuple[Setting, ...]:
    """Return what has to be written for the flash of a device to have power, in order.

    ``words`` has the registers of :func:`power_addresses`.
    """
    power = chip.flash_power
    if power is None or revision is None:
        return ()
    number = (revision.major, revision.minor)
    if number not in power.revisions:
        return ()
    if number == power.rom_revision and power.rom_turns_on.extract(words):
        is_forced = power.forced.extract(words) == (1 << power.forced.width) - 1
        return (Setting(power.forced, 0),) if is_forced else ()
    return power.settings
