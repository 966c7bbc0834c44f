"""What esptool can do with a chip's own USB port behind our server, and what it cannot.

It cannot see which port it is: it plays the usual resets, and quietens no watchdog. It uses the ROM
loader: its stub has to say its first words within moments, which a busy machine may not grant.
"""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import pytest

from esploader import connect
from firmware import firmware
from programs import Completed, esptool, run
from served import server_process
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.peer, pytest.mark.slow]

PATIENCE = 900.0
SIZE = 1024 * 1024
OFFSET = 0x1_0000
DATA = firmware(8, 16 * 1024)


class Board:
    """A simulated board behind a server, and its flash."""

    def __init__(self, url: str, file: Path) -> None:
        self.url = url
        self._file = file

    def write(self, before: str, after: str, folder: Path) -> Completed:
        """Have esptool write the data."""
        data = folder / "data"
        data.write_bytes(DATA)
        options = ("--port", self.url, "--before", before, "--after", after)
        command = esptool(*options, "write-flash", hex(OFFSET), str(data))
        return run(*command, timeout=PATIENCE)

    def holds_the_data(self) -> bool:
        """Tell whether the flash does; it holds nothing else that is new."""
        content = self._file.read_bytes()
        assert_untouched(old_content(SIZE), content, [(OFFSET, OFFSET + len(DATA))])
        return content[OFFSET : OFFSET + len(DATA)] == DATA


@contextlib.contextmanager
def board(source: str, folder: Path, state: str = "app") -> Iterator[Board]:
    """Serve a board from a process of its own."""
    file = folder / "flash.bin"
    file.write_bytes(old_content(SIZE))
    port = f"sim://{source}&flash=1MB&state={state}&file={file}"
    with server_process("--tcp-port", "0", port, stderr=subprocess.DEVNULL) as (_, urls):
        yield Board(urls[0], file)


@pytest.mark.parametrize("before", ["default-reset", "usb-reset"])
@pytest.mark.parametrize("chip", ["esp32s2", "esp32s3"])
def test_esptool_resets_and_writes_over_usb_otg(tmp_path: Path, chip: str, before: str) -> None:
    with board(f"{chip}?port=usb-otg", tmp_path) as served:
        done = served.write(before, "hard-reset", tmp_path)
        assert done.exit_code == 0, done.stdout + done.stderr
        assert "Hash of data verified." in done.stdout
    assert served.holds_the_data()


@pytest.mark.parametrize("source", ["esp32p4?port=usb-otg", "esp32c3?port=usb-serial-jtag"])
def test_esptool_writes_to_a_device_that_its_button_has_put_into_download_mode(
    tmp_path: Path, source: str
) -> None:
    with board(source, tmp_path, "download") as served:
        done = served.write("no-reset", "no-reset", tmp_path)
        assert done.exit_code == 0, done.stdout + done.stderr
        assert "Hash of data verified." in done.stdout
    assert served.holds_the_data()


@pytest.mark.parametrize("before", ["default-reset", "usb-reset"])
def test_a_watchdog_ends_what_esptool_does_over_usb_serial_jtag(
    tmp_path: Path, before: str
) -> None:
    with board("esp32c3?port=usb-serial-jtag", tmp_path) as served:
        done = served.write(before, "hard-reset", tmp_path)
        assert done.exit_code != 0
    assert not served.holds_the_data()


def test_esptool_writes_behind_our_client_over_usb_serial_jtag(tmp_path: Path) -> None:
    with board("esp32c3?port=usb-serial-jtag", tmp_path) as served:
        with connect(served.url, stub=False, open_attempts=100) as device:
            assert device.flash.id().is_plausible
        done = served.write("no-reset", "no-reset", tmp_path)
        assert done.exit_code == 0, done.stdout + done.stderr
        assert "Hash of data verified." in done.stdout
    assert served.holds_the_data()


def test_esptool_identifies_over_usb_otg(tmp_path: Path) -> None:
    with board("esp32s3?port=usb-otg", tmp_path) as served:
        done = run(*esptool("--port", served.url, "flash-id"), timeout=PATIENCE)
        assert done.exit_code == 0, done.stdout + done.stderr
        assert "ESP32-S3" in done.stdout
    assert not served.holds_the_data()
