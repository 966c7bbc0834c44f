"""How long the RTC watchdog of a simulated device waits."""

from __future__ import annotations

import pytest

from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32c5 import ESP32_C5
from esploader.protocol.opcodes import Opcode
from esploader.simulator import SimulatedDevice
from simulated import Bench, request, words

TICKS = 2000
RESETS_SYSTEM = 1 << 31 | 5 << 28
WDT_DELAY_SEL = (0x6000_8800 + 0x2C + 4 * 2, 16)


def waited(device: SimulatedDevice) -> float:
    """Return how long it takes until the watchdog resets the device that has been told to."""
    watchdog = device.chip.rtc_watchdog
    assert watchdog is not None
    bench = Bench(device.open_transport())
    for address, value in (
        (watchdog.write_protect, watchdog.key),
        (watchdog.config1, TICKS),
        (watchdog.config0, RESETS_SYSTEM),
    ):
        bench.exchange(request(Opcode.WRITE_REG, words(address, value, 0xFFFF_FFFF, 0)))
    configured = device.history.commands[-1].moment
    return device.history.boots[-1].moment - configured


@pytest.mark.parametrize(("delay", "milliseconds"), [(0, 29.4), (1, 58.8), (2, 117.6), (3, 235.3)])
def test_the_first_stage_is_lengthened_by_an_efuse(delay: int, milliseconds: float) -> None:
    device = SimulatedDevice(ESP32_C3, state="download")
    address, lsb = WDT_DELAY_SEL
    device.memory.fix({address: delay << lsb})

    # The boot is noted when the first character is printed.
    assert 1000 * waited(device) == pytest.approx(milliseconds + 4.0, abs=0.2)


def test_where_the_efuse_is_not_known_it_is_taken_to_be_blank() -> None:
    device = SimulatedDevice(ESP32_C5, state="download")

    assert 1000 * waited(device) == pytest.approx(29.4 + 4.0, abs=0.2)


def test_a_locked_watchdog_is_left_as_it_is() -> None:
    device = SimulatedDevice(ESP32_C3, state="download")
    watchdog = device.chip.rtc_watchdog
    assert watchdog is not None
    bench = Bench(device.open_transport())
    before = device.memory.read_word(watchdog.config0)
    for key, expected in ((watchdog.key ^ 1, before), (watchdog.key, 0)):
        for address, value in ((watchdog.write_protect, key), (watchdog.config0, 0)):
            bench.exchange(request(Opcode.WRITE_REG, words(address, value, 0xFFFF_FFFF, 0)))
        assert device.memory.read_word(watchdog.config0) == expected
