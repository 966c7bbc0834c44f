"""Turns and watching go through TLS as everything else does."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from certificates import Authority
from esploader.errors import PortTakenOverError, TransportError
from esploader.server.access import TlsFiles
from esploader.server.config import PortConfig, ServerConfig
from esploader.transport.rfc2217 import Rfc2217Transport
from eventually import eventually
from pseudo_terminal import PseudoTerminal
from served import PATIENCE, connected, serving, tcp_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esploader.server.place import Place

pytest.importorskip("termios", reason="pseudo-terminals are POSIX")

SECRET = "0123456789abcdef"  # noqa: S105 - of nothing


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> tuple[TlsFiles, Path]:
    authority = Authority(tmp_path)
    return TlsFiles(cert=authority.issue("server")), authority.path


@pytest.fixture(name="token")
def _token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(SECRET)
    path.chmod(0o600)
    return path


@pytest.fixture(name="device")
def _device() -> Iterator[PseudoTerminal]:
    device = PseudoTerminal()
    yield device
    device.close()


@pytest.fixture(name="place")
def _place(files: tuple[TlsFiles, Path], token: Path, device: PseudoTerminal) -> Iterator[Place]:
    config = ServerConfig(
        ports=(PortConfig(source=device.path, watch_port=0),),
        tcp_port=0,
        tls=files[0],
        takeover=True,
        token_file=token,
    )
    with serving(config) as places:
        yield places.wait(1)[0]


def test_a_port_is_taken_over_and_its_loser_told_through_tls(
    place: Place, files: tuple[TlsFiles, Path], token: Path, device: PseudoTerminal
) -> None:
    url = f"{place.url}?ca={files[1]}"
    with eventually(lambda: Rfc2217Transport.open(url), TransportError) as holder:
        force = f"{url}&takeover=force&token-file={token}"
        with Rfc2217Transport.open(force) as winner:
            with pytest.raises(PortTakenOverError):
                read_on(holder)
            winner.write(b"mine")
            assert device.read(4) == b"mine"


def read_on(transport: Rfc2217Transport) -> None:
    """Read until the port is gone."""
    deadline = transport.clock.now() + PATIENCE
    while transport.clock.now() < deadline:
        transport.read(deadline)


def test_who_watches_needs_tls_too(
    place: Place, files: tuple[TlsFiles, Path], device: PseudoTerminal
) -> None:
    assert place.watch_url is not None
    assert place.watch_url.startswith("socket+tls://")
    context = ssl.create_default_context(cafile=files[1])
    number = tcp_port(place.watch_url)
    with connected(number) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as one:
        device.write(b"hello")
        assert one.recv(5) == b"hello"
    with connected(number) as plain:
        plain.sendall(b"no TLS")
        assert b"hello" not in plain.recv(1000)
