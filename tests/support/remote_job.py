"""The whole job that every pair of a client and a server has to do, by our library.

Run as a program it does the job through pyserial's own client: ``remote_job.py URL CHIP``.
That takes a process of its own, because opening ``rfc2217://`` there calls a deprecated
function of threading.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from esploader import connect
from esploader.chips.model.chip import KIB, MIB
from esploader.urls import open_transport
from firmware import firmware

if TYPE_CHECKING:
    import serial

    from esploader.transport.base import Transport

OFFSET = 0x1_0000
DATA = firmware(7, 64 * KIB)

SLOW, FAST = 115200, 921600

BOOT_TIME = 20.0
"""For how long the boot log may be on its way, in seconds."""

NAMES = {"esp32": "ESP32", "esp32c3": "ESP32-C3"}


def do_job(
    port: str | Transport | serial.SerialBase,
    chip: str,
    *,
    stub: bool = True,
    resets: bool = True,
) -> None:
    """Read the flash id, write 64 KiB and verify them, read them back, and reset the chip.

    Without ``resets`` the chip stays as it is: not every server says that it has no lines.
    """
    transport = open_transport(port)
    baudrate = FAST if transport.capabilities.set_baudrate else SLOW
    with connect(transport, stub=stub, baudrate=baudrate) as device:
        assert device.chip.name == NAMES[chip]
        assert device.flash.id().size == 4 * MIB
        device.flash.write([(OFFSET, DATA)])
        assert not device.flash.verify([(OFFSET, DATA)])
        assert device.flash.read(OFFSET, len(DATA)) == DATA
        if resets:
            transport.set_baudrate(SLOW)  # at which the ROM starts
            device.reset()
            assert b"SPI_FAST_FLASH_BOOT" in boot_log(transport)


def boot_log(transport: Transport) -> bytes:
    """Return what the device says next, up to the boot mode."""
    deadline = transport.clock.now() + BOOT_TIME
    text = b""
    while b"BOOT)" not in text and transport.clock.now() < deadline:
        text += transport.read(deadline)
    return text


def main(url: str, chip: str) -> None:
    """Do the job through pyserial."""
    import serial  # noqa: PLC0415 - whose own client is the point here

    with serial.serial_for_url(url, baudrate=SLOW) as port:
        do_job(port, chip)


if __name__ == "__main__":
    main(*sys.argv[1:])
