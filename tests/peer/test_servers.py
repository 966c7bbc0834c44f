"""Our clients get on with the servers that other people put in front of their devices."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from esploader import connect, open_transport
from esploader.chips.model import MIB
from esploader.errors import HostUnreachableError, SilentDeviceError, WrongBootModeError
from esploader.transport import reset
from eventually import eventually
from peers import require_program
from programs import LOOPBACK, PATIENCE, free_port, read_line, running, served_chip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader import Device
    from esploader.transport.base import Transport

pytestmark = pytest.mark.peer

SPI_FLASH_BOOT = 0xD

FAST = 921600

PORT_MANAGER_SERVER = Path(__file__).with_name("port_manager_server.py")

ESP_RFC2217_SERVER = (
    "import runpy, esploader; esploader.register_pyserial();"
    "runpy.run_module('esp_rfc2217_server', run_name='__main__', alter_sys=True)"
)

# Without it that server resets by ioctl, which a port without a descriptor has not.
RESET_BY_PROPERTIES = """
[esptool]
custom_reset_sequence = D0|R1|W0.1|D1|R0|W0.05|D0
"""


def connect_to(url: str) -> Device:
    """Connect once somebody listens (only a client can find that out) and raise the rate.

    Both ends have to do that, or nothing will be understood any more.
    """
    return eventually(lambda: connect(url, baudrate=FAST), HostUnreachableError)


def assert_is_the_served_chip(device: Device) -> None:
    assert device.chip.name == "ESP32-C3"
    assert device.mac == "24:0a:c4:00:00:01"
    assert device.flash_id().size == 4 * MIB


def boot_log(transport: Transport) -> bytes:
    """Return what the device says next, up to the boot mode."""
    deadline = transport.clock.now() + PATIENCE
    text = b""
    while b"BOOT)" not in text and transport.clock.now() < deadline:
        text += transport.read(deadline)
    return text


def test_a_server_on_pyserials_port_manager() -> None:
    with running(sys.executable, str(PORT_MANAGER_SERVER), "sim://esp32c3") as server:
        port = int(read_line(server))
        transport = open_transport(f"rfc2217://{LOOPBACK}:{port}")
        with connect(transport, baudrate=FAST) as device:
            assert_is_the_served_chip(device)
            transport.set_baudrate(115200)  # at which the ROM starts
            device.reset()
            assert b"boot:0xd (SPI_FAST_FLASH_BOOT)" in boot_log(transport)


@contextlib.contextmanager
def ser2net(device: str) -> Iterator[int]:
    """Serve a serial device over RFC 2217; yield the TCP port."""
    port = free_port()
    configuration = (
        "connection: &chip\n"
        f"  accepter: telnet(rfc2217,mode=server),tcp,{LOOPBACK},{port}\n"
        f"  connector: serialdev(nouucplock=true),{device},115200n81,local\n"
    )
    with running(require_program("ser2net"), "-n", "-Y", configuration):
        yield port


@pytest.mark.parametrize("query", ["", "?ign_set_control"])
def test_ser2net_on_a_pseudo_terminal(query: str) -> None:
    # It never acknowledges DTR and RTS of a port that has none.
    with (
        served_chip("esp32c3", "--pty") as urls,
        ser2net(urls["pty"]) as port,
        connect_to(f"rfc2217://{LOOPBACK}:{port}{query}") as device,
    ):
        assert_is_the_served_chip(device)


@contextlib.contextmanager
def socat(device: str) -> Iterator[int]:
    """Serve a serial device on a raw TCP port; yield that port."""
    command = (
        require_program("socat"),
        "-dd",  # or it does not tell which port it got
        f"TCP-LISTEN:0,bind={LOOPBACK}",
        f"FILE:{device},raw,echo=0",
    )
    with running(*command, stderr=subprocess.STDOUT) as process:
        listening = None
        while listening is None:
            line = read_line(process)
            assert line, "socat ended"
            listening = re.search(r"listening on .*:(\d+)$", line)
        yield int(listening[1])


def test_socat_to_a_pseudo_terminal() -> None:
    with (
        served_chip("esp32c3", "--pty") as urls,
        socat(urls["pty"]) as port,
        connect(f"socket://{LOOPBACK}:{port}") as device,
    ):
        assert_is_the_served_chip(device)


@contextlib.contextmanager
def esp_rfc2217_server(serial_port: str, configuration: Path) -> Iterator[str]:
    """Serve a port of pyserial, ``sim://`` included, by Espressif's own server."""
    port = free_port()
    command = (
        "env",
        f"ESPTOOL_CFGFILE={configuration}",
        sys.executable,
        "-c",
        ESP_RFC2217_SERVER,
        "-p",
        str(port),
        serial_port,
    )
    with running(*command):
        yield f"rfc2217://{LOOPBACK}:{port}"


def test_espressifs_server(tmp_path: Path) -> None:
    configuration = tmp_path / "esptool.cfg"
    configuration.write_text(RESET_BY_PROPERTIES)
    with (
        esp_rfc2217_server("sim://esp32c3", configuration) as url,
        connect_to(url) as device,
    ):
        assert_is_the_served_chip(device)


def test_the_usual_reset_of_espressifs_server_cannot_work_on_a_port_without_descriptor(
    tmp_path: Path,
) -> None:
    # Asserting DTR is left to that reset, and where it fails the chip stays in reset.
    with (
        esp_rfc2217_server("sim://esp32c3", tmp_path / "none.cfg") as url,
        pytest.raises(SilentDeviceError),
    ):
        eventually(lambda: connect(url, attempts=1), HostUnreachableError)


def test_espressifs_server_starts_the_application_and_we_say_so(tmp_path: Path) -> None:
    # Whatever the chip did before: that server resets it when a client comes.
    with (
        esp_rfc2217_server("sim://esp32c3?state=download", tmp_path / "none.cfg") as url,
        pytest.raises(WrongBootModeError) as caught,
    ):
        eventually(
            lambda: connect(url, attempts=1, reset_sequence=reset.HARD_RESET), HostUnreachableError
        )
    assert caught.value.boot_mode == SPI_FLASH_BOOT
