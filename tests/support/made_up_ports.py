"""USB ports that are not there: what pyserial lists in place of those of this machine.

``serial.tools.list_ports.comports`` is the one place where everything learns of ports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

if TYPE_CHECKING:
    import pytest

    from esploader.transport.ports import PortInfo


class MadeUpPorts:
    """The USB ports of this machine, as a test has them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *ports: PortInfo) -> None:
        self.ports = list(ports)
        monkeypatch.setattr(list_ports, "comports", self._comports)

    def _comports(self, include_links: bool = False) -> list[ListPortInfo]:  # noqa: ARG002, FBT001, FBT002 - as pyserial has it
        return [_listed(port) for port in self.ports]


def _listed(port: PortInfo) -> ListPortInfo:
    listed = ListPortInfo(port.device, skip_link_detection=True)
    listed.description = port.description
    listed.vid, listed.pid = port.vid, port.pid
    listed.serial_number, listed.location = port.serial_number, port.location
    listed.hwid = listed.usb_info()
    return listed
