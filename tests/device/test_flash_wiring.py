"""A device tells how it drives and supplies its flash, and the command line prints that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from described_chips import DESCRIBED
from esploader import connect
from esploader.chips.reading.flash_wiring import FlashType, FlashVoltage, FlashWiring, VoltageSource
from esploader.cli import main
from esploader.commands.on_device import OnDevice
from esploader.commands.output import Json, Output
from esploader.commands.parser import parse
from esploader.errors import UnsupportedError
from esploader.simulator import SimulatedDevice, SimulatedTransport
from esploader.urls import open_transport
from unreliable_transport import UnreliableTransport
from untouched import simulated_behind

if TYPE_CHECKING:
    import argparse

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device

SDIO_CONF = 0x3FF4_8074
RAISED_TO_1_9_V = 0xFE40_0000
"""What the bootloader of ESP-IDF writes there."""


def test_the_wiring_takes_one_turnaround() -> None:
    transport = UnreliableTransport(open_transport("sim://esp32s3"))
    with connect(transport) as device:
        before = len(transport.writes)
        wiring = device.flash.wiring()
        assert len(transport.writes) == before + 1
    assert wiring.type is FlashType.QUAD
    assert wiring.voltage == FlashVoltage(3300, VoltageSource.STRAP)


def test_software_may_have_changed_the_voltage() -> None:
    with connect("sim://esp32") as device:
        device.memory.write_register(SDIO_CONF, RAISED_TO_1_9_V)
        assert device.flash.wiring().voltage == FlashVoltage(1900, VoltageSource.SOFTWARE)


@pytest.mark.parametrize("chip", ["esp8266", "esp32c3"])
def test_where_there_is_no_choice_nothing_is_sent(chip: str) -> None:
    transport = UnreliableTransport(open_transport(f"sim://{chip}"))
    with connect(transport) as device:
        device.flash.id()
        before = len(transport.writes)
        assert device.flash.wiring() == FlashWiring(type=None, voltage=None)
        assert len(transport.writes) == before


@pytest.mark.parametrize(
    "chip", [chip for chip in DESCRIBED if chip.secure_download], ids=lambda chip: chip.key
)
def test_in_secure_download_mode_it_is_not_known(chip: Chip) -> None:
    with (
        connect(SimulatedTransport(SimulatedDevice(chip, efuses={"secure_download": 1}))) as device,
        pytest.raises(UnsupportedError, match="Secure Download Mode"),
    ):
        device.flash.wiring()


@pytest.mark.parametrize(
    ("chip", "lines"),
    [
        ("esp8266", []),
        ("esp32", ["Flash voltage set by a strapping pin: 3.3V"]),
        (
            "esp32s3",
            [
                "Flash type set in eFuse: quad (4 data lines)",
                "Flash voltage set by a strapping pin: 3.3V",
            ],
        ),
    ],
)
def test_flash_id_prints_it_below_the_size(
    chip: str, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--port", f"sim://{chip}", "flash_id"]) == 0
    _, below = capsys.readouterr().out.split("Detected flash size: 4MB\n")
    assert below.splitlines()[: len(lines) + 1] == [*lines, ""]


@pytest.mark.parametrize(
    ("chip", "expected"),
    [
        ("esp32s3", {"data_lines": 4, "millivolts": 3300, "voltage_source": "strap"}),
        ("esp32c3", {"data_lines": None, "millivolts": None, "voltage_source": None}),
    ],
)
def test_the_document_has_it(
    chip: str, expected: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--json", "--port", f"sim://{chip}", "flash_id"]) == 0
    flash = json.loads(capsys.readouterr().out)["flash"]
    assert expected.items() <= flash.items()


@pytest.mark.parametrize(
    ("name", "millivolts", "word"),
    [("1.8V", 1800, 0x8040_0000), ("1.9v", 1900, RAISED_TO_1_9_V), ("off", 0, 0x0040_0000)],
)
def test_the_supply_of_an_esp32_is_overridden_until_its_application_runs(
    name: str, millivolts: int, word: int, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--port", "sim://esp32", "--no-stub", "--override-vddsdio", name, "read-mem"]
    assert main([*words, hex(SDIO_CONF)]) == 0
    value = int(capsys.readouterr().out.split("0x3ff48074 = ")[1].split()[0], 16)
    # What wakes it from sleep, and others, stays as it was.
    assert value & 0xFEC0_0000 == word

    def lost(device: Device, _: argparse.Namespace, output: Output) -> dict[str, Json]:
        output.line()
        simulated_behind(device.session.transport).press_reset()
        device.link.revive(slower=False)
        voltage = device.flash.wiring().voltage
        assert voltage is not None
        return {"millivolts": voltage.millivolts, "source": voltage.source.name}

    _, arguments = parse([*words[:-1], "--json", "read-mac"], {})
    OnDevice(lost)(arguments, Output(arguments))
    document = json.loads(capsys.readouterr().out)
    assert (document["millivolts"], document["source"]) == (millivolts, "SOFTWARE")


@pytest.mark.parametrize("chip", ["esp8266", "esp32s3", "esp32c3"])
def test_no_other_supply_is(chip: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", f"sim://{chip}", "--override-vddsdio", "1.8V", "flash-id"]) == 2
    captured = capsys.readouterr()
    assert "has no such regulator" in captured.err
    assert "Manufacturer" not in captured.out
    assert "Hard resetting via RTS pin..." in captured.out
    assert main(["--port", f"sim://{chip}", "--override-vddsdio", "3.3V", "flash-id"]) == 2
    assert "'3.3V' is none of 1.8V, 1.9V, OFF" in capsys.readouterr().err
