"""Every chip is found without being named, in the turnarounds that the page states."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from described_chips import DESCRIBED
from esploader import connect
from esploader.chips.registry import CHIPS
from esploader.simulator import SimulatedDevice
from unreliable_transport import UnreliableTransport

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

PAGE = Path(__file__).parents[2] / "docs" / "round-trips.md"
ROW = re.compile(r"^\| ([^|]+) \| \*\*(\d+)\*\* \| (?:\*\*(\d+)\*\*)? ?\|", re.MULTILINE)
STATED = {row[1]: (int(row[2]), int(row[3] or 0)) for row in ROW.finditer(PAGE.read_text("utf-8"))}
OTHERS = "ESP32-S2 and all later ones"
SECURE_DOWNLOAD = "any of them in Secure Download Mode"


def test_the_page_states_them() -> None:
    assert set(STATED) == {OTHERS, SECURE_DOWNLOAD, "ESP32", "ESP32-E22", "ESP8266"}


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.key)
def test_every_chip_is_found_as_quickly_as_stated(chip: Chip) -> None:
    to_chip, to_flash = STATED.get(chip.name, STATED[OTHERS])
    transport = UnreliableTransport(SimulatedDevice(chip).open_transport())
    with connect(transport) as device:
        assert device.chip is chip
        assert len(transport.writes) == to_chip
        if chip.is_described:
            device.flash.id()
            assert len(transport.writes) == to_flash


@pytest.mark.parametrize(
    "chip", [chip for chip in DESCRIBED if chip.secure_download], ids=lambda chip: chip.key
)
def test_so_it_is_in_secure_download_mode(chip: Chip) -> None:
    to_chip, _ = STATED[SECURE_DOWNLOAD]
    simulated = SimulatedDevice(chip, efuses={"secure_download": 1})
    transport = UnreliableTransport(simulated.open_transport())
    with connect(transport) as device:
        assert device.chip is chip
        assert len(transport.writes) == to_chip
