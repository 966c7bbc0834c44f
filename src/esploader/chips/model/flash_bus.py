"""The SPI peripheral in front of the flash, its pins and the voltage of the flash."""

from __future__ import annotations

import attrs

from esploader.chips.model.bits import Bits, is_register
from esploader.chips.model.unique import require_unique
from esploader.classes import frozen


@frozen(kw_only=True)
class SpiRegisters:
    """The SPI peripheral in front of the flash, as offsets from ``base``."""

    base: int = attrs.field(repr=hex)
    cmd: int = attrs.field(repr=hex)
    addr: int = attrs.field(repr=hex)
    usr: int = attrs.field(repr=hex)
    usr1: int = attrs.field(repr=hex)
    usr2: int = attrs.field(repr=hex)
    mosi_dlen: int | None
    """``None`` where the sizes are fields of ``usr1``."""
    miso_dlen: int | None
    w0: int = attrs.field(repr=hex)
    addr_is_msb_aligned: bool
    """A short address stands in the upper bits of ``addr``."""

    def __attrs_post_init__(self) -> None:
        offsets = (self.cmd, self.addr, self.usr, self.usr1, self.usr2, self.w0)
        optional = (self.mosi_dlen, self.miso_dlen)
        present = [*offsets, *(offset for offset in optional if offset is not None)]
        if not all(is_register(self.base + offset) for offset in present):
            raise ValueError(f"{self!r} has a register outside the address space")
        require_unique("SPI register", present)


@frozen(kw_only=True)
class FlashPinChoices:
    """Where else than at its usual pins the loaders can find the flash, when they are told.

    esptool documentation, "Flasher options", SPI connection; the numbers are those that
    esptool 5.6.0 accepts.
    """

    gpios: tuple[int, ...]
    last_hold_gpio: int
    """The highest one for HD: its field in SPI_ATTACH may have no room for more."""
    usb_gpios: tuple[int, ...]
    """Those of them that are also the chip's own USB port."""
    has_hspi: bool
    """The pins of the second SPI peripheral have a name of their own, HSPI."""


@frozen(kw_only=True)
class SupplyControl:
    """Bits with which software or eFuses decide on the voltage of the flash."""

    decides: Bits
    """Without it the others have no effect."""
    enabled: Bits
    """The flash is supplied at all."""
    tied_high: Bits
    """With 3.3 V from the supply of the chip; else with 1.8 V from the regulator."""
    raised: Bits | None
    """Not 0: the regulator gives 1.9 V instead of 1.8 V."""


@frozen(kw_only=True)
class FlashSupply:
    """Who decides on the voltage of the flash: software, else the eFuses, else a strap."""

    software: SupplyControl | None
    """``None`` where no software is known to do that."""
    software_reference: Bits | None
    """Where it does: all bits are set for 1.9 V, and none for 1.8 V."""
    efuse: SupplyControl
    strap: Bits
    """1 means 1.8 V, 0 means 3.3 V."""
