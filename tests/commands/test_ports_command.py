"""What ``ports`` shows is what a file of ports tells boards apart by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from esploader.cli import main
from esploader.transport import PortInfo
from made_up_ports import MadeUpPorts

if TYPE_CHECKING:
    import pytest

BOARD = PortInfo(
    device="/dev/ttyACM0",
    description="USB JTAG",
    vid=0x303A,
    pid=0x1001,
    serial_number="24:0A:C4:00:00:01",
    location="1-2.3:1.0",
)
ON_BOARD = PortInfo(device="/dev/ttyS0")


def test_ports_shows_serial_number_and_location(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    MadeUpPorts(monkeypatch, ON_BOARD, BOARD)
    assert main(["ports"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "/dev/ttyACM0  303A:1001  serial=24:0A:C4:00:00:01  location=1-2.3:1.0  USB JTAG",
        "/dev/ttyS0",
    ]
    assert main(["ports", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["serial_number"], first["location"]) == (BOARD.serial_number, BOARD.location)
    assert (second["serial_number"], second["location"]) == (None, None)


def test_no_port_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    MadeUpPorts(monkeypatch)
    assert main(["ports"]) == 0
    assert "no serial port was found" in "".join(capsys.readouterr())
