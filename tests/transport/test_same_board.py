"""A port that goes away and comes back is opened again only if it is the same board."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs
import pytest

from esploader import connect
from esploader.cli import main
from esploader.errors import PortNotFoundError
from esploader.server.serve import Server
from esploader.simulator import RealTimeTransport, SimulatedDevice
from esploader.transport.ports import PortInfo
from esploader.transport.serial_port import SerialPortTransport
from esploader.transport.vendors import ESPRESSIF_VID
from esploader.urls import reopen_transport
from fake_transport import WatchedTransport
from made_up_ports import MadeUpPorts
from pseudo_terminal import PseudoTerminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.transport.base import Transport

FIRST = PortInfo(
    device="/dev/ttyACM0",
    vid=ESPRESSIF_VID,
    pid=0x1001,
    serial_number="AA:01",
    location="1-2:1.0",
)
SECOND = attrs.evolve(FIRST, device="/dev/ttyACM1", serial_number="AA:02", location="1-3:1.0")
CLONE = attrs.evolve(FIRST, device="/dev/ttyACM2", location="1-4:1.0")
BARE = attrs.evolve(FIRST, serial_number=None)
BARE_TWIN = attrs.evolve(SECOND, serial_number=None)


def renamed(port: PortInfo, device: str) -> PortInfo:
    return attrs.evolve(port, device=device)


def reopened(first: PortInfo | None, *ports: PortInfo, name: str = FIRST.device) -> str:
    """Return which device is opened again."""
    opened: list[str] = []

    def open_port(device: str) -> Transport:
        opened.append(device)
        return WatchedTransport()

    reopen_transport(name, first, ports=lambda: list(ports), open_port=open_port).close()
    (device,) = opened
    return device


@pytest.mark.parametrize(
    ("first", "ports", "expected"),
    [
        (FIRST, (SECOND, FIRST), FIRST.device),
        (FIRST, (renamed(SECOND, FIRST.device), renamed(FIRST, "/dev/ttyACM1")), "/dev/ttyACM1"),
        (FIRST, (attrs.evolve(FIRST, location="2-1:1.0"),), FIRST.device),
        (FIRST, (renamed(CLONE, FIRST.device), renamed(FIRST, CLONE.device)), CLONE.device),
        (BARE, (renamed(BARE_TWIN, BARE.device), renamed(BARE, "/dev/ttyACM1")), "/dev/ttyACM1"),
        (FIRST, (attrs.evolve(FIRST, pid=0x4001, serial_number="1"),), FIRST.device),
        # Nobody knows of it: opening it says what is wrong.
        (FIRST, (), FIRST.device),
        (None, (SECOND,), FIRST.device),
    ],
    ids=["same", "names swapped", "moved", "clones", "no numbers", "other mode", "gone", "unknown"],
)
def test_the_same_board_is_opened_whatever_it_is_called(
    first: PortInfo | None, ports: tuple[PortInfo, ...], expected: str
) -> None:
    assert reopened(first, *ports) == expected


@pytest.mark.parametrize(
    ("first", "now"),
    [
        (FIRST, renamed(SECOND, FIRST.device)),
        (FIRST, attrs.evolve(FIRST, serial_number="AA:02")),
        (FIRST, attrs.evolve(FIRST, serial_number=None)),
        (BARE, renamed(BARE_TWIN, BARE.device)),
        (FIRST, attrs.evolve(FIRST, vid=0x10C4)),
        (FIRST, attrs.evolve(FIRST, pid=0x4001, location="1-3:1.0")),
        (FIRST, attrs.evolve(FIRST, location="1-2:1.2")),
    ],
    ids=["both", "number", "no number", "place", "maker", "mode elsewhere", "its other port"],
)
def test_another_board_under_the_same_name_is_never_opened(first: PortInfo, now: PortInfo) -> None:
    with pytest.raises(PortNotFoundError, match="another board has its name") as caught:
        reopened(first, now)
    assert str(now.location) in caught.value.reason


def test_boards_that_nothing_tells_apart_are_not_guessed_at() -> None:
    twins = [renamed(FIRST, f"/dev/ttyACM{number}") for number in (7, 8)]
    with pytest.raises(PortNotFoundError, match="cannot be told"):
        reopened(FIRST, *twins)


def test_a_link_to_a_board_and_a_search_for_it_lead_to_it_again() -> None:
    link = "/dev/serial/by-id/usb-AA01"
    assert reopened(FIRST, SECOND, FIRST, name=link) == link
    assert reopened(FIRST, SECOND, FIRST, name="hwgrep://303A:1001") == FIRST.device


@pytest.fixture(name="terminals")
def _terminals() -> Iterator[tuple[PseudoTerminal, PseudoTerminal]]:
    terminals = PseudoTerminal(), PseudoTerminal()
    yield terminals
    for terminal in terminals:
        terminal.close()


def test_a_search_that_fits_two_ports_names_both(
    terminals: tuple[PseudoTerminal, PseudoTerminal],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    MadeUpPorts(
        monkeypatch, *(renamed(p, t.path) for p, t in zip((FIRST, SECOND), terminals, strict=True))
    )
    with SerialPortTransport.open("hwgrep://303A:1001") as transport:
        assert transport.usb_port is not None
        opened = transport.usb_port.device
    (message,) = caplog.messages
    assert re.fullmatch(
        r"hwgrep://303A:1001 fits 2 ports: /dev/\S+ \(serial AA:0\d, location 1-\d:1\.0\), "
        rf"/dev/\S+ \(serial AA:0\d, location 1-\d:1\.0\); {opened} is opened",
        message,
    )
    assert all(terminal.path in message for terminal in terminals)
    caplog.clear()
    for url in ("hwgrep://AA:02", "hwgrep://303A:1001&n=2"):
        SerialPortTransport.open(url).close()
    assert caplog.messages == []


def test_a_device_that_was_connected_to_is_not_looked_for_at_another_board(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    simulated = SimulatedDevice("esp32c3", state="download")
    with RealTimeTransport(simulated) as port, Server(port) as server:
        path = server.open_pty()
        server.start()
        ports = MadeUpPorts(monkeypatch, renamed(FIRST, path))
        with connect(path, before="no-reset", stub=False) as device:
            reopen = device.link.reopen
            assert reopen is not None
            device.session.transport.close()
            ports.ports = [renamed(SECOND, path)]
            with pytest.raises(PortNotFoundError, match="another board has its name"):
                reopen()
            ports.ports = [renamed(FIRST, path)]
            reopen().close()


def test_without_a_port_two_boards_are_named_and_none_is_chosen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    MadeUpPorts(monkeypatch, FIRST, SECOND)
    assert main(["--exit-codes", "detailed", "flash_id"]) == 5
    said = capsys.readouterr().err
    assert FIRST.device in said
    assert SECOND.device in said
