"""A flash that was left in a wrong state, or without power, is brought to answer."""

from __future__ import annotations

import itertools

import pytest

from covering import covering_parameters
from described_chips import DESCRIBED
from esploader.chips.registry import chip_by_name
from esploader.protocol.dialect import STUB
from esploader.protocol.opcodes import Opcode
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.flash.chip import FlashCondition
from esploader.simulator.flash.timings import Timings
from stub_files import shared_stubs
from untouched import connect

P4 = chip_by_name("esp32p4")
CODE = bytes(range(256)) * 64


def chips_with_and_without_stub(chips: list[str]) -> pytest.MarkDecorator:
    """Try each chip, and either way."""
    cells = covering_parameters(
        list(itertools.product(chips, (False, True))), lambda chip, stub: (chip, stub)
    )
    return pytest.mark.parametrize(
        ("chip", "stub"), cells, ids=lambda value: {False: "ROM", True: "stub"}.get(value, value)
    )


LONG_ADDRESSES = [chip.key for chip in DESCRIBED if chip.supports_4_byte_addresses]
with_and_without_stub = pytest.mark.parametrize("stub", [False, True], ids=["ROM", "stub"])


@chips_with_and_without_stub(LONG_ADDRESSES)
def test_a_flash_left_with_long_addresses_is_reset_before_it_is_used(
    chip: str,
    stub: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    simulated = SimulatedDevice(chip, flash_condition="4-byte")
    source = shared_stubs() if stub else False
    with connect(simulated.open_transport(), stub=source) as device:
        (result,) = device.flash.write([(0x1_0000, CODE)])
        assert result.restarts == 0
        assert device.flash.read(0x1_0000, len(CODE)) == CODE
        assert (device.session.dialect is STUB) == stub
    assert simulated.flash[0x1_0000:].startswith(CODE)


def test_an_application_may_do_that_again_after_a_reset() -> None:
    simulated = SimulatedDevice("esp32s3", flash_condition="4-byte")
    with connect(simulated.open_transport(), stub=False) as device:
        assert device.flash.id().is_plausible
        assert simulated.flash_chip.answers
        device.reset()
        simulated.clock.sleep(1.0)
        simulated.flash_chip.condition = FlashCondition.FOUR_BYTE
        device.link.revive(slower=False)
        device.flash.write([(0x1_0000, CODE)])
    assert simulated.flash[0x1_0000:].startswith(CODE)


def test_a_flash_in_use_is_not_reset() -> None:
    simulated = SimulatedDevice("esp32s3", state="stub")
    with connect(simulated.open_transport(), before="no-reset", stub=False) as device:
        simulated.flash_chip.condition = FlashCondition.FOUR_BYTE
        device.flash.id()
        assert not simulated.flash_chip.answers


@chips_with_and_without_stub([chip.key for chip in DESCRIBED])
def test_a_flash_of_xmc_that_has_not_started_up_is_woken(
    chip: str,
    stub: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    simulated = SimulatedDevice(chip, flash_condition="asleep")
    source = shared_stubs() if stub else False
    with connect(simulated.open_transport(), stub=source) as device:
        assert device.flash.id().jedec_id == 0x164020
        device.flash.write([(0x1_0000, CODE[:0x1000])])
    assert simulated.flash[0x1_0000:].startswith(CODE[:0x1000])


def test_it_is_given_the_time_that_it_takes_to_wake() -> None:
    simulated = SimulatedDevice(
        "esp32c3", flash_condition="asleep", timings=Timings(uart_paced=False, command=0.0)
    )
    with connect(simulated.open_transport(), stub=False) as device:
        assert device.flash.id().is_plausible


def test_a_flash_that_stays_silent_is_not_woken_again_and_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    simulated = SimulatedDevice("esp32c3")
    simulated.flash_chip.has_power = lambda: False
    with connect(simulated.open_transport(), stub=False) as device:
        assert not device.flash.id().is_plausible
        seen = len(simulated.history.commands)
        assert not device.flash.id().is_plausible
        again = len(simulated.history.commands) - seen
        assert again < seen / 2
    assert caplog.text.count("trying to wake it") == 1


@pytest.mark.parametrize("revision", [(3, 1), (3, 2)])
@with_and_without_stub
def test_the_flash_of_an_esp32_p4_gets_the_power_that_its_rom_does_not_turn_on(
    revision: tuple[int, int],
    stub: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    simulated = SimulatedDevice("esp32p4", revision=revision)
    source = shared_stubs() if stub else False
    with connect(simulated.open_transport(), stub=source) as device:
        assert not simulated.flash_chip.answers
        assert device.flash.id().is_plausible
        (result,) = device.flash.write([(0x1_0000, CODE)])
        assert result.restarts == 0
    assert simulated.flash[0x1_0000:].startswith(CODE)


def test_it_gets_power_again_when_the_device_was_reset_meanwhile() -> None:
    simulated = SimulatedDevice("esp32p4", revision=(3, 1))
    with connect(simulated.open_transport(), stub=False) as device:
        device.flash.write([(0x1_0000, CODE)])
        simulated.press_reset()
        simulated.clock.sleep(1.0)
        device.link.revive(slower=False)
        assert device.flash.read(0x1_0000, len(CODE)) == CODE


def test_power_that_its_rom_turns_on_is_not_turned_on_twice() -> None:
    power = P4.flash_power
    assert power is not None
    simulated = SimulatedDevice("esp32p4", revision=(3, 2), efuses={"download_mode_xpd_on": 1})
    connect(simulated.open_transport(), stub=False).close()
    simulated.memory.write_word(power.forced.address, 0x103)
    assert not simulated.flash_chip.answers
    with connect(simulated.open_transport(), before="no-reset", stub=False) as device:
        assert device.flash.id().is_plausible
    assert simulated.read_register(power.forced.address) == 0x100
    assert simulated.read_register(power.settings[0].bits.address) == 0


@pytest.mark.parametrize("revision", [(0, 1), (1, 3), (3, 0)])
def test_other_revisions_are_left_as_they_are(revision: tuple[int, int]) -> None:
    simulated = SimulatedDevice("esp32p4", revision=revision)
    connect(simulated.open_transport(), stub=False).close()
    assert Opcode.WRITE_REG not in {seen.opcode for seen in simulated.history.commands}
