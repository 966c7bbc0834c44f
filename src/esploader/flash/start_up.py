"""Getting a flash chip to answer that did not start up as it should.

Parts of XMC can come up with their id wrong when the power rises slowly. Their SFDP tables
still name the maker, and a way through the deepest of their power-down modes brings them back.
Source: ESP-IDF, ``components/bootloader_support/src/bootloader_flash.c``,
``bootloader_flash_xmc_startup``; esptool 5.6.0 does the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.flash.spi import ADDRESS_BITS, READ_SFDP, SpiTransaction

if TYPE_CHECKING:
    from esploader.flash.spi import FlashPort
    from esploader.transport.clock import Clock

_XMC: Final = 0x20
_SFDP_MANUFACTURER_AT: Final = 0x10

_POWER_DOWN: Final = 0xB9
_ULTRA_POWER_DOWN: Final = 0x79
_LEAVE_ULTRA_POWER_DOWN: Final = 0xFF
_LEAVE_POWER_DOWN: Final = 0xAB

_WAKING_TIME: Final = 0.002  # In seconds.


def wake_flash(port: FlashPort, clock: Clock) -> bool:
    """Wake a flash chip of XMC that has not started up; tell whether it is one of these.

    Raises as :meth:`FlashPort.transact`.
    """
    answer = port.transact(
        SpiTransaction(
            opcode=READ_SFDP,
            address=_SFDP_MANUFACTURER_AT,
            address_bits=ADDRESS_BITS,
            dummy_bits=8,
            input_size=1,
        )
    )
    if answer[0] != _XMC:
        return False
    for opcode in (_POWER_DOWN, _ULTRA_POWER_DOWN, _LEAVE_ULTRA_POWER_DOWN):
        port.transact(SpiTransaction(opcode=opcode))
    clock.sleep(_WAKING_TIME)
    port.transact(SpiTransaction(opcode=_LEAVE_POWER_DOWN))
    return True
