"""Ports are listed in the order in which a person would look for a device."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from esploader.transport.ports import (
    PortInfo,
    find_port,
    is_same_device,
    list_ports,
    sensible_ports,
    sort_ports,
)

IN_ORDER = [
    PortInfo(device="/dev/ttyACM3", vid=0x303A, pid=0x1001),
    PortInfo(device="/dev/ttyUSB2", vid=0x10C4, pid=0xEA60),
    PortInfo(device="/dev/ttyUSB10", vid=0x1A86, pid=0x7523),
    PortInfo(device="/dev/ttyACM0", vid=0x2341, pid=0x0043),
    PortInfo(device="/dev/ttyACM1"),
    PortInfo(device="/dev/ttyS0"),
    PortInfo(device="/dev/ttyS4"),
    PortInfo(device="/dev/ttyS31"),
]


def test_the_likeliest_comes_first_and_numbers_count() -> None:
    shuffled = list(IN_ORDER)
    random.Random(1).shuffle(shuffled)  # noqa: S311 - any order will do

    assert sort_ports(shuffled) == IN_ORDER


def test_on_windows_numbers_count_too() -> None:
    names = ["COM1", "COM3", "COM20", "COM100"]
    assert [
        each.device for each in sort_ports(PortInfo(device=name) for name in reversed(names))
    ] == names


def test_ports_that_every_mac_has_are_left_out() -> None:
    names = [
        "/dev/cu.Bluetooth-Incoming-Port",
        "/dev/cu.wlan-debug",
        "/dev/cu.debug-console",
        "/dev/cu.usbmodem1101",
    ]
    assert [each.device for each in sort_ports(PortInfo(device=name) for name in names)] == [
        "/dev/cu.usbmodem1101"
    ]


def test_a_sensible_port_is_on_usb() -> None:
    assert sensible_ports(IN_ORDER) == IN_ORDER[:4]


@given(st.lists(st.text(max_size=12), max_size=8))
def test_any_names_can_be_sorted(names: list[str]) -> None:
    ports = sort_ports(PortInfo(device=name) for name in names)

    assert sort_ports(reversed(ports)) == ports


def test_the_ports_of_this_machine_can_be_listed_without_opening_any() -> None:
    listed = list_ports()

    assert sort_ports(listed) == listed
    for port in listed:
        assert find_port(port.device) == port


def test_an_unknown_port_is_not_found() -> None:
    assert find_port("/dev/no-such-port") is None


def test_of_a_port_without_ids_the_name_alone_tells_whether_it_is_the_same() -> None:
    first = PortInfo(device="/dev/ttyS0", description="a UART")
    adapter = PortInfo(device="/dev/ttyS0", vid=0x10C4, pid=0xEA60, serial_number="0001")
    assert is_same_device(first, PortInfo(device="/dev/ttyS0"))
    assert not is_same_device(first, PortInfo(device="/dev/ttyS1", description="a UART"))
    # Of the other one the ids may not have been read.
    assert is_same_device(first, adapter)
    assert is_same_device(adapter, first)
