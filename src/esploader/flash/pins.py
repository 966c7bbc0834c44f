"""To which pins the flash is connected, as people write it and as SPI_ATTACH takes it.

Source: esptool documentation, "Flasher options", SPI connection; the order within the word
is that of the ROM of the ESP32, ``spi_flash_attach``: HD, CS, D, Q and CLK, 6 bits each.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from esploader.errors import UnsupportedError

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

_log: Final = logging.getLogger(__name__)

USUAL: Final = "SPI"
HSPI: Final = "HSPI"

_USUAL_WORD: Final = 0
_HSPI_WORD: Final = 1

_LSB: Final = {"CLK": 0, "Q": 6, "D": 12, "HD": 24, "CS": 18}
"""Where each pin is in the word, in the order in which people name them."""

_MAX_DIGITS: Final = 4


def attach_word(connection: str, chip: Chip) -> int:
    """Return the argument of SPI_ATTACH for ``SPI``, ``HSPI`` or ``CLK,Q,D,HD,CS``.

    A pin that the chip also needs for USB is accepted, with a warning.

    Raises:
        UnsupportedError: it is none of these, or the chip has no flash there.
    """
    name = connection.strip().upper()
    if name == USUAL:
        return _USUAL_WORD
    choices = chip.flash_pin_choices
    if choices is None:
        raise _refusal(connection, f"the flash of the {chip.name} is always at its usual pins")
    if name == HSPI:
        if not choices.has_hspi:
            raise _refusal(connection, f"the {chip.name} has no such connection")
        return _HSPI_WORD
    pins = _pins(connection)
    if len(set(pins.values())) < len(pins):
        raise _refusal(connection, "each pin has one purpose")
    for signal, pin in pins.items():
        if pin not in choices.gpios or (signal == "HD" and pin > choices.last_hold_gpio):
            raise _refusal(connection, f"{signal} cannot be at GPIO {pin} of the {chip.name}")
    if set(pins.values()) & set(choices.usb_gpios):
        _log.warning("the flash is to be at pins of the chip's USB port: %s", connection)
    return sum(pin << _LSB[signal] for signal, pin in pins.items())


def _pins(connection: str) -> dict[str, int]:
    words = [word.strip() for word in connection.split(",")]
    if len(words) != len(_LSB):
        raise _refusal(connection, "choices are SPI, HSPI and five pins, CLK,Q,D,HD,CS")
    if not all(word.isascii() and word.isdigit() and len(word) <= _MAX_DIGITS for word in words):
        raise _refusal(connection, "a pin is a number")
    return dict(zip(_LSB, map(int, words), strict=True))


def _refusal(connection: str, reason: str) -> UnsupportedError:
    return UnsupportedError(f"a flash at {connection!r}", reason)
