"""``sim://`` for everything that opens its port with pyserial."""

from __future__ import annotations

import serial

_PACKAGE = __name__


def register_pyserial() -> None:
    """Make ``serial.serial_for_url("sim://...")`` work in this process.

    pyserial looks for URL handlers in a list of packages; this adds ours, once.
    """
    if _PACKAGE not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.append(_PACKAGE)
