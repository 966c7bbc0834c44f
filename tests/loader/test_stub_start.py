"""Which devices run a stub, which one, and what it takes to start it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esploader.chips.registry import chip_by_name
from esploader.errors import StubError
from esploader.protocol.dialect import STUB
from esploader.protocol.opcodes import Opcode
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.history import Loader
from esploader.simulator.rom.flash import READ_FUNCTION
from stub_files import stub_directory
from untouched import connect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

S3 = chip_by_name("esp32s3")
P4 = chip_by_name("esp32p4")

SECURE_BOOT = {"secure_boot_v2": 1}
CODE = b"\xe9code" * 1000

needs_no_stub = pytest.mark.parametrize(
    ("device", "reason"),
    [
        (lambda: SimulatedDevice("esp32c3", efuses=SECURE_BOOT), "secure boot"),
        (lambda: SimulatedDevice("esp32c2", revision=(0, 1)), "before revision 1.0"),
    ],
    ids=["ESP32-C3 with secure boot", "ESP32-C2 of revision 0"],
)


def opcodes_seen(device: SimulatedDevice) -> list[int]:
    """Return what the ROM loader was told, in order."""
    return [seen.opcode for seen in device.history.commands if seen.loader is Loader.ROM]


@needs_no_stub
def test_where_no_stub_can_start_none_is_uploaded(
    device: Callable[[], SimulatedDevice], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    simulated = device()
    with connect(simulated.open_transport()) as connected:
        connected.flash.prepare()
        assert connected.session.dialect is not STUB
        connected.flash.write([(0x1_0000, CODE)])
    assert reason in caplog.text
    assert simulated.flash[0x1_0000:].startswith(CODE)
    assert Opcode.MEM_BEGIN not in opcodes_seen(simulated)


@needs_no_stub
def test_a_stub_that_was_asked_for_by_name_is_refused_there(
    tmp_path: Path, device: Callable[[], SimulatedDevice], reason: str
) -> None:
    with (
        connect(device().open_transport(), stub=stub_directory(tmp_path)) as connected,
        pytest.raises(StubError, match=reason),
    ):
        connected.flash.prepare()


def test_with_secure_boot_the_rom_of_the_esp32_s3_is_hooked_to_start_a_stub(
    tmp_path: Path,
) -> None:
    simulated = SimulatedDevice("esp32s3", efuses=SECURE_BOOT)
    with connect(simulated.open_transport(), stub=stub_directory(tmp_path)) as device:
        device.flash.write([(0x1_0000, CODE)])
        assert device.session.dialect is STUB
        assert S3.stub_hook is not None
        # The ROM has its own function back there, for whoever comes next.
        assert device.memory.read_register(S3.stub_hook) == READ_FUNCTION
    assert simulated.flash[0x1_0000:].startswith(CODE)
    assert Opcode.READ_FLASH_SLOW in opcodes_seen(simulated)


def test_without_secure_boot_the_rom_of_the_esp32_s3_is_left_as_it_is(tmp_path: Path) -> None:
    simulated = SimulatedDevice("esp32s3")
    with connect(simulated.open_transport(), stub=stub_directory(tmp_path)) as device:
        device.flash.prepare()
        assert device.session.dialect is STUB
    assert Opcode.READ_FLASH_SLOW not in opcodes_seen(simulated)


def test_a_stub_that_does_not_start_leaves_no_hook_behind(tmp_path: Path) -> None:
    simulated = SimulatedDevice("esp32s3", efuses=SECURE_BOOT)
    with connect(simulated.open_transport(), stub=stub_directory(tmp_path)) as device:
        # Where the ROM looks for its function is now elsewhere than where the hook is put.
        device.link.stub_hook = S3.memory[2].start
        with pytest.raises(StubError):
            device.flash.prepare()
        assert device.memory.read_register(S3.memory[2].start) == 0


@pytest.mark.parametrize(
    ("revision", "name"),
    [((0, 0), "esp32p4-rev1"), ((1, 3), "esp32p4-rev1"), ((3, 0), "esp32p4"), ((3, 2), "esp32p4")],
)
def test_an_early_esp32_p4_gets_the_stub_that_was_made_for_it(
    tmp_path: Path, revision: tuple[int, int], name: str
) -> None:
    folder = stub_directory(tmp_path)
    for label in P4.stub_files:
        if label.text != name:
            (folder / f"{label.text}.json").unlink()
    simulated = SimulatedDevice("esp32p4", revision=revision)
    with connect(simulated.open_transport(), stub=folder) as device:
        device.flash.write([(0x1_0000, CODE)])
        assert device.session.dialect is STUB
    assert simulated.flash[0x1_0000:].startswith(CODE)


def test_a_chip_without_a_stub_is_talked_to_without(caplog: pytest.LogCaptureFixture) -> None:
    with connect("sim://esp32e22") as device:
        device.link.use_stub(reason_against=None)
        assert device.session.dialect is not STUB
    assert "there is none for the ESP32-E22" in caplog.text
