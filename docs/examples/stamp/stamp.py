"""Give a device its firmware and its serial number, and see that it starts with them."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import esploader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esploader.transport import Transport

BAUDRATE = 460800
LOG_BAUDRATE = 115200
SECTOR = 4096
MIN_FLASH = 4 << 20
PATIENCE = 2.0
"""How long a device may take to start, in seconds."""

MAX_LOG = 16 * 1024


class StampError(Exception):
    """The device is not fit to be sold."""


@dataclass(frozen=True)
class Stamped:
    """What was made of a device."""

    serial: str
    chip: str
    mac: str
    written: int
    """Bytes that had to be written."""


def stamp(port: str | Transport, firmware: bytes, serial: str) -> Stamped:
    """Write ``firmware``, and ``serial`` into the last sector; start the device.

    Raises:
        StampError: the device is not what it should be, or does not start.
        EsploaderError: there is no device, or it could not be written.
    """
    with esploader.connect(port, baudrate=BAUDRATE) as device:
        if device.is_in_secure_download_mode:
            raise StampError("it has been sold before: it is in Secure Download Mode")
        size = device.flash.id().size
        if size is None or size < MIN_FLASH:
            raise StampError(f"its flash has {size} bytes, {MIN_FLASH} are needed")
        record = json.dumps({"serial": serial, "mac": str(device.mac)}).encode().ljust(256)
        results = device.flash.write(
            [(device.chip.bootloader_offset, firmware), (size - SECTOR, record)]
        )
        transport = device.session.transport
        transport.set_baudrate(LOG_BAUDRATE)
        device.reset()
        wait_for(transport, f"serial {serial}")
        return Stamped(
            serial=serial,
            chip=device.chip.name,
            mac=str(device.mac),
            written=sum(result.written for result in results),
        )


def wait_for(transport: Transport, text: str) -> None:
    """Read what the application prints until it has printed ``text``."""
    deadline = transport.clock.now() + PATIENCE
    log = b""
    while text.encode() not in log and len(log) < MAX_LOG:
        data = transport.read(deadline)
        if not data:
            lines = log.decode(errors="replace").splitlines() or ["nothing"]
            raise StampError(f"it does not start; the last that it said was: {lines[-1]}")
        log += data


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line: 0 for a device that can be sold, 1 for one that cannot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port")
    parser.add_argument("firmware", type=Path)
    parser.add_argument("serial")
    given = parser.parse_args(arguments)
    try:
        stamped = stamp(given.port, given.firmware.read_bytes(), given.serial)
    except (StampError, esploader.EsploaderError, OSError) as error:
        print(f"{given.serial}: FAILED: {error}", file=sys.stderr)
        return 1
    print(f"{stamped.serial}: {stamped.chip} {stamped.mac}, {stamped.written} bytes written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
