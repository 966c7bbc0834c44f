"""Which of the ports of this machine a server is to serve, by name or by USB identity.

A port that is unplugged and comes back may have another name. What stays is what its USB
descriptors say, and where it is plugged in.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from esploader.classes import frozen, override
from esploader.errors import ConfigError
from esploader.transport.ports import PortInfo, sensible_ports

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from esploader.server.toml_table import Table

MAX_USB_ID: Final = 0xFFFF

_IDS: Final = re.compile(r"([0-9A-Fa-f]{4}):([0-9A-Fa-f]{4})")
_ID: Final = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{1,4})")


def _hex_id(value: int | None) -> str:
    return "None" if value is None else f"{value:#06x}"


@frozen(kw_only=True)
class UsbIdentity:
    """What to know a USB port by; ``None`` matches everything."""

    vid: int | None = attrs.field(default=None, repr=_hex_id)
    """Vendor id."""

    pid: int | None = attrs.field(default=None, repr=_hex_id)
    """Product id."""

    serial_number: str | None = None
    """Serial number, in upper or lower case."""

    location: str | None = None
    """Where it is plugged in, as bus and hub ports; an interface behind it may be left out."""

    @classmethod
    def of(cls, port: PortInfo, others: Iterable[PortInfo]) -> UsbIdentity | None:
        """Return what ``port`` can be found by again, wherever it is plugged in then.

        ``None`` when nothing tells it from its like. The location counts only without a
        serial number of its own: one device may have several ports.
        """
        if port.vid is None:
            return None
        by_serial = cls(vid=port.vid, pid=port.pid, serial_number=port.serial_number)
        if port.serial_number is not None and not any(
            by_serial.matches(other) for other in others if other.device != port.device
        ):
            return by_serial
        if port.location is None:
            return None
        return attrs.evolve(by_serial, location=port.location)

    def matches(self, port: PortInfo) -> bool:
        """Tell whether ``port`` is one of those that are meant."""
        if port.vid is None:
            return False
        return (
            self.vid in {None, port.vid}
            and self.pid in {None, port.pid}
            and _is_same_serial(self.serial_number, port.serial_number)
            and _is_same_location(self.location, port.location)
        )

    @override
    def __str__(self) -> str:
        ids = (("vid", self.vid), ("pid", self.pid))
        words = [f"{name}={value:04x}" for name, value in ids if value is not None]
        words += [
            f"{name}={value}"
            for name, value in (("serial", self.serial_number), ("location", self.location))
            if value is not None
        ]
        return f"usb:{','.join(words)}"


PortSource: TypeAlias = str | UsbIdentity
"""A device name or URL, or what a USB port is known by."""


def parse_usb(text: str, source: str) -> UsbIdentity:
    """Return the identity that ``text`` spells.

    Its words are separated by commas: ``VID:PID`` in four hexadecimal digits each, or
    ``vid=``, ``pid=`` (hexadecimal), ``serial=``, ``location=``.

    Raises:
        ConfigError: it makes no sense. The message begins with ``source``.
    """
    found: dict[str, str] = {}
    for word in text.split(","):
        ids = _IDS.fullmatch(word)
        pairs = {"vid": ids[1], "pid": ids[2]} if ids else dict([word.partition("=")[::2]])
        for name, value in pairs.items():
            if name not in {"vid", "pid", "serial", "location"} or not value:
                known = "VID:PID, vid=, pid=, serial= and location="
                raise ConfigError(source, f"{word!r} is none of {known}")
            if name in found:
                raise ConfigError(source, f"twice {name} in {text!r}")
            found[name] = value
    return UsbIdentity(
        vid=_parse_id(found.get("vid"), source),
        pid=_parse_id(found.get("pid"), source),
        serial_number=found.get("serial"),
        location=found.get("location"),
    )


def read_usb(table: Table) -> UsbIdentity | None:
    """Return what ``usb`` says in the entry of a port; ``None`` where it says nothing.

    Raises:
        ConfigError: it makes no sense.
    """
    usb = table.table("usb")
    if usb is None:
        return None
    identity = UsbIdentity(
        vid=usb.number("vid", None, 0, MAX_USB_ID),
        pid=usb.number("pid", None, 0, MAX_USB_ID),
        serial_number=usb.text("serial"),
        location=usb.text("location"),
    )
    usb.refuse_others()
    if identity == UsbIdentity():
        raise ConfigError(usb.place, "it needs vid, pid, serial or location")
    return identity


def chosen_source(device: str | None, usb: UsbIdentity | None, place: str) -> PortSource:
    """Return which port an entry means, by the one of the two that it has.

    Raises:
        ConfigError: it has none of them, or both. The message begins with ``place``.
    """
    if device is not None and usb is not None:
        raise ConfigError(place, "it takes device or usb, not both")
    source = device or usb
    if source is None:
        raise ConfigError(place, "it needs device or usb")
    return source


def find_unserved(
    ports: Iterable[PortInfo], served: Collection[PortSource], taken: Collection[str]
) -> list[PortSource]:
    """Return what the USB ports are to be known by that nobody serves yet.

    ``served`` are the ports that have their place already, plugged in or not; ``taken``
    the device names in use.
    """
    ports = list(ports)
    identities = [source for source in served if isinstance(source, UsbIdentity)]
    names = {*taken, *(source for source in served if isinstance(source, str))}
    return [
        UsbIdentity.of(port, ports) or port.device
        for port in sensible_ports(ports)
        if port.device not in names and not any(each.matches(port) for each in identities)
    ]


def _is_same_serial(wanted: str | None, found: str | None) -> bool:
    # Systems differ in the case of what is the same descriptor.
    return wanted is None or (found is not None and wanted.lower() == found.lower())


def _is_same_location(wanted: str | None, found: str | None) -> bool:
    return wanted is None or (found is not None and wanted in {found, found.partition(":")[0]})


def _parse_id(text: str | None, source: str) -> int | None:
    if text is None:
        return None
    match = _ID.fullmatch(text)
    if match is None:
        raise ConfigError(source, f"{text!r} is no USB id: up to four hexadecimal digits")
    return int(match[1], 16)
