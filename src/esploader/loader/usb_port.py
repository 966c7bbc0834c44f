"""What it changes that the port is the chip's own USB, and not a UART behind a bridge.

Sources: esptool documentation, "Boot Mode Selection" and "Troubleshooting"; what esptool 5.6.0
does. USB product ids: Technical Reference Manual of the ESP32-C3 (USB-Serial/JTAG); those of
USB-OTG are facts of the chips.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from esploader.transport.vendors import ESPRESSIF_VID

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip
    from esploader.protocol.dialect import Dialect
    from esploader.transport.base import Capabilities

_SERIAL_JTAG_PID: Final = 0x1001

OTG_BLOCK_SIZE: Final = 0x800
"""The largest block that a ROM loader takes over USB-OTG, in bytes."""


def is_serial_jtag(port: Capabilities, chip: Chip | None = None) -> bool:
    """Tell whether the port is the USB-Serial/JTAG port of a chip, of ``chip`` if it is known."""
    may_be = chip is None or chip.has_usb_serial_jtag
    return may_be and (port.usb_vid, port.usb_pid) == (ESPRESSIF_VID, _SERIAL_JTAG_PID)


def may_be_serial_jtag(port: Capabilities, chip: Chip) -> bool:
    """Tell whether the port is that of :func:`is_serial_jtag`, or a network hides what it is.

    A server with gates says so where it is one.
    """
    is_hidden = port.remote and not port.gated and port.usb_vid is None
    return is_serial_jtag(port, chip) or (is_hidden and chip.has_usb_serial_jtag)


def is_otg(port: Capabilities, chip: Chip) -> bool:
    """Tell whether the port is the USB-OTG port of ``chip``."""
    ids = (port.usb_vid, port.usb_pid)
    return chip.usb_otg_pid is not None and ids == (ESPRESSIF_VID, chip.usb_otg_pid)


def may_be_usb(port: Capabilities) -> bool:
    """Tell whether the port is one of the chip's own, or may be: a network hides what it is."""
    return port.usb_vid in (None, ESPRESSIF_VID)


def rom_dialect(port: Capabilities, chip: Chip) -> Dialect:
    """Return what the ROM loader of ``chip`` takes through the port.

    Over USB-OTG it takes smaller blocks, and nobody knows how much of what comes while it
    works it keeps. Where the port may be that one, the upload of a stub keeps to it: larger
    blocks of flash are given up by themselves when they fail.
    """
    rom = chip.rom
    if is_otg(port, chip):
        return attrs.evolve(
            rom,
            flash_block_size=min(rom.flash_block_size, OTG_BLOCK_SIZE),
            ram_block_size=min(rom.ram_block_size, OTG_BLOCK_SIZE),
            receive_ring_size=None,
        )
    if chip.usb_otg_pid is not None and port.usb_vid is None:
        return attrs.evolve(rom, ram_block_size=min(rom.ram_block_size, OTG_BLOCK_SIZE))
    return rom
