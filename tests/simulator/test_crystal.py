"""What a ROM takes its crystal to be decides on the baud rate that it really sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c2 import ESP32_C2
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32c5 import ESP32_C5
from esploader.protocol.opcodes import Opcode
from esploader.simulator.config import DeviceConfig
from esploader.simulator.device import SimulatedDevice
from simulated import Bench, make_bench, request, words

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip


def bench_with(chip: Chip = ESP32, *, mhz: int, assumed: int | None) -> Bench:
    device = SimulatedDevice(chip, state="download", crystal_mhz=mhz, assumed_crystal_hz=assumed)
    return Bench(device.open_transport())


def change_rate(bench: Bench) -> None:
    bench.exchange(request(Opcode.CHANGE_BAUDRATE, words(460800, 0)))


@pytest.mark.parametrize("mhz", [26, 40])
@pytest.mark.parametrize("error", [0.95, 1.0, 1.06])
def test_a_rate_is_as_wrong_as_the_measurement(mhz: int, error: float) -> None:
    bench = bench_with(mhz=mhz, assumed=round(mhz * 1e6 * error))
    change_rate(bench)
    assert bench.device.baudrate == pytest.approx(460800 / error, rel=0.003)


def test_by_default_it_is_a_little_wrong() -> None:
    bench = bench_with(mhz=40, assumed=None)
    change_rate(bench)
    assert 0.005 < abs(bench.device.baudrate / 460800 - 1) < 0.02


def test_what_was_not_measured_changes_nothing() -> None:
    bench = bench_with(mhz=40, assumed=0)
    change_rate(bench)
    assert bench.device.baudrate == 460800


def test_a_rom_may_take_it_to_be_the_same_always() -> None:
    bench = make_bench(ESP32_C2)
    change_rate(bench)
    assert bench.device.baudrate == round(460800 * 26 / 40)


@pytest.mark.parametrize("assumed", [40, 48])
def test_a_rom_may_take_it_to_be_what_a_register_says(assumed: int) -> None:
    bench = bench_with(ESP32_C5, mhz=48, assumed=assumed * 1_000_000)
    change_rate(bench)
    assert bench.device.baudrate == round(460800 * 48 / assumed)


def test_other_chips_set_what_they_are_asked_for() -> None:
    bench = make_bench(ESP32_C3)
    change_rate(bench)
    assert bench.device.baudrate == 460800


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (DeviceConfig(chip=ESP32, crystal_mhz=27), "no crystal of 27 MHz"),
        (DeviceConfig(chip=ESP32_C3, assumed_crystal_hz=40_000_000), "does not measure"),
        (DeviceConfig(chip=ESP32_C2, assumed_crystal_hz=40_000_000), "always takes"),
    ],
    ids=["crystal", "measurement", "constant"],
)
def test_what_the_chip_cannot_have_is_refused(config: DeviceConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SimulatedDevice.from_config(config)
