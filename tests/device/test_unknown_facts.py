"""What nobody knows of a chip is refused by name, and nothing is sent or guessed instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esploader import connect
from esploader.chips.esp32e22 import ESP32_E22
from esploader.errors import UnsupportedError
from esploader.urls import open_transport
from unreliable_transport import UnreliableTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.device.device import Device

OPERATIONS: dict[str, Callable[[Device], object]] = {
    "flash_id": lambda device: device.flash.id(),
    "write_flash": lambda device: device.flash.write([(0x1_0000, b"data")]),
    "read_flash": lambda device: device.flash.read(0, 16),
    "erase_flash": lambda device: device.flash.erase(),
    "erase_region": lambda device: device.flash.erase_region(0, 0x1000),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_not_known_cannot_be_used(name: str) -> None:
    transport = UnreliableTransport(open_transport("sim://esp32e22"))
    with connect(transport) as device:
        assert device.chip is ESP32_E22
        sent = len(transport.writes)
        with pytest.raises(UnsupportedError, match=r"of the ESP32-E22: .* no more than recognise"):
            OPERATIONS[name](device)
        assert len(transport.writes) == sent


def test_what_is_known_can_be_used() -> None:
    with connect("sim://esp32e22?mac=24:0a:c4:aa:bb:cc") as device:
        assert device.mac == "24:0a:c4:aa:bb:cc"
        assert device.revision is None
        assert device.security.read().chip_id == 31
