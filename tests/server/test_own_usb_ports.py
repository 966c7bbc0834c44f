"""A chip's own USB port behind a server on real sockets: it vanishes, and its client stays."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from esploader.connector import connect
from esploader.loader.resetting import After
from esploader.server.config import PortConfig, Protocol, ServerConfig
from esploader.server.serve import Server
from esploader.simulator.url import open_served, parse
from firmware import firmware
from served import serving
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esploader.loader.download_mode import Before

SIZE = 1024 * 1024
OFFSET = 0x1_0000
DATA = firmware(6, 16 * 1024)

BOARDS = [
    "esp32s2?port=usb-otg",
    "esp32s3?port=usb-otg",
    "esp32s3?port=usb-serial-jtag",
    "esp32c3?port=usb-serial-jtag",
    "esp32p4?port=usb-serial-jtag",
    "esp32c6?port=usb-serial-jtag",
]


@contextlib.contextmanager
def board(
    source: str, folder: Path, protocol: Protocol = Protocol.RFC2217, state: str = "app"
) -> Iterator[str]:
    """Serve a board whose flash is full; yield its URL, and see that only the data changed."""
    file = folder / "flash.bin"
    file.write_bytes(old_content(SIZE))
    url = f"sim://{source}&flash=1MB&state={state}&file={file}"
    config = ServerConfig(ports=(PortConfig(source=url, protocol=protocol),), tcp_port=0)
    with serving(config) as places:
        (place,) = places.wait(1)
        yield place.url
    after = file.read_bytes()
    assert after[OFFSET:].startswith(DATA)
    assert_untouched(old_content(SIZE), after, [(OFFSET, OFFSET + len(DATA))])


def write(url: str, after: After, before: Before = "default-reset") -> None:
    """Write the data, read them back, and leave the device as ``after`` says."""
    with connect(url, stub=False, before=before, open_attempts=100, baudrate=115200) as device:
        device.flash.write([(OFFSET, DATA)])
        assert device.flash.read(OFFSET, len(DATA)) == DATA
        device.reset(after)


@pytest.mark.parametrize("source", BOARDS)
def test_one_job_right_behind_the_other(tmp_path: Path, source: str) -> None:
    with board(source, tmp_path) as url:
        write(url, After.HARD_RESET)
        write(url, After.HARD_RESET)


@pytest.mark.parametrize("source", ["esp32p4?port=usb-otg", "esp32s31?port=usb-otg"])
def test_a_board_whose_lines_do_nothing_is_left_by_its_watchdog(
    tmp_path: Path, source: str
) -> None:
    with board(source, tmp_path, state="download") as url:
        write(url, After.NO_RESET, "no-reset")
        write(url, After.HARD_RESET)


@pytest.mark.parametrize("source", ["esp32s2?port=usb-otg", "esp32c3?port=usb-serial-jtag"])
def test_the_bare_bytes(tmp_path: Path, source: str) -> None:
    with board(source, tmp_path, Protocol.RAW, "download") as url:
        write(url, After.NO_RESET, "no-reset")
        write(url, After.WATCHDOG_RESET, "no-reset")


def test_a_lent_port_vanishes_and_comes_back_to_its_client() -> None:
    config = parse("sim://esp32s3?port=usb-otg")
    with (
        open_served(config, enumeration=0.2) as port,
        Server(port, reopen=port.reopened) as server,
    ):
        url = server.listen_rfc2217()
        server.start()
        with connect(url, stub=False) as device:
            assert device.flash.id().is_plausible
            assert [boot.cause.name for boot in port.device.history.boots] == ["USB"]
