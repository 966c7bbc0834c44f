"""A flash at other pins than the usual ones."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from described_chips import DESCRIBED
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32s2 import ESP32_S2
from esploader.chips.esp32s3 import ESP32_S3
from esploader.chips.esp8266 import ESP8266
from esploader.cli import main
from esploader.errors import PlanError, UnsupportedError
from esploader.flash.pins import attach_word
from esploader.protocol.opcodes import Opcode
from esploader.simulator import SimulatedDevice, SimulatedTransport
from esploader.simulator.history import Loader
from stub_files import shared_stubs
from untouched import connect

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.chips.model.chip import Chip

CLK, Q, D, HD, CS = 14, 12, 13, 4, 15
PINS = f"{CLK},{Q},{D},{HD},{CS}"
WORD = HD << 24 | CS << 18 | D << 12 | Q << 6 | CLK


def test_pins_are_packed_in_the_order_of_the_rom() -> None:
    assert attach_word(PINS, ESP32) == WORD == 0x043C_D30E
    assert attach_word("6, 17,8 ,11,16", ESP32) == 0x0B40_8446


@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_every_chip_has_its_usual_pins(chip: Chip) -> None:
    assert attach_word("SPI", chip) == attach_word("spi", chip) == 0


def test_only_the_esp32_has_hspi() -> None:
    assert attach_word("hspi", ESP32) == 1
    for chip in (ESP8266, ESP32_S2, ESP32_S3, ESP32_C3):
        with pytest.raises(UnsupportedError):
            attach_word("HSPI", chip)


@pytest.mark.parametrize(
    ("chip", "connection", "reason"),
    [
        (ESP8266, PINS, "always at its usual pins"),
        (ESP32, "30,12,13,4,15", "CLK cannot be at GPIO 30"),
        (ESP32, "14,31,13,4,15", "Q cannot be at GPIO 31"),
        (ESP32, "14,12,34,4,15", "D cannot be at GPIO 34"),
        (ESP32_S2, "14,12,13,4,22", "CS cannot be at GPIO 22"),
        (ESP32_S2, "47,12,13,4,15", "CLK cannot be at GPIO 47"),
        (ESP32_S3, "14,12,13,47,15", "HD cannot be at GPIO 47"),
        (ESP32_S3, "25,12,13,4,15", "CLK cannot be at GPIO 25"),
        (ESP32_S3, "49,12,13,4,15", "CLK cannot be at GPIO 49"),
        (ESP32_C3, "22,12,13,4,15", "CLK cannot be at GPIO 22"),
        (ESP32, "14,14,13,4,15", "one purpose"),
        (ESP32, "14,12,13,4", "choices are"),
        (ESP32, "14,12,13,4,15,16", "choices are"),
        (ESP32, "", "choices are"),
        (ESP32, "VSPI", "choices are"),
        (ESP32, "14,12,13,4,-15", "is a number"),
        (ESP32, "14,12,13,4,", "is a number"),
        (ESP32, "14,12,13,4,CS", "is a number"),
        (ESP32, "14,12,13,4,\u0661", "is a number"),
        (ESP32, "14,12,13,4," + "9" * 5000, "is a number"),
    ],
)
def test_a_connection_that_cannot_be_is_refused(chip: Chip, connection: str, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        attach_word(connection, chip)


def test_only_hd_of_the_esp32_s3_is_more_limited_than_the_other_pins() -> None:
    assert attach_word("47,48,13,46,15", ESP32_S3) >> 24 == 46
    assert attach_word("46,45,44,43,42", ESP32_S2) & 0x3F == 46


@pytest.mark.parametrize(
    ("chip", "connection"),
    [(ESP32_S2, "20,12,13,4,15"), (ESP32_S3, "14,19,13,4,15"), (ESP32_C3, "14,12,13,4,18")],
    ids=lambda value: getattr(value, "key", None),
)
def test_pins_of_the_usb_port_are_taken_with_a_warning(
    chip: Chip, connection: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        attach_word(connection, chip)
    assert "USB" in caplog.text


@pytest.mark.parametrize("has_stub", [True, False], ids=["stub", "rom"])
@pytest.mark.parametrize("chip", [ESP32, ESP32_S2, ESP32_S3, ESP32_C3], ids=lambda chip: chip.key)
def test_every_loader_is_told_where_the_flash_is(
    chip: Chip,
    *,
    has_stub: bool,
) -> None:
    transport = SimulatedTransport(SimulatedDevice(chip, flash_pins=WORD))
    simulated = transport.device
    with connect(transport, stub=shared_stubs() if has_stub else False) as device:
        device.flash.use_pins(PINS)
        assert device.flash.id().is_plausible
        assert simulated.flash_pins == WORD
        device.flash.write([(0, b"data")])
        assert simulated.flash_pins == WORD
        device.reset()
        device.link.revive(slower=False)
        assert simulated.flash_pins == WORD


@pytest.mark.parametrize("chip", [ESP32, ESP32_C3], ids=lambda chip: chip.key)
def test_a_rom_loader_that_was_reset_is_told_of_the_flash_again(chip: Chip) -> None:
    transport = SimulatedTransport(SimulatedDevice(chip))
    with connect(transport, stub=False) as device:
        device.flash.write([(0x30_0000, b"beyond the size that a ROM loader believes in")])
        device.reset()
        device.link.revive(slower=False)
        assert transport.device.flash_pins == 0
        assert device.flash.verify([(0x30_0000, b"beyond the size")]) == ()


def test_a_stub_finds_the_flash_at_its_usual_pins_by_itself() -> None:
    simulated = SimulatedDevice(ESP32_C3)
    with connect(simulated.open_transport(), stub=shared_stubs()) as device:
        device.flash.write([(0, b"data")])
    asked = {each.opcode for each in simulated.history.commands if each.loader is Loader.STUB}
    assert Opcode.FLASH_DEFL_DATA in asked
    assert Opcode.SPI_ATTACH not in asked
    assert simulated.flash[:4] == b"data"


def test_at_wrong_pins_there_is_no_flash() -> None:
    simulated = SimulatedDevice(ESP32)
    with connect(simulated.open_transport(), stub=False) as device:
        device.flash.use_pins(PINS)
        assert not device.flash.id().is_plausible
        with pytest.raises(PlanError, match="no flash answers"):
            device.flash.erase_region(0, 0x1000)
    assert not simulated.erase_counts


def test_a_refused_connection_changes_nothing() -> None:
    transport = SimulatedTransport(SimulatedDevice(ESP32))
    with connect(transport, stub=False) as device:
        with pytest.raises(UnsupportedError):
            device.flash.use_pins("1,2,3")
        device.flash.id()
        assert transport.device.flash_pins == 0


@pytest.mark.parametrize(
    "command",
    [
        ["flash_id"],
        ["read_flash", "0", "16", "FILE"],
        ["erase_region", "0", "0x1000"],
        ["read_flash_status"],
        ["read_flash_sfdp", "0", "4"],
    ],
    ids=lambda command: command[0],
)
def test_commands_take_pins_of_the_flash(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = ("--port", "sim://esp32?pins=1", "--no-stub")
    command = [str(tmp_path / "out.bin") if word == "FILE" else word for word in command]
    assert main([*port, *command, "--spi-connection", "HSPI"]) == 0
    assert main([*port, *command, "-sc", "1,2,3,4,34"]) == 2
    assert "cannot be at GPIO 34" in capsys.readouterr().err
