"""The serial ports of this machine, in the order in which a person would look for one.

Ports are listed from what the operating system knows; none is ever opened.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import frozen
from esploader.numerals import printable
from esploader.transport.vendors import BRIDGE_VIDS, ESPRESSIF_VID

if TYPE_CHECKING:
    from collections.abc import Iterable

# Ports that every Mac has and that never lead to a device.
_MACOS_OWN: Final = re.compile(r"Bluetooth-Incoming-Port|wlan-debug|debug-console")
# Names of USB ports, for systems that tell nothing but the name.
_USB_NAME: Final = re.compile(r"ttyACM|ttyUSB|cu\.usb|cu\.wchusb|cu\.SLAB", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(\d+)")


@frozen(kw_only=True)
class PortInfo:
    """What the operating system knows of a port."""

    device: str
    """The name to open it by."""

    description: str = ""
    """What it calls itself; empty when unknown."""

    vid: int | None = attrs.field(default=None, repr=lambda vid: f"{vid:#06x}" if vid else "None")
    """USB vendor id."""

    pid: int | None = attrs.field(default=None, repr=lambda pid: f"{pid:#06x}" if pid else "None")
    """USB product id."""

    serial_number: str | None = None
    """USB serial number."""

    location: str | None = None
    """Where it is plugged in, as bus and hub ports."""


def list_ports() -> list[PortInfo]:
    """Return the ports of this machine, the likeliest first."""
    from serial.tools import list_ports as pyserial_list

    return sort_ports(
        PortInfo(
            device=port.device,
            description="" if port.description in {None, "n/a"} else printable(port.description),
            vid=port.vid,
            pid=port.pid,
            serial_number=port.serial_number and printable(port.serial_number),
            location=port.location,
        )
        for port in pyserial_list.comports()
    )


def sort_ports(ports: Iterable[PortInfo]) -> list[PortInfo]:
    """Return the ports, the likeliest first, without those that cannot lead to a device.

    Espressif's own USB, then USB bridges, other USB ports, ports that look like USB by
    their name, and the rest; among equals by name, with numbers in their natural order.
    """
    return sorted((port for port in ports if not _MACOS_OWN.search(port.device)), key=_order)


def sensible_ports(ports: Iterable[PortInfo]) -> list[PortInfo]:
    """Return those of the ports that are USB ports: a device may well be behind one."""
    return [port for port in ports if port.vid is not None]


def matching_ports(
    ports: Iterable[PortInfo], filters: Iterable[tuple[str, int | str]]
) -> list[PortInfo]:
    """Return those of the ports that have what is asked for.

    ``filters`` are keys and values: ``vid`` and ``pid`` with a number, ``name`` and ``serial``
    with a part of that text, in upper or lower case. One of the values of each key will do.
    """
    wanted: dict[str, list[int | str]] = {}
    for key, value in filters:
        wanted.setdefault(key, []).append(value)
    return [
        port
        for port in ports
        if all(any(_has(port, key, value) for value in values) for key, values in wanted.items())
    ]


def _has(port: PortInfo, key: str, value: int | str) -> bool:
    if isinstance(value, int):
        return value == (port.vid if key == "vid" else port.pid)
    text = port.device if key == "name" else port.serial_number or ""
    return value.lower() in text.lower()


def find_port(device: str) -> PortInfo | None:
    """Return what is known of the port with this name; ``None`` for an unknown one.

    Links (``/dev/serial/by-id/...``) are followed, and on macOS the ``tty`` name of a
    port is taken for its ``cu`` name.
    """
    names = {device, os.path.realpath(device)}
    names |= {name.replace("/dev/tty.", "/dev/cu.") for name in names}
    return next((port for port in list_ports() if port.device in names), None)


def described(port: PortInfo) -> str:
    """Return what tells ``port`` from its like, for people."""
    words = [
        f"{name} {value}"
        for name, value in (("serial", port.serial_number), ("location", port.location))
        if value is not None
    ]
    return f"{port.device} ({', '.join(words) or 'without serial and location'})"


def socket_of(port: PortInfo) -> str | None:
    """Return where the device of ``port`` is plugged in; ``None`` where nobody says."""
    return None if port.location is None else port.location.partition(":")[0]


def interface_of(port: PortInfo) -> str:
    """Return which of the ports of its device it is, where there is more than one."""
    return "" if port.location is None else port.location.partition(":")[2]


def is_same_device(before: PortInfo, now: PortInfo) -> bool:
    """Tell whether ``now`` is the USB port that ``before`` was, as far as anything tells.

    The serial number decides, wherever it is plugged in; of devices without one the place does,
    and only where the system does not tell that, the name.
    """
    if before.vid is None or now.vid is None:
        return before.device == now.device
    if (before.vid, before.pid) != (now.vid, now.pid):
        # A chip's own port has other ids, and another number, when something else runs in it.
        is_own = before.vid == now.vid == ESPRESSIF_VID
        return is_own and before.location is not None and socket_of(before) == socket_of(now)
    if interface_of(before) != interface_of(now):
        return False
    if before.serial_number is not None or now.serial_number is not None:
        return (before.serial_number or "").lower() == (now.serial_number or "").lower()
    if before.location is not None or now.location is not None:
        return before.location == now.location
    return before.device == now.device


def _order(port: PortInfo) -> tuple[int, list[str | int]]:
    if port.vid == ESPRESSIF_VID:
        rank = 0
    elif port.vid in BRIDGE_VIDS:
        rank = 1
    elif port.vid is not None:
        rank = 2
    elif _USB_NAME.search(port.device):
        rank = 3
    else:
        rank = 4
    # Words and numbers take turns, so like is always compared with like.
    words = _NUMBER.split(port.device)
    return rank, [int(word) if index % 2 else word for index, word in enumerate(words)]
