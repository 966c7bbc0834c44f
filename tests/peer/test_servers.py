"""Our client gets on with the servers that other people put in front of their devices.

Each pair does the whole job of ``remote_job``: identify, write, verify, read back, and a
reset where the server has lines to make it with.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from typing import TYPE_CHECKING, TypeAlias

import pytest

from certificates import Authority
from covering import covering_parameters
from esploader import connect
from esploader.errors import HostUnreachableError, SilentDeviceError, WrongBootModeError
from esploader.transport import reset
from esploader.urls import open_transport
from eventually import eventually
from foreign_servers import (
    RESET_BY_PROPERTIES,
    TELNET,
    esp_rfc2217_server,
    nc,
    port_manager_server,
    ser2net,
    serial_device,
    socat,
)
from programs import LOOPBACK, served_chip
from remote_job import do_job
from served import server_process, tcp_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    ServerMaker: TypeAlias = Callable[[str, Path], AbstractContextManager[str]]
    """Puts a server in front of a new chip of that name; yields the URL to use. Files go
    into the folder."""

pytestmark = pytest.mark.peer

SPI_FLASH_BOOT = 0xD

CHIPS = ("esp32", "esp32c3")


@contextlib.contextmanager
def pseudo_terminal(chip: str) -> Iterator[str]:
    """Serve a chip that waits in download mode on a pseudo-terminal; yield its path."""
    with served_chip(chip, "--pty") as urls:
        yield urls["pty"]


@contextlib.contextmanager
def ser2net_rfc2217(chip: str, _folder: Path, *, query: str = "") -> Iterator[str]:
    # It never acknowledges DTR and RTS of a port that has none.
    with pseudo_terminal(chip) as path, ser2net([TELNET], serial_device(path)) as port:
        yield f"rfc2217://{LOOPBACK}:{port}{query}"


@contextlib.contextmanager
def ser2net_tls(chip: str, folder: Path) -> Iterator[str]:
    authority = Authority(folder)
    files = authority.issue("ser2net")
    filters = [TELNET, f"ssl(key={files},cert={files})"]
    with pseudo_terminal(chip) as path, ser2net(filters, serial_device(path)) as port:
        yield f"rfc2217+tls://{LOOPBACK}:{port}?ca={authority.path}"


@contextlib.contextmanager
def ser2net_raw(chip: str, _folder: Path) -> Iterator[str]:
    with pseudo_terminal(chip) as path, ser2net([], serial_device(path)) as port:
        yield f"socket://{LOOPBACK}:{port}"


@contextlib.contextmanager
def ser2net_in_front_of_our_server(chip: str, _folder: Path) -> Iterator[str]:
    """Chain two servers: the one in front is a client of ours, with lines to pass on."""
    with (
        server_process("--tcp-port", "0", f"sim://{chip}") as (_, (url,)),
        ser2net([TELNET], f"telnet(rfc2217),tcp,{LOOPBACK},{tcp_port(url)}") as port,
    ):
        yield f"rfc2217://{LOOPBACK}:{port}"


@contextlib.contextmanager
def socat_raw(chip: str, _folder: Path) -> Iterator[str]:
    with (
        pseudo_terminal(chip) as path,
        socat("TCP-LISTEN", f"FILE:{path},raw,echo=0") as port,
    ):
        yield f"socket://{LOOPBACK}:{port}"


@contextlib.contextmanager
def nc_raw(chip: str, _folder: Path) -> Iterator[str]:
    with pseudo_terminal(chip) as path, nc(path) as port:
        yield f"socket://{LOOPBACK}:{port}"


def pyserials_example(chip: str, _folder: Path) -> AbstractContextManager[str]:
    return port_manager_server(f"sim://{chip}")


def espressifs_server(chip: str, folder: Path) -> AbstractContextManager[str]:
    configuration = folder / "esptool.cfg"
    configuration.write_text(RESET_BY_PROPERTIES)
    return esp_rfc2217_server(f"sim://{chip}", configuration)


WITHOUT_LINES: dict[str, ServerMaker] = {
    "ser2net": ser2net_rfc2217,
    "ser2net?ign_set_control": functools.partial(ser2net_rfc2217, query="?ign_set_control"),
    "ser2net with TLS": ser2net_tls,
    "ser2net raw": ser2net_raw,
    "socat": socat_raw,
    "nc": nc_raw,
}
"""Those in front of a pseudo-terminal, which has no lines."""

WITH_LINES: dict[str, ServerMaker] = {
    "ser2net in front of our server": ser2net_in_front_of_our_server,
    "PortManager of pyserial": pyserials_example,
    "esp_rfc2217_server": espressifs_server,
}


@pytest.mark.parametrize(
    ("server", "chip"),
    covering_parameters(
        [*itertools.product((*WITHOUT_LINES, *WITH_LINES), CHIPS)],
        # Each server, and each chip without lines and with them.
        lambda server, chip: (server, (server in WITH_LINES, chip)),
    ),
)
def test_the_whole_job_through(server: str, chip: str, tmp_path: Path) -> None:
    serve = (WITHOUT_LINES | WITH_LINES)[server]
    with serve(chip, tmp_path) as url:
        # Only a client can find out whether somebody listens already.
        transport = eventually(lambda: open_transport(url), HostUnreachableError)
        do_job(transport, chip, resets=server in WITH_LINES)


def test_the_usual_reset_of_espressifs_server_cannot_work_on_a_port_without_descriptor(
    tmp_path: Path,
) -> None:
    # Asserting DTR is left to that reset, and where it fails the chip stays in reset. What it said
    # when the server opened the port may be heard only then.
    with (
        esp_rfc2217_server("sim://esp32c3", tmp_path / "none.cfg") as url,
        pytest.raises((SilentDeviceError, WrongBootModeError)),
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
