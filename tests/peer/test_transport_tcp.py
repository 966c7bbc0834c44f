"""Our bare TCP client and socat in front of a pseudo-terminal."""

from __future__ import annotations

import pytest

from esploader.errors import HostUnreachableError, TransportClosedError
from esploader.transport.tcp import SocketTransport
from eventually import eventually
from peers import require_program
from programs import free_port, running
from pseudo_terminal import PseudoTerminal

pytest.importorskip("termios", reason="pseudo-terminals are POSIX")

pytestmark = pytest.mark.peer

ALL_BYTES = bytes(range(256)) * 8


def test_socat_in_front_of_a_pseudo_terminal() -> None:
    terminal = PseudoTerminal()
    tcp_port = free_port()
    command = (
        require_program("socat"),
        f"TCP-LISTEN:{tcp_port},bind=127.0.0.1,nodelay",
        f"{terminal.path},raw,echo=0",
    )
    try:
        with running(*command) as process:
            transport = eventually(
                lambda: SocketTransport.open(f"socket://127.0.0.1:{tcp_port}"),
                HostUnreachableError,
            )
            with transport:
                transport.write(ALL_BYTES)
                assert terminal.read(len(ALL_BYTES)) == ALL_BYTES
                terminal.write(ALL_BYTES)
                received = b""
                while len(received) < len(ALL_BYTES):
                    received += transport.read(transport.clock.now() + 10)
                assert received == ALL_BYTES

                process.terminate()
                with pytest.raises(TransportClosedError):
                    transport.read(transport.clock.now() + 10)
    finally:
        terminal.close()
