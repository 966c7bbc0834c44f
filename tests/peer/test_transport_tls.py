"""Our client through TLS, and ser2net's SSL."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import pytest

from certificates import Authority
from esploader.errors import HostUnreachableError, TlsError
from esploader.transport.rfc2217 import Rfc2217Transport
from eventually import eventually
from peers import require_program
from programs import free_port, running
from pseudo_terminal import PseudoTerminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("termios", reason="pseudo-terminals are POSIX")

pytestmark = pytest.mark.peer

MESSAGE = bytes(range(256)) * 8

CONFIGURATION = """
connection: &port
  accepter: telnet(rfc2217,mode=server),ssl({options}),tcp,127.0.0.1,{tcp_port}
  connector: serialdev,{device},115200n81,local
  options:
    authdir: {folder}/auth
"""


@contextlib.contextmanager
def ser2net(folder: Path, options: str) -> Iterator[tuple[PseudoTerminal, str]]:
    """Serve a pseudo-terminal; yield it and the beginning of the URL."""
    program = require_program("ser2net")
    tcp_port = free_port()
    configuration = folder / "ser2net.yaml"
    with contextlib.closing(PseudoTerminal()) as terminal:
        configuration.write_text(
            CONFIGURATION.format(
                options=options, tcp_port=tcp_port, device=terminal.path, folder=folder
            )
        )
        with running(program, "-n", "-d", "-c", str(configuration)):
            yield terminal, f"rfc2217+tls://127.0.0.1:{tcp_port}"


def open_when_ready(url: str) -> Rfc2217Transport:
    return eventually(lambda: Rfc2217Transport.open(url), HostUnreachableError)


def check(transport: Rfc2217Transport, terminal: PseudoTerminal) -> None:
    transport.write(MESSAGE)
    assert terminal.read(len(MESSAGE)) == MESSAGE
    terminal.write(MESSAGE)
    received = b""
    deadline = transport.clock.now() + 10
    while len(received) < len(MESSAGE) and transport.clock.now() < deadline:
        received += transport.read(deadline)
    assert received == MESSAGE


def test_ser2net_with_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.issue("server")
    with (
        ser2net(tmp_path, f"key={own},cert={own}") as (terminal, url),
        open_when_ready(f"{url}?ca={authority.path}") as transport,
    ):
        check(transport, terminal)


def test_ser2net_whose_authority_is_a_stranger(tmp_path: Path) -> None:
    own = Authority(tmp_path).issue("server")
    stranger = Authority(tmp_path, "stranger")
    with (
        ser2net(tmp_path, f"key={own},cert={own}") as (_, url),
        pytest.raises(TlsError, match="is not trusted"),
    ):
        open_when_ready(f"{url}?ca={stranger.path}")


def test_ser2net_that_knows_our_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own, ours = authority.issue("server"), authority.issue("client")
    # It looks for who signed a certificate under the name in it, by the hash of the signer's.
    openssl = require_program("openssl")
    hashed = subprocess.run(
        [openssl, "x509", "-hash", "-noout", "-in", str(authority.path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    allowed = tmp_path / "auth" / "client" / "allowed_certs"
    allowed.mkdir(parents=True)
    (allowed / f"{hashed}.0").write_bytes(authority.path.read_bytes())
    with ser2net(tmp_path, f"key={own},cert={own},clientauth") as (terminal, url):
        trusting = f"{url}?ca={authority.path}"
        with open_when_ready(f"{trusting}&cert={ours}") as transport:
            check(transport, terminal)
        # It hangs up without an alert.
        with pytest.raises(TlsError, match="perhaps it wants a certificate"):
            open_when_ready(trusting)
