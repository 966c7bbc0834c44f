"""Our RFC 2217 client and the servers that people have."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from esploader.errors import HostUnreachableError, PortBusyError
from esploader.transport.rfc2217 import Rfc2217Transport
from eventually import eventually
from peers import require_program
from programs import free_port, read_line, running
from pseudo_terminal import PseudoTerminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

termios = pytest.importorskip("termios", reason="pseudo-terminals are POSIX")

pytestmark = pytest.mark.peer

ALL_BYTES = bytes(range(256)) * 8

# A server as pyserial's documentation builds it, around a port that echoes and says what
# is done to its lines.
PORT_MANAGER = """
    import socket, sys, threading
    import serial.rfc2217
    from serial.urlhandler import protocol_loop

    class Port(protocol_loop.Serial):
        def _update_dtr_state(self):
            print("DTR", int(self._dtr_state), flush=True)
            super()._update_dtr_state()
        def _update_rts_state(self):
            print("RTS", int(self._rts_state), flush=True)
            super()._update_rts_state()

    port = Port("loop://", timeout=0.05)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()

    class Writer:
        def write(self, data):
            connection.sendall(data)

    manager = serial.rfc2217.PortManager(port, Writer())

    def forward():
        while port.is_open:
            data = port.read(port.in_waiting or 1)
            if data:
                Writer().write(b"".join(manager.escape(data)))

    thread = threading.Thread(target=forward)
    thread.start()
    while data := connection.recv(1024):
        port.write(b"".join(manager.filter(data)))
    port.cancel_read()
    port.close()
    thread.join()
"""

# It resets by ioctl, which only a real port understands, unless it is told a sequence.
ESPTOOL_CONFIGURATION = """
[esptool]
custom_reset_sequence = D0|R1|W0.1|D1|R0|W0.05|D0
custom_hard_reset_sequence = R1|W0.1|R0
"""

SER2NET_CONFIGURATION = """
connection: &port
  accepter: telnet(rfc2217,mode=server),tcp,127.0.0.1,{tcp_port}
  connector: serialdev,{device},115200n81,local
"""


@pytest.fixture
def terminal() -> Iterator[PseudoTerminal]:
    opened = PseudoTerminal()
    yield opened
    opened.close()


@pytest.fixture
def ser2net(terminal: PseudoTerminal, tmp_path: Path) -> Iterator[str]:
    tcp_port = free_port()
    configuration = tmp_path / "ser2net.yaml"
    configuration.write_text(SER2NET_CONFIGURATION.format(tcp_port=tcp_port, device=terminal.path))
    with running(require_program("ser2net"), "-n", "-d", "-c", str(configuration)):
        yield f"rfc2217://127.0.0.1:{tcp_port}"


def open_when_ready(url: str) -> Rfc2217Transport:
    return eventually(lambda: Rfc2217Transport.open(url), HostUnreachableError)


def read(transport: Rfc2217Transport, size: int) -> bytes:
    data = b""
    deadline = transport.clock.now() + 10
    while len(data) < size and transport.clock.now() < deadline:
        data += transport.read(deadline)
    return data


@pytest.mark.parametrize("options", ["", "?ign_set_control&timeout=3.0"])
def test_ser2net_in_front_of_a_pseudo_terminal(
    ser2net: str, terminal: PseudoTerminal, options: str
) -> None:
    with open_when_ready(ser2net + options) as transport:
        transport.write(ALL_BYTES)
        assert terminal.read(len(ALL_BYTES)) == ALL_BYTES
        terminal.write(ALL_BYTES)
        assert read(transport, len(ALL_BYTES)) == ALL_BYTES

        # Neither of them is ever acknowledged here: a pseudo-terminal has no lines.
        transport.set_lines(dtr=False, rts=True)
        transport.set_lines(dtr=True, rts=False)
        transport.set_baudrate(921600)
        transport.write(b"x")
        assert terminal.read(1) == b"x"
        assert termios.tcgetattr(terminal)[5] == termios.B921600

        transport.discard_input()
        terminal.write(b"fresh")
        assert read(transport, 5) == b"fresh"


def test_ser2net_can_be_opened_again_and_says_when_it_is_busy(ser2net: str) -> None:
    for _ in range(3):
        # It needs a moment to notice that the one before has left.
        first = eventually(lambda: open_when_ready(ser2net), PortBusyError)
        with first, pytest.raises(PortBusyError):
            Rfc2217Transport.open(ser2net)


def test_pyserials_port_manager() -> None:
    program = textwrap.dedent(PORT_MANAGER)
    with running(sys.executable, "-c", program) as process:
        said = []
        while not (line := read_line(process)).strip().isdecimal():
            said.append(line)
        with Rfc2217Transport.open(f"rfc2217://127.0.0.1:{int(line)}") as transport:
            transport.write(ALL_BYTES)
            assert read(transport, len(ALL_BYTES)) == ALL_BYTES
            transport.set_baudrate(460800)
            transport.set_lines(dtr=False, rts=True)
            transport.set_lines(dtr=True, rts=False)
            assert [read_line(process) for _ in range(4)] == [
                "DTR 0\n",
                "RTS 1\n",
                "DTR 1\n",
                "RTS 0\n",
            ]
            assert transport.discard_input() == b""
            transport.write(b"\xff")
            assert read(transport, 1) == b"\xff"


def test_esptools_server(tmp_path: Path) -> None:
    configuration = tmp_path / "esptool.cfg"
    configuration.write_text(ESPTOOL_CONFIGURATION)
    tcp_port = free_port()
    command = (
        require_program("env"),
        f"ESPTOOL_CFGFILE={configuration}",
        require_program("esp_rfc2217_server"),
        "-p",
        str(tcp_port),
        "loop://",
    )
    with (
        running(*command),
        open_when_ready(f"rfc2217://127.0.0.1:{tcp_port}?ign_set_control") as transport,
    ):
        transport.write(ALL_BYTES)
        assert read(transport, len(ALL_BYTES)) == ALL_BYTES
        # It resets by itself and answers none of these.
        transport.set_lines(dtr=False, rts=True)
        transport.set_lines(dtr=True, rts=False)
        transport.set_lines(dtr=False)
        transport.set_baudrate(460800)
        assert transport.discard_input() == b""
        transport.write(b"\xff")
        assert read(transport, 1) == b"\xff"
