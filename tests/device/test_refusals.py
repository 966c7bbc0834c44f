"""What esptool refuses, we refuse too: a test for each that says so, where none was before.

The table in docs/flash.md leads from each refusal to its test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import pytest

from described_chips import DESCRIBED
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32s3 import ESP32_S3
from esploader.chips.esp8266 import ESP8266
from esploader.cli import main
from esploader.commands.exit_codes import EXPLANATIONS
from esploader.errors import EsploaderError, PlanError, UnsupportedError
from esploader.flash.parameters import FlashParameters
from esploader.loader.resetting import After
from esploader.protocol.commands import ReadReg
from esploader.simulator import SimulatedDevice, SimulatedTransport
from images import build_image, header_for, small_image, small_parts
from silence import Silent, do_work
from stub_files import shared_stubs
from untouched import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device
    from esploader.simulator.bench import HardwareOnBench

Connect: TypeAlias = "Callable[..., Device]"

C3 = ("--port", "sim://esp32c3", "--no-stub")
MIB = 1 << 20


@pytest.fixture(name="connect_to")
def _connect_to() -> Iterator[Connect]:
    devices: list[Device] = []

    def connect_to(
        chip: Chip,
        *,
        flash_size: int = 4 * MIB,
        has_stub: bool = False,
        efuses: dict[str, int] | None = None,
    ) -> Device:
        transport = SimulatedTransport(
            SimulatedDevice(chip, flash_size=flash_size, efuses=efuses or {})
        )
        device = connect(transport, stub=shared_stubs() if has_stub else False)
        devices.append(device)
        return device

    yield connect_to
    for device in devices:
        device.close()


@pytest.fixture(name="image")
def _image(tmp_path: Path) -> str:
    path = tmp_path / "image.bin"
    path.write_bytes(bytes(5000))
    return str(path)


def simulated(device: Device) -> HardwareOnBench:
    transport = device.session.transport
    assert isinstance(transport, SimulatedTransport)
    return transport.device


def assert_nothing_erased(device: Device) -> None:
    assert not simulated(device).nor.erase_counts


def refuses(arguments: list[str], error: type[EsploaderError]) -> bool:
    """Tell whether the command ends with that error."""
    return main([*arguments, "--exit-codes", "detailed"]) == EXPLANATIONS[error].code


# The command line of write-flash --------------------------------------------------------


@pytest.mark.parametrize("command", ["write-flash", "verify-flash"])
def test_an_odd_number_of_arguments_is_refused(
    command: str, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*C3, command, "0", image, "0x1000"]) == 2
    assert "come in pairs" in capsys.readouterr().err
    assert main([*C3, command]) == 2


@pytest.mark.parametrize("offset", ["image.bin", "", "-0x1000", "0x1g", "0x100000000", "1kk"])
def test_an_offset_that_is_no_number_is_refused(
    offset: str, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*C3, "write-flash", "--", offset, image]) == 2
    assert "usage:" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.bin", tmp_path):
        assert refuses([*C3, "write-flash", "0", str(path)], PlanError)
        assert refuses([*C3, "verify-flash", "0", str(path)], PlanError)


def test_inputs_that_overlap_are_refused(image: str) -> None:
    assert refuses([*C3, "write-flash", "0", image, "0x1387", image], PlanError)
    assert main([*C3, "write-flash", "0", image, "0x1388", image]) == 0


@pytest.mark.parametrize(
    "options",
    [
        ["-z", "-u"],
        ["--no-compress", "--compress"],
        ["--skip-flashed", "--no-skip"],
        ["--encrypt", "--encrypt-files", "0x1000", "other.bin", "--no-skip"],
    ],
)
def test_options_that_contradict_each_other_are_refused(
    options: list[str], image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*C3, "write-flash", *options, "0", image]) == 2
    assert "not allowed with" in capsys.readouterr().err


def test_skipping_what_is_flashed_is_the_default(image: str, tmp_path: Path) -> None:
    port = ("--port", f"sim://esp32c3?file={tmp_path / 'flash.bin'}", "--no-stub")
    assert main([*port, "write-flash", "--skip-flashed", "0x1000", image]) == 0
    assert main([*port, "write-flash", "-s", "0x1000", image]) == 0


@pytest.mark.parametrize(
    "option",
    [["-ff", "64m"], ["-ff", "32m"], ["-fs", "3MB"], ["-fs", "512KB"]],
    ids=" ".join,
)
def test_a_flash_parameter_that_the_chip_does_not_know_is_refused(
    option: list[str], image: str
) -> None:
    # Although no bootloader is among the inputs, into which it would be put.
    assert refuses([*C3, "write-flash", *option, "0x10000", image], UnsupportedError)


# The size of the flash ------------------------------------------------------------------


def test_a_file_past_the_end_of_the_flash_is_refused(connect_to: Connect) -> None:
    device = connect_to(ESP32_C3)
    with pytest.raises(PlanError, match="beyond the flash"):
        device.flash.write([(0, bytes(100)), (4 * MIB - 1, b"ab")])
    assert_nothing_erased(device)


def test_a_file_past_the_size_that_is_put_into_the_bootloader_is_refused(
    connect_to: Connect,
) -> None:
    device = connect_to(ESP32_C3)
    with pytest.raises(PlanError, match="beyond the flash of 0x200000 bytes"):
        device.flash.write([(2 * MIB, b"x")], parameters=FlashParameters(size="2MB"))
    with pytest.raises(PlanError, match="beyond the flash of 0x400000 bytes"):
        device.flash.write([(4 * MIB, b"x")], parameters=FlashParameters(size="16MB"))
    assert_nothing_erased(device)


@pytest.mark.parametrize("has_stub", [True, False], ids=["stub", "rom"])
@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_flash_beyond_16_mib_is_refused_where_the_loader_does_not_reach_it(
    connect_to: Connect, chip: Chip, *, has_stub: bool
) -> None:
    device = connect_to(chip, flash_size=32 * MIB, has_stub=has_stub)
    if has_stub and chip.supports_4_byte_addresses:
        device.flash.write([(16 * MIB, b"reached")])
        assert device.flash.read(16 * MIB, 7) == b"reached"
        device.flash.erase_region(16 * MIB, 0x1000)
        assert device.flash.verify([(16 * MIB, b"\xff")]) == ()
        return
    for attempt in (
        lambda: device.flash.write([(16 * MIB - 1, b"ab")]),
        lambda: device.flash.read(16 * MIB, 1),
        lambda: device.flash.verify([(16 * MIB, b"a")]),
        lambda: device.flash.md5(16 * MIB, 1),
        lambda: device.flash.erase_region(16 * MIB, 0x1000),
    ):
        with pytest.raises(PlanError, match="reaches 0x1000000 bytes"):
            attempt()
    assert_nothing_erased(device)


def test_flash_beyond_16_mib_is_refused_when_no_stub_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESPLOADER_STUB_DIR", str(tmp_path))
    with connect(SimulatedTransport(SimulatedDevice(ESP32_S3, flash_size=32 * MIB))) as device:
        with pytest.raises(PlanError, match="the ROM loader of the ESP32-S3 reaches"):
            device.flash.write([(16 * MIB, b"x")])
        assert_nothing_erased(device)


@pytest.mark.parametrize("region", [("0x3ff000", "0x1001"), ("0x400000", "1"), ("0", "0")])
def test_reading_beyond_the_flash_is_refused(region: tuple[str, str], tmp_path: Path) -> None:
    output = tmp_path / "out.bin"
    assert refuses([*C3, "read-flash", *region, str(output)], PlanError)
    assert not output.exists()


def test_reading_all_of_a_flash_of_unknown_size_is_refused(
    connect_to: Connect, tmp_path: Path
) -> None:
    device = connect_to(ESP32_C3)
    simulated(device).flash_chip.jedec_id = b"\xc8\x40\x00"
    words = ["read-flash", "0", "all", str(tmp_path / "out.bin")]
    with pytest.raises(PlanError, match="size of the flash is not known"):
        do_work(device, words, Silent())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("offset", ["0x400000", "0x500000"])
def test_reading_all_from_beyond_the_flash_is_refused(
    offset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refuses([*C3, "read-flash", offset, "all", str(tmp_path / "out.bin")], PlanError)
    assert f"{offset} is beyond the flash of 4MB" in capsys.readouterr().err


def test_reading_all_in_secure_download_mode_is_refused(
    connect_to: Connect, tmp_path: Path
) -> None:
    device = connect_to(ESP32_C3, efuses={"secure_download": 1})
    words = ["read-flash", "0", "ALL", str(tmp_path / "out.bin")]
    with pytest.raises(UnsupportedError, match="Secure Download Mode"):
        do_work(device, words, Silent())
    assert list(tmp_path.iterdir()) == []


# Erasing --------------------------------------------------------------------------------


@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_a_rom_loader_does_not_erase_everything(connect_to: Connect, chip: Chip) -> None:
    device = connect_to(chip)
    with pytest.raises(UnsupportedError):
        device.flash.erase()
    for write in (device.flash.plan, device.flash.write):
        with pytest.raises(UnsupportedError, match="a stub can"):
            write([(0x1_0000, b"data")], erase_all=True)
    assert_nothing_erased(device)


@pytest.mark.parametrize("region", [("0x800", "0x1000"), ("0x1000", "0x1001"), ("1", "4095")])
def test_erasing_what_is_no_whole_sector_is_refused(region: tuple[str, str]) -> None:
    assert refuses([*C3, "erase-region", *region], PlanError)


@pytest.mark.parametrize("region", [("0x400000", "0x1000"), ("0x3ff000", "0x2000"), ("0", "0")])
def test_erasing_beyond_the_flash_is_refused(region: tuple[str, str]) -> None:
    assert refuses([*C3, "erase-region", *region], PlanError)


# Images ---------------------------------------------------------------------------------


@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_a_bootloader_for_another_chip_is_refused(connect_to: Connect, chip: Chip) -> None:
    device = connect_to(chip)
    for other in DESCRIBED:
        inputs = [(chip.bootloader_offset, small_image(other))]
        if other is chip:
            device.flash.plan(inputs)
        else:
            with pytest.raises(PlanError, match="cannot run here"):
                device.flash.plan(inputs)


def test_a_bootloader_for_another_revision_is_refused(connect_to: Connect) -> None:
    device = connect_to(ESP32_C3)
    parts = small_parts(ESP32_C3)
    image = bytearray(build_image(header_for(ESP32_C3, parts, digest=False), parts))
    for minimum, maximum in ((5, 65535), (0, 3)):
        image[15:17] = minimum.to_bytes(2, "little")
        image[17:19] = maximum.to_bytes(2, "little")
        with pytest.raises(PlanError, match="cannot run here"):
            device.flash.plan([(0, bytes(image))])
        device.flash.plan([(0, bytes(image))], force=True)
        device.flash.plan([(0x1_0000, bytes(image))])


# Secure Download Mode -------------------------------------------------------------------


RESTRICTED = [chip for chip in DESCRIBED if chip.secure_download is not None]
"""The chips that have the mode."""


FORBIDDEN: dict[str, Callable[[Device], object]] = {
    "mac": lambda device: device.mac,
    "EUI-64": lambda device: device.eui64,
    "revision": lambda device: device.revision,
    "chip id": lambda device: device.chip_id,
    "flash id": lambda device: device.flash.id(),
    "SFDP": lambda device: device.flash.sfdp(0, 4),
    "flash status": lambda device: device.flash.status(),
    "set flash status": lambda device: device.flash.write_status(0),
    "flash wiring": lambda device: device.flash.wiring(),
    "read word": lambda device: device.memory.read_register(0x4000_1000),
    "write word": lambda device: device.memory.write_register(0x3FC8_0000, 0),
    "read memory": lambda device: device.memory.read(0x3FC8_0000, 4),
    "run from RAM": lambda device: device.memory.load(b""),
    "read flash": lambda device: device.flash.read(0, 16),
    "verify flash": lambda device: device.flash.verify([(0, b"data")]),
    "MD5": lambda device: device.flash.md5(0, 16),
    "erase flash": lambda device: device.flash.erase(),
    "erase flash by force": lambda device: device.flash.erase(force=True),
    "erase all and write": lambda device: device.flash.write([(0, b"data")], erase_all=True),
    "plan to erase all": lambda device: device.flash.plan(
        [(0, b"data")], erase_all=True, force=True
    ),
}


@pytest.mark.parametrize("chip", RESTRICTED, ids=lambda chip: chip.key)
def test_secure_download_mode_allows_nothing_else(connect_to: Connect, chip: Chip) -> None:
    device = connect_to(chip, efuses={"secure_download": 1})
    history = simulated(device).history
    history.clear()
    start = device.session.transport.clock.now()
    for name, work in FORBIDDEN.items():
        with pytest.raises(UnsupportedError, match="Secure Download Mode"):
            work(device)
        assert not history.events, f"{name}: not a byte is sent"
        assert device.session.transport.clock.now() == start, name
    assert_nothing_erased(device)


@pytest.mark.parametrize("chip", RESTRICTED, ids=lambda chip: chip.key)
def test_secure_download_mode_allows_what_it_allows(connect_to: Connect, chip: Chip) -> None:
    device = connect_to(chip, efuses={"secure_download": 1})
    history = simulated(device).history
    # When it was connected to, it refused to read a register.
    history.clear()
    assert device.is_in_secure_download_mode
    assert device.chip is chip
    assert device.security.read().secure_download_mode
    device.flash.erase_region(0x1000, 0x1000)
    device.flash.write([(0x8000, b"data")])
    for after in (After.NO_RESET, After.HARD_RESET):
        device.reset(after)
    assert not any(response.error for response in history.responses)


def test_a_command_that_the_mode_does_not_have_is_refused_by_name(connect_to: Connect) -> None:
    device = connect_to(ESP32_C3, efuses={"secure_download": 1})
    simulated(device).history.clear()
    with pytest.raises(UnsupportedError, match="READ_REG: the Secure Download Mode ROM loader"):
        device.session.execute(ReadReg(0x4000_1000))
    assert not simulated(device).history.events


# Other commands -------------------------------------------------------------------------


@pytest.mark.parametrize("chip", [ESP8266, ESP32], ids=lambda chip: chip.key)
def test_chips_without_security_info_refuse_it(connect_to: Connect, chip: Chip) -> None:
    with pytest.raises(UnsupportedError):
        connect_to(chip).security.read()


@pytest.mark.parametrize("region", [("0", "0"), ("0", "65"), ("0x1000000", "1")])
def test_sfdp_that_is_not_there_is_refused(region: tuple[str, str]) -> None:
    assert refuses([*C3, "read-flash-sfdp", *region], UnsupportedError)


@pytest.mark.parametrize("count", ["0", "4", "x"])
def test_a_number_of_status_registers_that_no_flash_has_is_refused(count: str) -> None:
    assert main([*C3, "read-flash-status", "--bytes", count]) == 2
    assert main([*C3, "write-flash-status", "--bytes", count, "0"]) == 2


def test_a_status_that_does_not_fit_its_registers_is_refused() -> None:
    assert refuses([*C3, "write-flash-status", "--bytes", "1", "0x100"], UnsupportedError)


def test_a_hex_file_is_no_program_for_ram(tmp_path: Path) -> None:
    path = tmp_path / "program.hex"
    path.write_bytes(b":0400000001020304F2\n:040010000102030 4E2\n:00000001FF\n")
    assert refuses([*C3, "load-ram", str(path)], PlanError)
