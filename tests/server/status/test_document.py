"""What the document of a server says of a port, whatever is known of it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import attrs
import pytest

from esploader.server.config import PortConfig
from esploader.server.place import Place
from esploader.server.station_view import StationView
from esploader.server.status.document import MAX_TEXT_SIZE, ServerFacts, describe
from esploader.server.status.lab import PortView
from esploader.server.traffic import Totals
from esploader.transport.ports import PortInfo

if TYPE_CHECKING:
    from esploader.server.status.document import Json

PLACE = Place(
    config=PortConfig(source="/dev/ttyUSB0", name="bench 1"),
    url="rfc2217://host:4000",
    tcp_port=4000,
    listeners=(),
)
FACTS = ServerFacts(version="1", host="host", started_at=dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
STATION = StationView(
    label="bench 1",
    device="/dev/ttyUSB0",
    usb_ids=None,
    usb_port=None,
    missing=None,
    baudrate=115200,
    has_lines=True,
    holder=None,
    line=(),
    listening=(),
    watchers=0,
    last_error=None,
    last_error_at=None,
    totals=Totals(),
)
PLUGGED = PortInfo(
    device="/dev/ttyUSB0",
    description="CP2102N",
    vid=0x10C4,
    pid=0xEA60,
    serial_number="0001",
    location="1-2:1.0",
)
LONG = attrs.evolve(PLUGGED, description="d" * 5000)


def usb_of(station: StationView) -> Json:
    """Return what the document says of the device behind the port."""
    ports = describe(FACTS, [PortView(place=PLACE, station=station)], can_change=False)["ports"]
    assert isinstance(ports, list)
    (port,) = ports
    assert isinstance(port, dict)
    return port["usb"]


def usb(**known: object) -> dict[str, object]:
    nothing = {"serial_number": None, "location": None, "description": ""}
    return {"vid": 0x10C4, "pid": 0xEA60, **nothing, **known}


@pytest.mark.parametrize(
    ("station", "expected"),
    [
        (STATION, None),
        (attrs.evolve(STATION, usb_ids=(0x10C4, 0xEA60)), usb()),
        (
            attrs.evolve(STATION, usb_port=PLUGGED, usb_ids=(0x303A, 0x1001)),
            usb(serial_number="0001", location="1-2:1.0", description="CP2102N"),
        ),
    ],
    ids=["nothing", "ids", "all"],
)
def test_of_what_is_plugged_in_all_is_told_that_is_known(
    station: StationView, expected: object
) -> None:
    assert usb_of(station) == expected


def test_what_a_device_calls_itself_is_cut() -> None:
    found = usb_of(attrs.evolve(STATION, usb_port=LONG))
    assert isinstance(found, dict)
    assert found["description"] == "d" * MAX_TEXT_SIZE
