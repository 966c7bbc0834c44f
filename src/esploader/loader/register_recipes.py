"""Writes to registers that a device needs of whoever is connected to its loader.

Sources: the facts of the chips; Technical Reference Manuals, "Watchdog Timers"; the values
are those that esptool 5.6.0 writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.chips.model.quirks import Quirk
from esploader.errors import UnsupportedError
from esploader.protocol.commands import ALL_BITS, RegisterWrite, WriteReg

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from esploader.chips.model.bits import Bits
    from esploader.chips.model.chip import Chip
    from esploader.chips.model.flash_power import Setting

RESET_TIME: Final = 0.5
"""How long after :func:`watchdog_reset` the device has surely booted, in seconds."""

_LOCKED: Final = 0

_RAISED: Final = 1900

# Ticks of a clock of some 136 kHz: long enough for the response to leave.
_TICKS: Final = 2000

# Enabled | the first stage resets the chip | with a pulse | of this width.
_RESET_CHIP: Final = 1 << 31 | 5 << 28 | 1 << 8 | 2


def watchdogs_off(chip: Chip) -> Iterator[RegisterWrite]:
    """Yield what keeps the watchdogs of ``chip`` from resetting it, as far as it has any."""
    rtc, behind = chip.rtc_watchdog, chip.super_watchdog
    if rtc is not None:
        yield RegisterWrite(rtc.write_protect, rtc.key)
        yield RegisterWrite(rtc.config0, 0)
        yield RegisterWrite(rtc.write_protect, _LOCKED)
    if behind is not None:
        yield RegisterWrite(behind.write_protect, behind.key)
        yield _written(behind.feeds_itself, 1)
        yield RegisterWrite(behind.write_protect, _LOCKED)


def watchdog_reset(chip: Chip) -> tuple[RegisterWrite, ...]:
    """Return what has the RTC watchdog of ``chip`` reset it, which locks its registers again.

    A bit that would send it back to download mode is cleared before, where one is known.

    Raises:
        UnsupportedError: nobody has seen it do so, or it does harm.
    """
    what = f"a watchdog reset of the {chip.name}"
    if Quirk.WATCHDOG_RESET_HANGS_USB in chip.quirks:
        raise UnsupportedError(what, "it can leave the chip's own USB port dead")
    watchdog = chip.rtc_watchdog if chip.watchdog_resets else None
    if watchdog is None:
        raise UnsupportedError(what, "that is not known to work")
    forced = () if chip.force_download is None else (_written(chip.force_download, 0),)
    return (
        *forced,
        RegisterWrite(watchdog.write_protect, watchdog.key),
        RegisterWrite(watchdog.config1, _TICKS),
        RegisterWrite(watchdog.config0, _RESET_CHIP),
    )


def forced_download_off(chip: Chip) -> Iterator[RegisterWrite]:
    """Yield what has the next reset by the lines end in the application."""
    if Quirk.FORCED_DOWNLOAD_OUTLASTS_RESET in chip.quirks and chip.force_download is not None:
        yield _written(chip.force_download, 0)


def flash_power_on(chip: Chip, settings: Iterable[Setting]) -> Iterator[RegisterWrite]:
    """Yield the writes of ``settings``, each with the time that it needs behind it."""
    for setting in settings:
        yield _written(setting.bits, setting.value)
        if setting.wait_us:
            yield RegisterWrite(chip.uart_date_register, 0, mask=0, delay_us=setting.wait_us)


def one_by_one(writes: Iterable[RegisterWrite]) -> list[WriteReg]:
    """Return a command for each write: what every loader takes, and some lose no other way."""
    return [WriteReg((write,)) for write in writes]


def flash_supply(chip: Chip, millivolts: int) -> tuple[RegisterWrite, ...]:
    """Return what has the regulator of ``chip`` supply its flash, whatever eFuses and straps say.

    With 1800 or 1900 mV, or not at all: 0. Never with 3.3 V, which kills a flash for 1.8 V.
    Source: ESP-IDF, ``bootloader_common_vddsdio_configure``.

    Raises:
        UnsupportedError: nobody has seen software do that on this chip.
    """
    supply = chip.flash_supply
    if supply is None or supply.software is None or supply.software_reference is None:
        raise UnsupportedError("--override-vddsdio", f"the {chip.name} has no such regulator")
    reference = supply.software_reference
    highest = (1 << reference.width) - 1
    return (
        _written(supply.software.tied_high, 0),
        _written(reference, highest if millivolts == _RAISED else 0),
        _written(supply.software.enabled, int(millivolts > 0)),
        # With this the others have their effect: all at once.
        _written(supply.software.decides, 1),
    )


def _written(bits: Bits, value: int) -> RegisterWrite:
    mask = ((1 << bits.width) - 1) << bits.lsb
    return RegisterWrite(bits.address, value << bits.lsb & ALL_BITS, mask=mask)
