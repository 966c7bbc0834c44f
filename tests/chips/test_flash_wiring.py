"""Words of registers become type and voltage of the flash.

Where esptool and ESP-IDF differ, the voltage follows ESP-IDF; every such row is listed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

import pytest

from esploader.chips.reading.flash_wiring import (
    FlashType,
    FlashVoltage,
    FlashWiring,
    VoltageSource,
    flash_wiring_of,
    wiring_addresses,
)
from esploader.chips.registry import chip_by_name


class Row(TypedDict):
    """One device, as esptool saw it."""

    chip: str
    why: str
    words: dict[str, str]
    type: str | None
    voltage: str | None


ROWS: list[Row] = json.loads(
    (Path(__file__).parent / "recorded" / "flash_wirings.json").read_text(encoding="utf-8")
)["rows"]

# esptool leaves SDIO_TIEH out, and looks at DREFH_SDIO before it looks at XPD_SDIO_REG. In
# ESP-IDF, rtc_vddsdio_get_config, the former counts here as it does in the eFuses, and the
# latter tunes a regulator only where there is one at work.
FOLLOWS_ESP_IDF = {
    "software forces 1, enables 0, ties high 0, reference 1": "RTC_CNTL: OFF",
    "software forces 1, enables 0, ties high 0, reference 2": "RTC_CNTL: OFF",
    "software forces 1, enables 0, ties high 0, reference 3": "RTC_CNTL: OFF",
    "software forces 1, enables 0, ties high 1, reference 1": "RTC_CNTL: OFF",
    "software forces 1, enables 0, ties high 1, reference 2": "RTC_CNTL: OFF",
    "software forces 1, enables 0, ties high 1, reference 3": "RTC_CNTL: OFF",
    "software forces 1, enables 1, ties high 1, reference 0": "RTC_CNTL: 3.3V",
    "software forces 1, enables 1, ties high 1, reference 1": "RTC_CNTL: 3.3V",
    "software forces 1, enables 1, ties high 1, reference 2": "RTC_CNTL: 3.3V",
    "software forces 1, enables 1, ties high 1, reference 3": "RTC_CNTL: 3.3V",
}


def wiring_from(chip_name: str, words: dict[int, int]) -> FlashWiring:
    """Return the wiring of a device whose other words read as zero."""
    chip = chip_by_name(chip_name)
    return flash_wiring_of(chip, dict.fromkeys(wiring_addresses(chip), 0) | words)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['chip']} {row['why']}")
def test_recorded_wirings(row: Row) -> None:
    words = {int(address, 16): int(word, 16) for address, word in row["words"].items()}

    wiring = wiring_from(row["chip"], words)

    voltage = wiring.voltage
    ours = None if voltage is None else f"{voltage.source.value}: {voltage}"
    assert (None if wiring.type is None else str(wiring.type)) == row["type"]
    assert (ours == row["voltage"]) == (row["why"] not in FOLLOWS_ESP_IDF)
    assert ours == FOLLOWS_ESP_IDF.get(row["why"], row["voltage"])


def test_wirings_are_values() -> None:
    words = {0x6000_703C: 1 << 9, 0x6000_7034: 0b101 << 4}

    assert wiring_from("esp32s3", words) == FlashWiring(
        type=FlashType.OCTAL, voltage=FlashVoltage(1800, VoltageSource.EFUSE)
    )


@pytest.mark.parametrize(
    ("chip", "count"),
    [("esp8266", 0), ("esp32", 3), ("esp32s2", 3), ("esp32s3", 3), ("esp32c3", 0)],
)
def test_few_registers_are_read(chip: str, count: int) -> None:
    assert len(wiring_addresses(chip_by_name(chip))) == count
