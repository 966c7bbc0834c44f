"""A chip's own USB port behind a server: it vanishes, and its client stays."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from esploader.connector import connect
from esploader.errors import PortNotFoundError
from esploader.loader.resetting import After
from esploader.server.config import PortConfig, Protocol, ServerConfig
from esploader.server.serve import Server
from esploader.simulator.url import open_served, parse
from esploader.transport.turns import Ask
from firmware import firmware
from relays import VirtualTransport
from served import serving
from stations import FakeEnd, make_station
from untouched import assert_untouched, old_content
from virtual_loop import run_virtually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esploader.loader.download_mode import Before

SIZE = 1024 * 1024
OFFSET = 0x1_0000
DATA = firmware(6, 16 * 1024)
LITTLE = DATA[:0x300]
"""A block so small that a ROM takes it at its USB-OTG port. Behind a raw port nobody knows that it
is one: larger blocks get no answer, twice, before smaller ones are tried."""

BOARDS = [
    "esp32s2?port=usb-otg",
    "esp32s3?port=usb-otg",
    # This chip by its other port and this kind of port by other chips are shown anyway.
    pytest.param("esp32s3?port=usb-serial-jtag", marks=pytest.mark.slow),
    "esp32c3?port=usb-serial-jtag",
    "esp32p4?port=usb-serial-jtag",
    "esp32c6?port=usb-serial-jtag",
]


@contextlib.contextmanager
def board(
    source: str,
    folder: Path,
    protocol: Protocol = Protocol.RFC2217,
    state: str = "app",
    data: bytes = DATA,
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
    assert after[OFFSET:].startswith(data)
    assert_untouched(old_content(SIZE), after, [(OFFSET, OFFSET + len(data))])


def write(url: str, after: After, before: Before = "default-reset", data: bytes = DATA) -> None:
    """Write the data, read them back, and leave the device as ``after`` says."""
    with connect(url, stub=False, before=before, open_attempts=100, baudrate=115200) as device:
        device.flash.write([(OFFSET, data)])
        assert device.flash.read(OFFSET, len(data)) == data
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


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("esp32s2?port=usb-otg", LITTLE),
        pytest.param("esp32s2?port=usb-otg", DATA, marks=pytest.mark.slow),
        ("esp32c3?port=usb-serial-jtag", DATA),
    ],
    ids=["usb-otg", "usb-otg, large blocks", "usb-serial-jtag"],
)
def test_the_bare_bytes(tmp_path: Path, source: str, data: bytes) -> None:
    with board(source, tmp_path, Protocol.RAW, "download", data) as url:
        write(url, After.NO_RESET, "no-reset", data)
        write(url, After.WATCHDOG_RESET, "no-reset", data)


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


def test_who_waits_in_line_has_a_vanished_port_before_who_comes_then() -> None:
    port = VirtualTransport(usb_ids=(0x303A, 0x0009))
    back = VirtualTransport(usb_ids=(0x303A, 0x1001))
    plugged = [port]

    def open_port() -> VirtualTransport:
        if not plugged:
            raise PortNotFoundError("/dev/ttyACM0", "no such device")
        return plugged.pop()

    async def play() -> None:
        station = make_station()
        station.find(open_port)
        await station.looked.wait()
        holder, waiter = FakeEnd("10.0.0.7:1"), FakeEnd("10.0.0.7:2")
        station.attach(holder)
        assert station.ask(waiter, Ask(wait=60.0), b"") is None
        port.close()
        station.wake()
        station.let_go(holder, "it closed the connection")
        reason = station.why_not()
        assert reason is not None
        assert reason.startswith("the port is in use by 10.0.0.7:2")
        plugged.append(back)
        await asyncio.sleep(1.0)
        station.take_in(b"hello")
        assert back.written == b"hello"
        assert waiter.peer.usb_ids == (0x303A, 0x1001)
        await station.close()

    run_virtually(port.virtual_clock, play())
