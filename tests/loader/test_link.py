"""The rate that a ROM loader is asked for, where it is wrong about its crystal."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

import untouched
from covering import covering_parameters
from esploader import connect
from esploader.errors import BaudrateError, StubError
from esploader.loader.resetting import After
from esploader.protocol import dialect
from esploader.simulator import SimulatedDevice, SimulatedTransport
from esploader.transport.base import BAUDRATES
from esploader.urls import open_transport
from stub_files import stub_directory
from unreliable_transport import UnreliableTransport

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.device.device import Device
    from esploader.simulator.bench import HardwareOnBench


def simulated(device: Device) -> HardwareOnBench:
    """Return the simulated device, past all protocols."""
    transport = device.session.transport
    assert isinstance(transport, SimulatedTransport)
    return transport.device


WRONG = ["26&assumed=24700000", "26&assumed=28200000", "40&assumed=37500000", "40&assumed=43000000"]
"""Crystals, and what the ROM takes them to be: further off than a UART tolerates."""

WRONG_ON_OTHERS = [
    "esp32c2?crystal=26",
    "esp32c2?crystal=40",
    "esp32c5?crystal=48&assumed=40000000",
    "esp32c5?crystal=40&assumed=48000000",
    "esp32c5?crystal=40&assumed=40000000",
]
"""The ROM of the one assumes 40 MHz, that of the other what a register says."""


@pytest.mark.parametrize(
    ("chip", "baudrate"),
    covering_parameters(
        list(
            itertools.product(
                [*(f"esp32?crystal={wrong}" for wrong in WRONG), *WRONG_ON_OTHERS],
                (230400, 460800, 921600),
            )
        ),
        lambda chip, baudrate: (chip, (chip.partition("?")[0], baudrate)),
    ),
)
def test_the_rate_is_right_although_the_rom_is_wrong(chip: str, baudrate: int) -> None:
    with connect(f"sim://{chip}", baudrate=baudrate, stub=False) as device:
        assert simulated(device).baudrate == pytest.approx(baudrate, rel=0.005)
        assert device.session.transport.baudrate == baudrate
        assert device.mac.startswith("24:0a:c4")


@pytest.mark.parametrize("chip", ["esp32c2", "esp32c5"])
def test_a_rate_that_cannot_be_told_is_not_set(chip: str, caplog: pytest.LogCaptureFixture) -> None:
    simulated_device = SimulatedDevice(chip, efuses={"secure_download": 1})
    with connect(simulated_device.open_transport(), baudrate=460800) as device:
        assert device.is_in_secure_download_mode
        assert simulated_device.baudrate == 115200
    assert "it stays at 115200" in caplog.text


@pytest.mark.parametrize("crystal", WRONG)
def test_the_next_one_to_come_finds_the_usual_rate(crystal: str) -> None:
    with connect(f"sim://esp32?crystal={crystal}", baudrate=921600, stub=False) as device:
        device.reset(After.NO_RESET)
        assert simulated(device).baudrate == pytest.approx(115200, rel=0.005)


@pytest.mark.parametrize("assumed", [0, 5_000_000, 200_000_000])
def test_a_calibration_that_makes_no_sense_is_not_followed(
    assumed: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "esploader.session.wire")
    with connect(f"sim://esp32?assumed={assumed}", baudrate=460800, stub=False) as device:
        assert device.memory.read_register(0x4000_1000) == device.chip.magic
    assert "ChangeBaudrate(new=460800, old=0)" in caplog.text


def test_a_stub_knows_the_crystal_and_is_asked_for_what_is_wanted(tmp_path: Path) -> None:
    stub = stub_directory(tmp_path)
    with connect(f"sim://esp32?crystal={WRONG[0]}", baudrate=921600, stub=stub) as device:
        device.flash.prepare()
        assert simulated(device).baudrate == 921600


class SlowPort(UnreliableTransport):
    """A port, or a server in front of one, that knows no rate beyond :attr:`max_baudrate`."""

    max_baudrate = 115200
    is_honest = True
    """It says so when it is asked for more, and does not just leave the port as it is."""

    claimed: int | None = None

    @property
    @override
    def baudrate(self) -> int:
        return self.claimed or super().baudrate

    @override
    def set_baudrate(self, baudrate: int) -> None:
        self.claimed = None
        if baudrate <= self.max_baudrate:
            super().set_baudrate(baudrate)
        elif self.is_honest:
            raise BaudrateError(self.name, "no")
        else:
            self.claimed = baudrate


@pytest.mark.parametrize(
    ("max_baudrate", "is_honest"),
    [
        (115200, True),
        (460800, False),
        pytest.param(115200, False, marks=pytest.mark.slow),
        pytest.param(460800, True, marks=pytest.mark.slow),
    ],
    ids=["115200-refused", "460800-ignored", "115200-ignored", "460800-refused"],
)
def test_a_rate_that_the_port_does_not_take_gives_way_to_the_next_lower_one(
    max_baudrate: int,
    is_honest: bool,  # noqa: FBT001 - a parameter of the test
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = bytes(range(256)) * 64
    port = SlowPort(open_transport("sim://esp32c3"))
    port.max_baudrate, port.is_honest = max_baudrate, is_honest
    # From the highest there is: what is lowered often enough has to come to an end that works.
    with untouched.connect(port, baudrate=3_000_000, stub=False) as device:
        device.flash.write([(0x10000, data)])
        assert port.inner.baudrate == max_baudrate
        assert device.flash.read(0x10000, len(data)) == data
    steps = [rate for rate in BAUDRATES if rate > max_baudrate]
    said = [message for message in caplog.messages if message.endswith("baud does not work")]
    assert said == [f"{rate} baud does not work" for rate in reversed(steps)]


class HangingDevice(UnreliableTransport):
    """A device that runs into the void once it is told to start a stub, until it is reset."""

    starts: int = 0
    hangs: bool = False

    @override
    def write(self, data: bytes) -> None:
        if data.startswith(b"\xc0\x00\x06"):  # MEM_END
            self.starts += 1
            self.hangs = True
        super().write(data)

    @override
    def read(self, deadline: float) -> bytes:
        data = super().read(deadline)
        return b"" if self.hangs else data

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self.hangs = False
        super().set_lines(dtr=dtr, rts=rts)


def test_a_stub_that_does_not_start_twice_is_final(
    tmp_path: Path,
) -> None:
    transport = HangingDevice(open_transport("sim://esp32c3"))
    with connect(transport, stub=stub_directory(tmp_path)) as device:
        with pytest.raises(StubError, match="does not start"):
            device.flash.prepare()
        assert transport.starts == 2


def test_a_stub_whose_greeting_is_lost_is_found(tmp_path: Path) -> None:
    transport = UnreliableTransport(open_transport("sim://esp32c3"))
    with connect(transport, stub=stub_directory(tmp_path)) as device:
        transport.garble_input = lambda data: data.replace(b"OHAI", b"")
        device.flash.prepare()
        assert device.session.dialect is dialect.STUB
