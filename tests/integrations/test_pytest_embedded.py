"""Suites of pytest-embedded that flash with us, as those run them who have them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from embedded_suites import WITH_ESPLOADER, Suite
from esploader.chips.esp32c3 import ESP32_C3
from made_builds import Place, esp_idf, put_json
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(sys.platform == "win32", reason="pytest-embedded reads a pipe as POSIX has"),
]

FLASH_SIZE = 4 << 20

HEARS = """
def test_it_is_heard(dut):
    dut.expect("Hello from the simulated application")
"""

# A device of the test's own, whose flash holds something everywhere.
LOOKED_INTO = """
import pytest
from untouched import comparing, fill

NVS = (0x9000, 0xE000)
HELLO = "Hello from the simulated application"

@pytest.fixture
def port(simulated_device, esploader_url):
    fill(simulated_device)
    return esploader_url
"""


@pytest.fixture(name="suite")
def _suite(tmp_path: Path) -> Suite:
    suite = Suite(tmp_path)
    suite.write(conftest=WITH_ESPLOADER)
    return suite


@pytest.fixture(name="places")
def _places(suite: Suite) -> list[Place]:
    return esp_idf(suite.folder / "build", ESP32_C3)


def test_a_build_is_flashed_and_its_application_is_heard(suite: Suite, places: list[Place]) -> None:
    suite.write(test_it=HEARS)
    flash = suite.folder / "flash.bin"
    flash.write_bytes(old_content(FLASH_SIZE))

    done = suite.run("--port", f"sim://esp32c3?file={flash}")

    assert done.exit_code == 0, done.stdout
    after = flash.read_bytes()
    for name, offset, data in places:
        # The flash parameters of the build go into the header of the bootloader, and its digest.
        same = slice(4, len(data) - 32) if name == "bootloader" else slice(len(data))
        assert after[offset : offset + len(data)][same] == data[same], name
    regions = [(offset, offset + len(data)) for _, offset, data in places]
    assert_untouched(old_content(FLASH_SIZE), after, regions)


@pytest.mark.slow
@pytest.mark.usefixtures("places")
@pytest.mark.parametrize(
    "mark",
    [
        'esploader_url("rfc2217")',
        'esploader_url("rfc2217", realtime=True)',
        'esploader_chip("esp32c3")',
    ],
)
def test_what_a_suite_does_to_its_device(suite: Suite, mark: str) -> None:
    suite.write(
        test_it=LOOKED_INTO
        + f"""
pytestmark = pytest.mark.{mark}

def test_reset(dut, simulated_device):
    dut.expect(HELLO)
    with comparing(simulated_device):
        dut.serial.hard_reset()
        dut.expect(HELLO)
    assert not simulated_device.history.boots[-1].download

def test_what_is_there_stays(dut, simulated_device):
    dut.expect(HELLO)
    erased = dict(simulated_device.erase_counts)
    with comparing(simulated_device):
        dut.serial.flash()
        dut.expect(HELLO)
    assert simulated_device.erase_counts == erased

def test_partition(dut, simulated_device):
    with comparing(simulated_device, NVS):
        held = dut.serial.dump_flash(partition="nvs")
        assert held == simulated_device.flash[slice(*NVS)] != b"\\xff" * len(held)
        dut.serial.erase_partition("nvs")
        assert dut.serial.dump_flash(address="0x9000", size="0x5000") == b"\\xff" * len(held)

def test_whole_flash(dut, simulated_device, tmp_path):
    dut.serial.erase_flash()
    assert set(simulated_device.flash) == {{0xFF}}
    dut.serial.flash()
    dut.expect(HELLO)
    dut.serial.dump_flash(address=0x8000, size=2, output=str(tmp_path / "read"))
    assert (tmp_path / "read").read_bytes() == b"\\xaa\\x50"
"""
    )
    done = suite.run()
    assert done.exit_code == 0, done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("places")
def test_a_port_without_lines_has_the_loader_start_the_application(suite: Suite) -> None:
    suite.write(
        test_it=LOOKED_INTO
        + """
@pytest.mark.esploader_url("tcp")
def test_once(dut):
    dut.expect(HELLO)
    with pytest.raises(Exception, match="DTR and RTS"):
        dut.serial.hard_reset()
"""
    )
    done = suite.run()
    assert done.exit_code == 0, done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("places")
def test_options_erase_or_leave_alone(suite: Suite) -> None:
    suite.write(
        test_it=LOOKED_INTO
        + """
def test_nothing(dut, simulated_device):
    assert simulated_device.erase_counts == {}

def test_nvs(dut, simulated_device):
    assert set(simulated_device.flash[slice(*NVS)]) == {0xFF}
    assert set(simulated_device.flash[0x300000:]) != {0xFF}

def test_all(dut, simulated_device):
    dut.expect(HELLO)
    assert set(simulated_device.flash[0x300000:]) == {0xFF}
"""
    )
    for options in (
        ("-k", "test_nothing", "--skip-autoflash", "y"),
        ("-k", "test_nvs", "--erase-nvs", "y"),
        ("-k", "test_all", "--erase-all", "y"),
    ):
        done = suite.run(*options)
        assert (done.exit_code, "1 passed" in done.stdout) == (0, True), done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("places")
def test_a_device_with_flash_encryption_encrypts_what_the_build_marks(suite: Suite) -> None:
    suite.write(
        test_it=LOOKED_INTO
        + """
@pytest.mark.esploader_chip(efuses={"key_purpose_0": 4, "key0": 0x1234, "flash_crypt_count": 1})
def test_table(dut, simulated_device):
    flash = simulated_device.flash
    assert not flash[0x8000:].startswith(b"\\xaa\\x50")
    assert flash[0xE000:0x10000] == b"\\xff" * 0x2000
"""
    )
    done = suite.run()
    assert done.exit_code == 0, done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("places")
def test_a_build_for_ram_is_put_there(suite: Suite) -> None:
    build = suite.folder / "build"
    put_json(build, "config/sdkconfig.json", {"APP_BUILD_TYPE_RAM": True, "IDF_TARGET": "esp32c3"})
    (build / "ota_data_initial.bin").unlink()
    suite.write(
        test_it=LOOKED_INTO
        + """
def test_ram(dut, simulated_device):
    names = [command.name for command in simulated_device.history.commands]
    assert "MEM_END" in names
    assert simulated_device.erase_counts == {}
"""
    )
    done = suite.run()
    assert done.exit_code == 0, done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("places")
def test_several_devices_are_flashed_for_one_test(suite: Suite) -> None:
    suite.write(
        test_it="""
def test_both(dut):
    assert len(dut) == 2
    for each in dut:
        each.expect("Hello from the simulated application")
"""
    )
    done = suite.run("--count", "2", "--port", "sim://esp32c3|sim://esp32c3?seed=1")
    assert done.exit_code == 0, done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("places")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--port", "sim://esp32"), "PlanError: the ESP-IDF build in '*' is for esp32c3"),
        (("--port", "sim://esp32c3", "--target", "esp32s3"), "WrongChipError: "),
        (("--port", "sim://esp32c3", "--build-dir", "nowhere"), "PlanError: the test has no build"),
        (
            ("--port", "sim://esp32c3", "--port-mac", "11:22:33:44:55:66"),
            "PlanError: the device at sim://esp32c3 has the MAC 24:0a:c4:00:00:01",
        ),
        (("--port", "sim://esp99"), "no chip is called 'esp99'"),
        (("--port-serial-number", "no such number"), "NoPortError: no serial port matches"),
    ],
    ids=["another chip", "another target", "no build", "another MAC", "no such port", "no port"],
)
def test_what_cannot_be_flashed_fails_the_test_in_a_sentence(
    suite: Suite, options: tuple[str, ...], message: str
) -> None:
    suite.write(test_it=HEARS)

    done = suite.run(*options)

    assert done.exit_code == pytest.ExitCode.TESTS_FAILED
    before, _, after = message.partition("*")
    assert before in done.stdout
    assert after in done.stdout


@pytest.mark.slow
def test_without_a_build_the_device_is_reset_and_named(suite: Suite) -> None:
    suite.write(
        test_it=LOOKED_INTO
        + """
@pytest.mark.esploader_chip("esp32s3")
def test_which(dut, simulated_device):
    with comparing(simulated_device):
        dut.expect("ESP-ROM:esp32s3")
    assert dut.serial.target == "esp32s3"
"""
    )
    done = suite.run(services="esp")
    assert done.exit_code == 0, done.stdout


@pytest.mark.slow
def test_what_esptool_does_not_stand_behind_stays_as_it_is(suite: Suite) -> None:
    suite.write(
        test_it="""
def test_class(dut):
    assert type(dut.serial).__module__ == "pytest_embedded_serial.serial"
"""
    )
    done = suite.run("--port", "loop://", services="serial")
    assert done.exit_code == 0, done.stdout
