"""A board behind an exporter of jumpstarter, as those have it who flash it from afar."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from esploader.chips.registry import chip_by_name
from firmware import firmware
from jumpstarter_lab import DRIVER, exporting, instance, require_jumpstarter
from made_builds import esp_idf
from programs import Completed, served_chip
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from jumpstarter_lab import Exporter

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(sys.platform != "linux", reason="exporters are for Linux"),
]

SUITE = Path(__file__).with_name("jumpstarter_suite.py")
SUPPORT = Path(__file__).parents[1] / "support"
SUITE_TIME = 300.0

MIB = 1024 * 1024
FLASH_SIZE = 4 * MIB
OFFSET = 0x1_0000
APP = firmware(1, 0x2_0123)
APP_END = OFFSET + len(APP)
READ_SIZE = 0x4_0000
"""More than all that is written."""


def put_flash(folder: Path) -> Path:
    """Make the file of a flash that holds something everywhere."""
    path = folder / "flash.bin"
    path.write_bytes(old_content(FLASH_SIZE))
    return path


def board(flash: Path, **config: object) -> dict[str, object]:
    """Return an exporter's only board, which is simulated in its process."""
    return {"storage": instance(DRIVER, url=f"sim://esp32c3?file={flash}", **config)}


def assert_flashed(flash: Path) -> None:
    """Assert that the flash holds the application, and around it what it held."""
    held = flash.read_bytes()
    assert held[OFFSET:APP_END] == APP
    assert_untouched(old_content(FLASH_SIZE), held, [(OFFSET, APP_END)])


def assert_refused(done: Completed, sentence: str) -> None:
    """Assert that a command failed with a sentence and nothing like a traceback."""
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_board_is_flashed_and_read_from_afar(tmp_path: Path) -> None:
    flash = put_flash(tmp_path)
    app, dump = tmp_path / "app.bin", tmp_path / "dump.bin"
    app.write_bytes(APP)
    region = f"0:{READ_SIZE:#x}"
    commands = f"j storage flash {app} -a {OFFSET:#x} && j storage dump {dump} -t {region}"
    with exporting(tmp_path, board(flash, chip="esp32c3")) as exporter:
        # Within "jmp shell" it is the same, and takes longer; the page in docs has that.
        done = exporter.run("sh", "-c", commands)
    assert done.exit_code == 0, done
    # Told while it happened, and not at the end.
    assert "(10 %)" in done.stderr
    assert "Hash of data verified." in done.stdout
    assert f"Read {READ_SIZE} bytes from 0x00000000" in done.stdout
    assert_flashed(flash)
    assert dump.read_bytes() == flash.read_bytes()[:READ_SIZE]


@pytest.mark.slow
def test_jumpstarter_lists_the_drivers() -> None:
    programs = require_jumpstarter()
    done = subprocess.run(
        [str(programs / "jmp"), "driver", "list"],
        check=True,
        capture_output=True,
        text=True,
        timeout=SUITE_TIME,
    )
    assert DRIVER in done.stdout
    assert "EspConsole" in done.stdout


@pytest.mark.slow
def test_the_suite_passes_in_an_environment_of_its_own(tmp_path: Path) -> None:
    python = require_jumpstarter() / "python"
    options = ("-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path))
    done = subprocess.run(
        [str(python), "-m", "pytest", *options, f"--basetemp={tmp_path / 'run'}", str(SUITE)],
        check=False,
        capture_output=True,
        text=True,
        timeout=SUITE_TIME,
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(SUPPORT),
            "PYTEST_ADDOPTS": "",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
    )
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.slow
def test_every_command_says_what_it_has_done(tmp_path: Path) -> None:
    flash = put_flash(tmp_path)
    with exporting(tmp_path, board(flash)) as exporter:
        info = exporter.run("j", "storage", "chip-info")
        erased = exporter.run("j", "storage", "erase", "--target", "0x9000:0x1000")
        reset = exporter.run("j", "storage", "reset")
        listening = exporter.run("j", "storage", "download-mode")
    assert "Chip: ESP32-C3\n" in info.stdout
    assert "Flash size: 4MB\n" in info.stdout
    assert erased.stdout == "4096 bytes from 0x00009000 on erased.\n"
    assert reset.stdout == "The device was reset.\n"
    assert listening.stdout == "The device is in download mode.\n"
    held = flash.read_bytes()
    assert held[0x9000:0xA000] == b"\xff" * 0x1000
    assert_untouched(old_content(FLASH_SIZE), held, [(0x9000, 0xA000)])


@pytest.mark.slow
def test_a_build_folder_travels_whole(tmp_path: Path) -> None:
    flash = put_flash(tmp_path)
    build = tmp_path / "build"
    parts = esp_idf(build, chip_by_name("esp32c3"))
    with exporting(tmp_path, board(flash)) as exporter:
        done = exporter.run("j", "storage", "flash", str(build))
    assert done.exit_code == 0, done
    held = flash.read_bytes()
    for name, offset, data in parts:
        # The flash parameters go into the header of the bootloader.
        start = 4 if name == "bootloader" else 0
        end = len(data) - 32 if name == "bootloader" else len(data)
        assert held[offset + start : offset + end] == data[start:end], name
    regions = [(offset, offset + len(data)) for _, offset, data in parts]
    assert_untouched(old_content(FLASH_SIZE), held, regions)


@pytest.mark.slow
def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path) -> None:
    flash = put_flash(tmp_path)
    app = tmp_path / "app.bin"
    app.write_bytes(APP)
    build = tmp_path / "build"
    esp_idf(build, chip_by_name("esp32s3"))
    with exporting(tmp_path, board(flash)) as exporter:

        def storage(*words: str) -> Completed:
            return exporter.run("j", "storage", *words)

        assert_refused(storage("flash", "nowhere.bin", "-a", "0x10000"), "No such file")
        assert_refused(storage("flash", str(build)), "for esp32s3")
        assert_refused(storage("flash", str(app), "-a", "0x3ff000"), "beyond the flash")
        assert_refused(storage("flash", str(app), "-a", "nvs"), "no partition table")
        assert_refused(storage("flash", str(app), "-a", "12x"), "'12x' is not a number")
        assert_refused(storage("flash"), "name a FILE")
        assert_refused(storage("dump", str(tmp_path / "no" / "dump.bin")), "No such file")
        assert_refused(storage("dump", "dump.bin", "-t", "0x1000"), "is no region")
        assert_refused(storage("erase", "-t", "0x1001:0x1000"), "no whole sectors")
    assert flash.read_bytes() == old_content(FLASH_SIZE)


@pytest.mark.slow
def test_a_board_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    export = {"storage": instance(DRIVER, url=str(tmp_path / "ttyUSB0"))}
    with exporting(tmp_path, export) as exporter:
        assert_refused(exporter.run("j", "storage", "chip-info"), "there is no such device")


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["client", "exporter"])
def test_who_is_killed_in_mid_write_leaves_a_board_that_the_next_one_repairs(
    victim: str, tmp_path: Path
) -> None:
    flash = put_flash(tmp_path)
    app = tmp_path / "app.bin"
    app.write_bytes(APP)
    flashing = ("j", "storage", "flash", str(app), "-a", f"{OFFSET:#x}")
    with served_chip("esp32c3", "--realtime", "--rfc2217", "0", "--flash", str(flash)) as urls:
        export = {"storage": instance(DRIVER, url=urls["rfc2217"], baudrate=460800)}
        with exporting(tmp_path, export) as exporter:
            kill_in_mid_write(exporter, victim, flashing)
            assert flash.read_bytes()[OFFSET:APP_END] != APP
            # An exporter that lives has the next client, too.
            after = exporter.run(*flashing) if victim == "client" else None
        if after is None:
            with exporting(tmp_path, export) as exporter:
                after = exporter.run(*flashing)
    assert after.exit_code == 0, after
    assert_flashed(flash)


def kill_in_mid_write(exporter: Exporter, victim: str, flashing: tuple[str, ...]) -> None:
    """Kill a client or its exporter as soon as the client shows that something is written."""
    client = exporter.start(*flashing)
    assert client.stderr is not None
    with client.stderr:
        for line in client.stderr:
            if "Writing at" in line:
                break
        if victim == "client":
            client.send_signal(signal.SIGKILL)
        else:
            exporter.kill()
        rest = client.stderr.read()
    assert client.wait() == (-signal.SIGKILL if victim == "client" else 1), rest
    assert "(100 %)" not in rest
