"""The makers of USB devices that are, or lead to, a chip: their vendor ids."""

from __future__ import annotations

from typing import Final

ESPRESSIF_VID: Final = 0x303A
"""Espressif: chips with a USB port of their own."""

BRIDGE_VIDS: Final = frozenset({0x0403, 0x067B, 0x10C4, 0x1A86})
"""The makers of the usual USB-to-UART bridges: FTDI, Prolific, Silicon Labs, WCH."""
