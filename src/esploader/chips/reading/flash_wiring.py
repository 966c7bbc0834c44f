"""How a device is set up to drive and to supply its flash: words turned into typed values.

Pure functions. The layer above reads the registers that :func:`wiring_addresses` lists,
all in one burst, and hands their words to :func:`flash_wiring_of`.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from esploader.classes import frozen, override

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from esploader.chips.model.bits import Bits
    from esploader.chips.model.chip import Chip
    from esploader.chips.model.flash_bus import SupplyControl

_OFF: Final = 0
_LOW: Final = 1800
_RAISED: Final = 1900
_HIGH: Final = 3300


@enum.unique
class FlashType(enum.Enum):
    """Kinds of flash, by the number of data lines."""

    QUAD = 4
    OCTAL = 8

    @override
    def __str__(self) -> str:
        return f"{self.name.lower()} ({self.value} data lines)"


@enum.unique
class VoltageSource(enum.Enum):
    """What decides on the voltage of the flash, in the words that tools look for."""

    SOFTWARE = "RTC_CNTL"
    """Software did, since the reset, in a register."""

    EFUSE = "eFuse"

    STRAP = "a strapping pin"


@frozen
class FlashVoltage:
    """With what the flash is supplied, and on whose decision."""

    millivolts: int
    """In mV: 1800, 1900 or 3300 nominally, 0 when it is off."""

    source: VoltageSource

    @override
    def __str__(self) -> str:
        return f"{self.millivolts / 1000:.1f}V" if self.millivolts else "OFF"


@frozen(kw_only=True)
class FlashWiring:
    """How the flash is driven and supplied."""

    type: FlashType | None
    """As the eFuses say; ``None`` on a chip that offers no choice."""

    voltage: FlashVoltage | None
    """``None`` on a chip that does not decide on it."""


def wiring_addresses(chip: Chip) -> tuple[int, ...]:
    """Return the addresses of the registers that :func:`flash_wiring_of` needs, each once."""
    addresses = set() if chip.octal_flash is None else set(chip.octal_flash.addresses)
    addresses.update(bits.address for bits in _supply_bits(chip))
    return tuple(sorted(addresses))


def flash_wiring_of(chip: Chip, words: Mapping[int, int]) -> FlashWiring:
    """Return what ``words`` say about the device they were read from.

    ``words`` holds at least the registers of :func:`wiring_addresses`.
    """
    kind = None
    if chip.octal_flash is not None:
        kind = FlashType.OCTAL if chip.octal_flash.extract(words) else FlashType.QUAD
    return FlashWiring(type=kind, voltage=_voltage(chip, words))


def _supply_bits(chip: Chip) -> Iterator[Bits]:
    supply = chip.flash_supply
    if supply is None:
        return
    for control in (supply.software, supply.efuse):
        if control is not None:
            yield from (control.decides, control.enabled, control.tied_high)
            if control.raised is not None:
                yield control.raised
    yield supply.strap


def _voltage(chip: Chip, words: Mapping[int, int]) -> FlashVoltage | None:
    supply = chip.flash_supply
    if supply is None:
        return None
    for control, source in (
        (supply.software, VoltageSource.SOFTWARE),
        (supply.efuse, VoltageSource.EFUSE),
    ):
        if control is not None and control.decides.extract(words):
            return FlashVoltage(_millivolts(control, words), source)
    return FlashVoltage(_LOW if supply.strap.extract(words) else _HIGH, VoltageSource.STRAP)


def _millivolts(control: SupplyControl, words: Mapping[int, int]) -> int:
    if not control.enabled.extract(words):
        return _OFF
    if control.tied_high.extract(words):
        return _HIGH
    if control.raised is not None and control.raised.extract(words):
        return _RAISED
    return _LOW
