"""Supplying a flash that download mode leaves without power."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.chips.bits import Bits
    from esploader.chips.identity import Revision
    from esploader.chips.model import Chip


@attrs.frozen
class Setting:
    """Bits of a register, what is written there, and how long it takes to have its effect."""

    bits: Bits
    value: int
    wait_us: int = attrs.field(default=0, kw_only=True)
    """In microseconds."""


@attrs.frozen(kw_only=True)
class FlashPower:
    """How the flash gets its supply on devices whose ROM loader does not turn it on."""

    revisions: tuple[tuple[int, int], ...]
    """Major and minor of those devices."""

    settings: tuple[Setting, ...]
    """What turns it on, in order."""

    rom_revision: tuple[int, int]
    rom_turns_on: Bits
    """Devices of that revision with this eFuse turn it on by themselves."""

    forced: Bits
    """There it must not be turned on from here as well, as it is when all these are set."""


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
