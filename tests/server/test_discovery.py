"""Ports are found by what they are, not by what they happen to be called today."""

from __future__ import annotations

import attrs
import pytest

from esploader.errors import ConfigError
from esploader.server.discovery import UsbIdentity, find_unserved, parse_usb
from esploader.transport.ports import PortInfo

C3 = PortInfo(
    device="/dev/ttyACM0", vid=0x303A, pid=0x1001, serial_number="24:0A:C4", location="1-2:1.0"
)
BRIDGE = PortInfo(device="/dev/ttyUSB0", vid=0x10C4, pid=0xEA60, location="1-3")
TWIN = attrs.evolve(BRIDGE, device="/dev/ttyUSB1", location="1-4")
BUILT_IN = PortInfo(device="/dev/ttyS0")


@pytest.mark.parametrize(
    "identity",
    [
        UsbIdentity(),
        UsbIdentity(vid=0x303A),
        UsbIdentity(vid=0x303A, pid=0x1001),
        UsbIdentity(serial_number="24:0a:c4"),
        UsbIdentity(location="1-2"),
        UsbIdentity(location="1-2:1.0"),
    ],
    ids=str,
)
def test_what_is_not_said_matches_everything(identity: UsbIdentity) -> None:
    assert identity.matches(C3)


@pytest.mark.parametrize(
    "identity",
    [
        UsbIdentity(vid=0x303B),
        UsbIdentity(vid=0x303A, pid=0x1002),
        UsbIdentity(serial_number="24:0A"),
        UsbIdentity(location="1-2:1.1"),
        UsbIdentity(location="1"),
    ],
    ids=str,
)
def test_what_is_said_has_to_fit(identity: UsbIdentity) -> None:
    assert not identity.matches(C3)


def test_a_port_that_is_no_usb_port_matches_nothing() -> None:
    assert not UsbIdentity().matches(BUILT_IN)


def test_new_ports_are_known_by_what_stays_the_same() -> None:
    assert find_unserved([C3, BRIDGE, TWIN, BUILT_IN], (), ()) == [
        UsbIdentity(vid=0x303A, pid=0x1001, serial_number="24:0A:C4"),
        UsbIdentity(vid=0x10C4, pid=0xEA60, location="1-3"),
        UsbIdentity(vid=0x10C4, pid=0xEA60, location="1-4"),
    ]


def test_a_device_with_two_ports_is_two_ports() -> None:
    second = attrs.evolve(C3, device="/dev/ttyACM1", location="1-2:1.2")
    ids = {"vid": 0x303A, "pid": 0x1001, "serial_number": "24:0A:C4"}
    assert find_unserved([C3, second], (), ()) == [
        UsbIdentity(**ids, location="1-2:1.0"),  # type: ignore[arg-type]
        UsbIdentity(**ids, location="1-2:1.2"),  # type: ignore[arg-type]
    ]


def test_a_port_that_nothing_tells_from_its_like_is_known_by_its_name() -> None:
    port = PortInfo(device="COM7", vid=0x1A86, pid=0x7523)
    assert find_unserved([port], (), ()) == ["COM7"]


def test_a_port_that_comes_back_under_another_name_is_not_new() -> None:
    (identity,) = find_unserved([C3], (), ())
    moved = attrs.evolve(C3, device="/dev/ttyACM5", location="2-1:1.0")
    assert find_unserved([moved], [identity], ()) == []
    assert find_unserved([BRIDGE], ["/dev/ttyUSB0"], ()) == []
    assert find_unserved([BRIDGE], (), {"/dev/ttyUSB0"}) == []


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("303a:1001", UsbIdentity(vid=0x303A, pid=0x1001)),
        ("vid=0x303A", UsbIdentity(vid=0x303A)),
        (
            "303A:1001,serial=24:0A:C4",
            UsbIdentity(vid=0x303A, pid=0x1001, serial_number="24:0A:C4"),
        ),
        ("location=1-2.3", UsbIdentity(location="1-2.3")),
    ],
)
def test_an_identity_as_one_word(text: str, identity: UsbIdentity) -> None:
    assert parse_usb(text, "--usb") == identity


@pytest.mark.parametrize(
    "text",
    ["", "303a", "303a:10010", "vid=", "vid=303a5", "bus=1", "303a:1001,vid=1", ",", "a=b=c"],
)
def test_what_is_no_identity(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--usb: "):
        parse_usb(text, "--usb")
