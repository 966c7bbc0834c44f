"""Who cannot have a port is told why: our client by other servers, other clients by ours."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from esploader.errors import (
    HostUnreachableError,
    NegotiationError,
    PortBusyError,
    PortNotFoundError,
    TransportError,
)
from esploader.transport.tcp import SocketTransport
from esploader.urls import open_transport
from eventually import eventually
from foreign_servers import TELNET, port_manager_server, ser2net, serial_device
from programs import LOOPBACK, PATIENCE, environment, esptool, run
from pseudo_terminal import PseudoTerminal
from served import connected, read_to_the_end, server_process, tcp_port

if TYPE_CHECKING:
    from collections.abc import Iterator


pytest.importorskip("termios", reason="pseudo-terminals are POSIX")

pytestmark = pytest.mark.peer

FILTERS = {"rfc2217": [TELNET], "socket": []}
"""What ser2net speaks on its TCP port, by the scheme of the URL."""

IN_USE = "the port is in use by 127.0.0.1:"

INTRODUCTION = b"\xff\xfb\x2c"
"""With it our server gives its port away: WILL COM-PORT."""


def open_and_read(url: str) -> None:
    """Open a port, and read if a bare one opens; raises why it cannot be had."""
    with eventually(lambda: open_transport(url), HostUnreachableError) as transport:
        read_to_the_end(transport)


@pytest.mark.parametrize("scheme", FILTERS)
@pytest.mark.parametrize("device", ["/dev/no-such-port", "/dev/in use"])
def test_ser2net_that_cannot_open_its_device(device: str, scheme: str) -> None:
    with (
        ser2net(FILTERS[scheme], serial_device(device)) as port,
        pytest.raises(PortNotFoundError, match=r"Device open failure: Value or file not found'$"),
    ):
        open_and_read(f"{scheme}://{LOOPBACK}:{port}")


@pytest.mark.parametrize("scheme", FILTERS)
def test_ser2net_that_serves_another_client(scheme: str) -> None:
    with (
        contextlib.closing(PseudoTerminal()) as terminal,
        ser2net(FILTERS[scheme], serial_device(terminal.path)) as port,
    ):
        url = f"{scheme}://{LOOPBACK}:{port}"
        with eventually(lambda: open_transport(url), TransportError) as first:
            # Connecting alone does not mean being served.
            first.write(b"x")
            assert terminal.read(1) == b"x"
            with pytest.raises(PortBusyError, match=r"the server says 'Port already in use'$"):
                # Its words can be lost: it resets a connection of which it has not read all.
                eventually(lambda: open_and_read(url), NegotiationError)


def test_a_server_on_pyserial_that_serves_another_client_says_nothing() -> None:
    with (
        port_manager_server("sim://esp32c3") as url,
        open_transport(url),
        pytest.raises(NegotiationError, match=r"says nothing: .* or serves another client$"),
    ):
        open_transport(f"{url}?timeout=0.5")


@contextlib.contextmanager
def taken_port(scheme: str) -> Iterator[str]:
    """Serve a port that somebody has by our server; yield its URL."""
    options = ("--raw",) if scheme == "socket" else ()
    with server_process(
        *options, "--tcp-port", "0", "sim://esp32c3", stderr=subprocess.DEVNULL
    ) as (_, (url,)):
        assert url.startswith(f"{scheme}://")
        with contextlib.ExitStack() as holders:

            def take() -> None:
                holders.enter_context(connected(tcp_port(url))).sendall(INTRODUCTION)
                with SocketTransport.open(f"socket://{LOOPBACK}:{tcp_port(url)}") as second:
                    said = second.read(second.clock.now() + 0.5)
                    if not said.startswith(IN_USE.encode()):
                        raise HostUnreachableError(url, "not taken yet")

            eventually(take, HostUnreachableError)
            yield url


def miniterm(url: str) -> str:
    """Return what pyserial's terminal program shows of a port until it ends."""
    terminal, keyboard = os.openpty()
    try:
        done = subprocess.run(
            (sys.executable, "-W", "ignore", "-m", "serial.tools.miniterm", url, "115200"),
            check=False,
            stdin=keyboard,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
            timeout=PATIENCE,
        )
    finally:
        os.close(keyboard)
        os.close(terminal)
    return done.stdout


@pytest.mark.parametrize("scheme", FILTERS)
def test_miniterm_shows_who_has_the_port(scheme: str) -> None:
    with taken_port(scheme) as url:
        shown = miniterm(url)
    assert shown.count(IN_USE) == 1, shown
    assert "--- Miniterm on" in shown.partition(IN_USE)[0]


def test_esptool_says_that_the_port_is_busy_or_does_not_exist() -> None:
    # It has no place for words of a server: docs/remote-serial-ports.md.
    with taken_port("rfc2217") as served:
        # As long it waits for an agreement that does not come.
        url = f"{served}?timeout=1"
        done = run(*esptool("--port", url, "flash-id"))
    assert done.exit_code == 2
    shown = done.stdout + done.stderr
    assert f"Could not open {url}, the port is busy or doesn't exist." in shown
    assert "does not seem to support RFC2217" not in shown


def test_esptool_shows_of_a_bare_port_only_that_it_was_closed() -> None:
    with taken_port("socket") as url:
        done = run(*esptool("--port", url, "flash-id"))
    assert done.exit_code != 0
    shown = done.stdout + done.stderr
    assert "socket disconnected" in shown
    assert IN_USE not in shown
