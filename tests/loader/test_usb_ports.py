"""A chip's own USB port: its watchdogs are quietened, and a reset gets the device out."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from covering import covering_parameters
from described_chips import DESCRIBED
from esploader.errors import TransportClosedError, UnsupportedError
from esploader.loader.resetting import After
from esploader.protocol.dialect import STUB
from esploader.protocol.opcodes import Opcode
from esploader.simulator import Timings
from esploader.simulator.config import InitialState, PortKind
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.history import Boot
from esploader.transport import reset
from stub_files import stub_directory
from unreliable_transport import UnreliableTransport
from untouched import connect

if TYPE_CHECKING:
    from pathlib import Path

    from _pytest.mark.structures import ParameterSet


HAS_SERIAL_JTAG = [chip.key for chip in DESCRIBED if chip.has_usb_serial_jtag]
HAS_OTG = [chip.key for chip in DESCRIBED if chip.usb_otg_pid is not None]
RESETS = [chip.key for chip in DESCRIBED if chip.watchdog_resets]
DOES_NOT_RESET = [chip.key for chip in DESCRIBED if not chip.watchdog_resets]


def each_with_one(chips: list[str]) -> list[ParameterSet]:
    """Return all chips with the ROM loader and with a stub; most are slow with one of them."""
    return covering_parameters([*itertools.product(chips, (False, True))], lambda *both: both)


LONGER_THAN_ANY_WATCHDOG = 12.0
CODE = bytes(range(256)) * 64


def boots(device: SimulatedDevice) -> list[tuple[str, bool]]:
    """Return why the device has booted each time, and whether into download mode."""
    events = device.history.events
    return [(event.cause.name, event.download) for event in events if isinstance(event, Boot)]


@pytest.mark.parametrize(("chip", "stub"), each_with_one(HAS_SERIAL_JTAG))
def test_no_watchdog_bites_while_a_device_is_held_by_its_serial_jtag_port(
    tmp_path: Path,
    chip: str,
    stub: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    simulated = SimulatedDevice(chip, port="usb-serial-jtag")
    source = stub_directory(tmp_path) if stub else False
    with connect(simulated.open_transport(), stub=source) as device:
        device.flash.prepare()
        simulated.clock.sleep(LONGER_THAN_ANY_WATCHDOG)
        device.flash.write([(0x1_0000, CODE)])
        assert boots(simulated) == [("USB", True)]
    assert simulated.flash[0x1_0000:].startswith(CODE)


@pytest.mark.parametrize("chip", HAS_SERIAL_JTAG)
def test_a_device_whose_watchdogs_nobody_quietens_resets_itself(chip: str) -> None:
    simulated = SimulatedDevice(chip, port="usb-serial-jtag")
    with connect(simulated.open_transport(), stub=False) as device:
        # Another reset into download mode, by somebody who does not know of them.
        transport = device.session.transport
        for dtr, rts in ((True, False), (True, True), (False, True), (False, False)):
            transport.set_lines(dtr=dtr, rts=rts)
        simulated.clock.sleep(LONGER_THAN_ANY_WATCHDOG)
        simulated.advance(simulated.clock.now())
    assert boots(simulated) == [("USB", True), ("USB", True), ("RTC_WATCHDOG", False)]


def test_quietening_the_watchdogs_costs_no_round_trip() -> None:
    def turnarounds(port: PortKind) -> int:
        simulated = SimulatedDevice("esp32c3", port=port, state="download")
        transport = UnreliableTransport(simulated.open_transport())
        with connect(transport, before="no-reset", stub=False):
            return len(transport.writes)

    assert turnarounds(PortKind.USB_SERIAL_JTAG) == turnarounds(PortKind.UART)


def test_watchdogs_are_left_alone_behind_a_uart() -> None:
    simulated = SimulatedDevice("esp32c3")
    connect(simulated.open_transport(), stub=False).close()
    assert Opcode.WRITE_REG not in {seen.opcode for seen in simulated.history.commands}


def test_watchdogs_are_out_of_reach_in_secure_download_mode() -> None:
    simulated = SimulatedDevice("esp32c3", port="usb-serial-jtag", efuses={"secure_download": 1})
    with connect(simulated.open_transport(), stub=False) as device:
        assert device.is_in_secure_download_mode
        with pytest.raises(UnsupportedError, match="out of reach"):
            device.reset(After.WATCHDOG_RESET)
    assert {seen.opcode for seen in simulated.history.commands} <= {
        Opcode.SYNC,
        Opcode.READ_REG,
        Opcode.GET_SECURITY_INFO,
    }


def test_they_are_quietened_again_when_the_device_was_reset_meanwhile() -> None:
    simulated = SimulatedDevice("esp32c3", port="usb-serial-jtag")
    with connect(simulated.open_transport(), stub=False) as device:
        device.flash.prepare()
        simulated.press_reset()
        simulated.clock.sleep(1.0)
        device.link.revive(slower=False)
        simulated.clock.sleep(LONGER_THAN_ANY_WATCHDOG)
        assert device.flash.id().is_plausible
    assert boots(simulated) == [("USB", True), ("EXTERNAL", False), ("USB", True)]


@pytest.mark.parametrize(("chip", "stub"), each_with_one(RESETS))
def test_the_watchdog_gets_a_device_out_of_its_loader_without_lines(
    tmp_path: Path,
    chip: str,
    stub: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    simulated = SimulatedDevice(chip, state="download")
    source = stub_directory(tmp_path) if stub else False
    with connect(simulated.open_transport(), before="no-reset", stub=source) as device:
        device.flash.prepare()
        device.reset(After.WATCHDOG_RESET)
        simulated.advance(simulated.clock.now())
    assert boots(simulated) == [("RTC_WATCHDOG", False)]
    assert simulated.history.lines == []


@pytest.mark.parametrize("chip", DOES_NOT_RESET)
def test_a_watchdog_reset_is_refused_where_nobody_has_seen_it_work(chip: str) -> None:
    simulated = SimulatedDevice(chip, state="download")
    with connect(simulated.open_transport(), before="no-reset", stub=False) as device:
        seen = len(simulated.history.commands)
        with pytest.raises(UnsupportedError, match="watchdog reset of the ESP"):
            device.reset(After.WATCHDOG_RESET)
        assert len(simulated.history.commands) == seen
    assert boots(simulated) == []


@pytest.mark.parametrize("chip", HAS_OTG)
def test_a_hard_reset_over_usb_otg_ends_in_the_application(chip: str) -> None:
    """Whether the lines do that depends on the chip, and on how it got into its loader."""
    simulated = SimulatedDevice(chip, port="usb-otg", state="download")
    with connect(simulated.open_transport(), stub=False) as device:
        device.flash.prepare()
        device.reset()
        simulated.advance(simulated.clock.now())
    _, is_in_download_mode = boots(simulated)[-1]
    assert not is_in_download_mode


def test_a_reset_of_an_esp32_e22_over_usb_otg_ends() -> None:
    simulated = SimulatedDevice("esp32e22", port="usb-otg", state="download")
    with connect(simulated.open_transport(), before="no-reset", stub=False) as device:
        assert device.way_to_reset(After.HARD_RESET) is After.HARD_RESET
        device.reset()
    assert len(simulated.history.lines) == 2


def test_a_strap_keeps_the_esp32_s2_in_its_loader_until_its_watchdog_resets_it() -> None:
    simulated = SimulatedDevice("esp32s2", port="usb-otg", state="download")
    with connect(simulated.open_transport(), before="no-reset", stub=False) as device:
        assert device.way_to_reset(After.HARD_RESET) is After.WATCHDOG_RESET
        reset.play(reset.HARD_RESET, device.session.transport)
        simulated.clock.sleep(1.0)
        device.link.revive(slower=False)
        device.reset()
        simulated.advance(simulated.clock.now())
    assert boots(simulated)[0] == ("USB", True)
    assert boots(simulated)[-1] == ("RTC_WATCHDOG", False)


def test_the_lines_get_an_esp32_s2_out_that_they_have_got_in() -> None:
    simulated = SimulatedDevice("esp32s2", port="usb-otg")
    with connect(simulated.open_transport(), stub=False) as device:
        device.reset()
        simulated.clock.sleep(1.0)
        simulated.advance(simulated.clock.now())
    assert boots(simulated) == [("USB", True), ("USB", False)]


@pytest.mark.parametrize("is_told", [False, True])
def test_the_esp32_s3_comes_back_to_its_loader_unless_it_is_told_not_to(
    is_told: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    simulated = SimulatedDevice("esp32s3", port="usb-otg")
    force = simulated.chip.force_download
    assert force is not None
    with connect(simulated.open_transport(), stub=False) as device:
        assert not simulated.read_register(force.address) >> force.lsb & 1
        if not is_told:
            simulated.memory.write_word(force.address, 1 << force.lsb)
        device.reset()
        simulated.clock.sleep(1.0)
        simulated.advance(simulated.clock.now())
    assert boots(simulated) == [("USB", True), ("USB", not is_told)]


@pytest.mark.parametrize("chip", [key for key in HAS_SERIAL_JTAG if key in RESETS])
def test_a_device_held_by_its_button_at_the_serial_jtag_port_is_reset_by_its_watchdog(
    chip: str,
) -> None:
    simulated = SimulatedDevice(chip, port="usb-serial-jtag", state="download")
    with connect(simulated.open_transport(), before="no-reset", stub=False) as device:
        device.reset()
        simulated.advance(simulated.clock.now())
    assert boots(simulated) == [("RTC_WATCHDOG", False)]


@pytest.mark.parametrize("state", list(InitialState))
@pytest.mark.parametrize("chip", ["esp32s2", "esp32s3"])
def test_a_port_that_the_reset_takes_away_is_waited_for_and_not_reset_again(
    chip: str, state: InitialState
) -> None:
    simulated = SimulatedDevice(chip, port="usb-otg", state=state)
    attempts: list[int] = []
    with connect(simulated.open_transport(), stub=False, on_attempt=attempts.append) as device:
        assert boots(simulated) == [("USB", True)]
        device.flash.write([(0x1_0000, CODE)])
        assert device.flash.read(0x1_0000, len(CODE)) == CODE
    assert attempts == [1]


def test_a_port_that_a_reset_takes_away_for_good_is_lost() -> None:
    simulated = SimulatedDevice("esp32s3", port="usb-otg", timings=Timings(enumeration=3600.0))
    transport = simulated.open_transport()
    with pytest.raises(TransportClosedError, match="a reset has taken the port away"):
        connect(transport, stub=False)
    with pytest.raises(TransportClosedError, match="the port is closed"):
        transport.read(0.0)


def test_a_port_that_somebody_presses_reset_at_in_mid_connection_is_waited_for() -> None:
    simulated = SimulatedDevice("esp32c3", port="usb-serial-jtag")
    transport = simulated.open_transport()
    transport.set_lines(dtr=False, rts=False)
    simulated.press_reset()
    with connect(transport, stub=False) as device:
        assert device.flash.id().is_plausible
    assert boots(simulated) == [("EXTERNAL", False), ("USB", True)]


@pytest.mark.parametrize(("chip", "stub"), each_with_one(HAS_OTG))
def test_blocks_are_small_enough_for_usb_otg_and_come_one_at_a_time(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    chip: str,
    stub: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    simulated = SimulatedDevice(chip, port="usb-otg", state="download")
    source = stub_directory(tmp_path) if stub else False
    with connect(simulated.open_transport(), stub=source) as device:
        (result,) = device.flash.write([(0x1_0000, CODE)], compress=False)
        assert result.restarts == 0
        assert device.flash.read(0x1_0000, len(CODE)) == CODE
        assert (device.session.dialect is STUB) == stub
    # Whatever was too much would have been given up, with a warning.
    assert caplog.records == []


def test_a_port_that_may_be_usb_otg_gets_small_blocks_of_ram(tmp_path: Path) -> None:
    simulated = SimulatedDevice("esp32s3")
    with connect(simulated.open_transport(), stub=stub_directory(tmp_path)) as device:
        device.flash.prepare()
    sizes = [seen.size for seen in simulated.history.commands if seen.opcode == Opcode.MEM_DATA]
    assert max(sizes) == 0x800 + 16


@pytest.mark.parametrize(("chip", "port"), [("esp32", "usb-otg"), ("esp32s2", "usb-serial-jtag")])
def test_a_simulated_device_has_only_the_ports_of_its_chip(chip: str, port: str) -> None:
    with pytest.raises(ValueError, match=port):
        SimulatedDevice(chip, port=port)
