"""Tests of ``stamp`` that need no hardware: the pytest plugin of esploader has the devices."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import esploader
from esploader.simulator import Corrupt, Drop, minimal_image
from stamp import BAUDRATE, SECTOR, StampError, stamp

if TYPE_CHECKING:
    from esploader.simulator import Runtime, SimulatedDevice
    from esploader.transport import Transport


def application(runtime: Runtime) -> None:
    """Do what the firmware does when it starts: tell the serial number in the flash."""
    record = runtime.flash.read(runtime.flash.size - SECTOR, 256)
    serial = json.loads(record)["serial"] if record[0] != 0xFF else "missing"
    runtime.send(f"Hello, I have serial {serial}\r\n".encode())


def firmware(chip: str) -> bytes:
    """Return something that the chip boots, of a usual size."""
    return minimal_image(chip, bytes(range(256)) * 256)


@pytest.fixture
def device(simulated_device: SimulatedDevice) -> SimulatedDevice:
    """Return a new device; what it boots behaves like our firmware."""
    simulated_device.run(application)
    return simulated_device


@pytest.mark.esploader_chip("all")
def test_every_chip_is_stamped(
    esploader_transport: Transport, device: SimulatedDevice, esploader_chip: str
) -> None:
    content = firmware(esploader_chip)
    result = stamp(esploader_transport, content, "A-17")
    assert result.serial == "A-17"
    assert device.flash[device.chip.bootloader_offset :].startswith(content)
    assert json.loads(device.flash[-SECTOR:][:256]) == {"serial": "A-17", "mac": result.mac}


def test_it_takes_less_than_the_takt_time(
    esploader_transport: Transport, device: SimulatedDevice
) -> None:
    # Virtual time: it is exact, and the test takes a fraction of it.
    content = firmware("esp32c3")
    stamp(esploader_transport, content, "A-17")
    wire_time = len(content) * 10 / BAUDRATE
    assert device.clock.now() < wire_time + 3.0


def test_another_number_costs_one_sector(
    esploader_transport: Transport, device: SimulatedDevice
) -> None:
    stamp(esploader_transport, firmware("esp32c3"), "A-17")
    before = device.erase_counts
    stamp(device.open_transport(), firmware("esp32c3"), "A-18")
    last_sector = len(device.flash) // SECTOR - 1
    assert device.erase_counts == {**before, last_sector: 1}


@pytest.mark.esploader_chip("esp32", "esp32c3")
@pytest.mark.esploader_faults(Drop(rate=1e-5), Corrupt(rate=1e-5), seed=7)
def test_a_bad_cable_does_not_spoil_a_device(
    esploader_transport: Transport, device: SimulatedDevice, esploader_chip: str
) -> None:
    content = firmware(esploader_chip)
    stamp(esploader_transport, content, "A-17")
    assert device.flash[device.chip.bootloader_offset :].startswith(content)


@pytest.mark.parametrize("operation", [1, 5, 20])
def test_a_device_that_lost_its_power_is_stamped_again(
    esploader_transport: Transport, device: SimulatedDevice, operation: int
) -> None:
    device.cut_power_at(operation)
    with pytest.raises(esploader.EsploaderError):
        stamp(esploader_transport, firmware("esp32c3"), "A-17")
    device.power_on()
    stamp(device.open_transport(), firmware("esp32c3"), "A-17")
    assert device.flash.startswith(firmware("esp32c3"))


@pytest.mark.esploader_chip("esp32c3", flash_size=2 << 20)
def test_too_little_flash_is_refused(
    esploader_transport: Transport, device: SimulatedDevice
) -> None:
    with pytest.raises(StampError, match="its flash has 2097152 bytes"):
        stamp(esploader_transport, firmware("esp32c3"), "A-17")
    assert not device.erase_counts


@pytest.mark.esploader_chip("esp32c3", efuses={"secure_download": 1})
def test_a_device_that_was_sold_before_is_refused(esploader_transport: Transport) -> None:
    with pytest.raises(StampError, match="sold before"):
        stamp(esploader_transport, firmware("esp32c3"), "A-17")


def test_firmware_that_does_not_start_is_noticed(
    esploader_transport: Transport, device: SimulatedDevice
) -> None:
    device.run(None)
    with pytest.raises(StampError, match="does not start"):
        stamp(esploader_transport, firmware("esp32c3"), "A-17")
    assert len(device.history.boots) == 2


def run_stamp(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it as those at the bench do."""
    command = [sys.executable, str(Path(__file__).with_name("stamp.py")), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_the_command_prints_a_line_for_the_log(
    esploader_url: str, device: SimulatedDevice, tmp_path: Path
) -> None:
    path = tmp_path / "firmware.bin"
    path.write_bytes(firmware("esp32c3"))
    done = run_stamp(esploader_url, str(path), "A-17")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("A-17: ESP32-C3 24:0a:c4:00:00:01, ")
    assert device.flash.startswith(path.read_bytes())


@pytest.mark.esploader_chip(flash_size=1 << 20)
def test_the_command_fails_with_a_reason(esploader_url: str, tmp_path: Path) -> None:
    path = tmp_path / "firmware.bin"
    path.write_bytes(firmware("esp32c3"))
    done = run_stamp(esploader_url, str(path), "A-17")
    assert done.stderr == "A-17: FAILED: its flash has 1048576 bytes, 4194304 are needed\n"
    assert done.returncode == 1
