"""A chip's own USB port behind our server: whole jobs, in virtual time.

A reset takes the port away from the server, which keeps its client. What the client is not told it
finds out, or does without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from typing_extensions import override

from covering import covering_parameters
from described_chips import DESCRIBED
from esploader.chips.model.chip import Chip
from esploader.connector import connect
from esploader.errors import SilentDeviceError
from esploader.flash.progress import Phase, Progress, ProgressEvent
from esploader.loader.resetting import After
from esploader.server.peers import ComPortPeer
from esploader.simulator.config import InitialState, PortKind
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.line.transport import SimulatedTransport
from esploader.transport.rfc2217 import Rfc2217Transport
from firmware import firmware
from stub_files import stub_directory
from untouched import comparing, fill
from virtual_link import Link, VirtualPipe, VirtualServer, make_server
from wrapping_pipe import WrappingPipe

if TYPE_CHECKING:
    from pathlib import Path

OFFSET = 0x1_0000
SECTOR = 0x1000
DATA = firmware(5, 2 * SECTOR)
END = OFFSET + len(DATA)

SEAM, SEAM_SIZE = SECTOR - 0x100, 0x200
"""Where the sector that is erased ends, in the data. The ROM loader reads 64 bytes at a time."""

JTAG, OTG = PortKind.USB_SERIAL_JTAG, PortKind.USB_OTG

BY_LINES = ("ESP32-S2", "ESP32-S3")
"""Chips that the lines of USB-OTG reset."""

PORTS = [(chip, JTAG) for chip in DESCRIBED if chip.has_usb_serial_jtag] + [
    (chip, OTG) for chip in DESCRIBED if chip.usb_otg_pid is not None
]
RESET_BY_LINES = [(chip, kind) for chip, kind in PORTS if kind is JTAG or chip.name in BY_LINES]

LOADERS = (False, True)
"""Whether it is a stub."""

every_port = pytest.mark.parametrize(
    ("chip", "kind"), PORTS, ids=[f"{chip.key}-{kind.value}" for chip, kind in PORTS]
)
every_port_with_lines = pytest.mark.parametrize(
    ("chip", "kind"),
    RESET_BY_LINES,
    ids=[f"{chip.key}-{kind.value}" for chip, kind in RESET_BY_LINES],
)


def named(value: object) -> str:
    """Return what a part of a case is called."""
    if isinstance(value, bool):
        return "stub" if value else "ROM"
    if isinstance(value, Chip):
        return value.key
    return value.value if isinstance(value, PortKind | InitialState) else str(value)


def aspects(
    chip: Chip, kind: PortKind, *circumstances: object
) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """Return what is worth a whole job: each port, and all that can be the case at each kind."""
    return (chip.key, kind), (kind, *circumstances)


every_port_with_lines_and_loader = pytest.mark.parametrize(
    ("chip", "kind", "stub"),
    covering_parameters([(*port, stub) for port in RESET_BY_LINES for stub in LOADERS], aspects),
    ids=named,
)


@attrs.define
class NoWords(WrappingPipe[VirtualPipe]):
    """A pipe to a server that promises neither gates nor tells which port it has."""

    @override
    def receive(self, deadline: float) -> bytes:
        return (
            self.inner.receive(deadline)
            .replace(b"slip-gate=1;", b"no-gate=1;")
            .replace(b"usb=", b"bus=")
        )


def simulated(server: VirtualServer) -> SimulatedDevice:
    """Return the device behind a server."""
    assert isinstance(server.port, SimulatedTransport)
    assert isinstance(server.port.device, SimulatedDevice)
    return server.port.device


def boots(server: VirtualServer) -> list[tuple[str, bool]]:
    """Return why the device has booted each time, and whether into download mode."""
    server.clock.sleep(2.0)
    return [(boot.cause.name, boot.download) for boot in simulated(server).history.boots]


def do_job(server: VirtualServer, transport: Rfc2217Transport, *, stub: bool | Path) -> None:
    """Do all that changes the flash, look at what is around, and leave the application running."""
    with connect(transport, stub=stub, baudrate=460800) as device:
        assert device.flash.id().is_plausible
        fill(simulated(server))
        with comparing(simulated(server), (OFFSET, END)):
            device.flash.write([(OFFSET, DATA)])
        assert bytes(simulated(server).nor.read(OFFSET, len(DATA))) == DATA
        start, size = (0, len(DATA)) if stub else (SEAM, SEAM_SIZE)
        assert device.flash.read(OFFSET + start, size) == DATA[start : start + size]
        assert not device.flash.verify([(OFFSET, DATA)])
        with comparing(simulated(server), (OFFSET, OFFSET + SECTOR)):
            device.flash.erase_region(OFFSET, SECTOR)
        left = b"\xff" * SECTOR + DATA[SECTOR:]
        assert bytes(simulated(server).nor.read(OFFSET, len(DATA))) == left
        assert device.flash.read(OFFSET + start, size) == left[start : start + size]
        device.reset()


@pytest.mark.parametrize(
    ("chip", "kind", "stub", "state"),
    covering_parameters(
        [
            (*port, stub, state)
            for port in RESET_BY_LINES
            for stub in LOADERS
            for state in InitialState
        ],
        aspects,
    ),
    ids=named,
)
def test_a_job_and_another_behind_it(
    tmp_path: Path,
    chip: Chip,
    kind: PortKind,
    stub: bool,  # noqa: FBT001 - a parameter of the test
    state: InitialState,
) -> None:
    server = make_server(chip, state=state, port=kind)
    source = stub_directory(tmp_path) if stub else False
    for _ in range(2):
        transport = server.open(Link(round_trip=0.05))
        assert transport.capabilities.gated
        assert transport.capabilities.usb_vid == 0x303A
        do_job(server, transport, stub=source)
        server.clock.sleep(1.0)
    assert [is_download for _, is_download in boots(server)][-1] is False or (
        # Its lines come back to what its strap says, and its watchdog would hang the port.
        not chip.watchdog_resets and state is InitialState.DOWNLOAD
    )


@every_port_with_lines_and_loader
def test_a_job_behind_one_that_was_broken_off(
    tmp_path: Path,
    chip: Chip,
    kind: PortKind,
    stub: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    def interrupt(event: ProgressEvent) -> None:
        if isinstance(event, Progress) and event.phase is Phase.WRITE and event.done:
            raise KeyboardInterrupt

    server = make_server(chip, port=kind)
    source = stub_directory(tmp_path) if stub else False
    with connect(server.open(Link(round_trip=0.05)), stub=source) as device:
        fill(simulated(server))
        with comparing(simulated(server), (OFFSET, END)), pytest.raises(KeyboardInterrupt):
            device.flash.write([(OFFSET, DATA)], on_progress=interrupt)
    server.clock.sleep(1.0)
    do_job(server, server.open(), stub=source)


@every_port_with_lines
def test_it_takes_one_reset_to_get_there(chip: Chip, kind: PortKind) -> None:
    server = make_server(chip, port=kind)
    with connect(server.open(Link(round_trip=0.1)), stub=False):
        assert boots(server) == [("USB", True)]


@every_port
def test_a_loader_that_waits_already_is_not_reset(chip: Chip, kind: PortKind) -> None:
    server = make_server(chip, port=kind, state=InitialState.DOWNLOAD)
    with connect(server.open(), before="no-reset", stub=False) as device:
        fill(simulated(server))
        with comparing(simulated(server), (OFFSET, END)):
            device.flash.write([(OFFSET, DATA)])
        assert boots(server) == []
        if chip.watchdog_resets:
            device.reset(After.WATCHDOG_RESET)
            assert boots(server) == [("RTC_WATCHDOG", False)]


@pytest.mark.parametrize(
    "chip", [each for each, kind in PORTS if (each, kind) not in RESET_BY_LINES]
)
def test_an_application_behind_lines_that_do_nothing_needs_its_button(chip: Chip) -> None:
    server = make_server(chip, port=OTG)
    with pytest.raises(SilentDeviceError):
        connect(server.open(), stub=False)
    simulated(server).press_boot()
    simulated(server).press_reset()
    server.clock.sleep(2.0)
    simulated(server).release_boot()
    with connect(server.open_again(), stub=False) as device:
        assert device.flash.id().is_plausible


@every_port_with_lines_and_loader
def test_a_server_that_tells_nothing(
    tmp_path: Path,
    chip: Chip,
    kind: PortKind,
    stub: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    server = make_server(chip, port=kind)
    source = stub_directory(tmp_path) if stub else False
    transport = Rfc2217Transport.over(NoWords(server.connect(Link(round_trip=0.02))))
    assert not transport.capabilities.gated
    assert transport.capabilities.usb_vid is None
    do_job(server, transport, stub=source)


def test_what_the_port_is_after_the_reset_counts() -> None:
    server = make_server(next(chip for chip in DESCRIBED if chip.key == "esp32s3"), port=OTG)
    peer = ComPortPeer("virtual", "sim://", (0x303A, 0x4001))
    transport = Rfc2217Transport.over(server.connect(make_peer=lambda: peer))
    assert transport.capabilities.usb_pid == 0x4001
    # As the server does when it has found the port again.
    peer.usb_ids = (0x303A, 0x0009)
    with connect(transport, stub=False):
        assert transport.capabilities.usb_pid == 0x0009
