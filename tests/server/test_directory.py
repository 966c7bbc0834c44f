"""Ports by their names: what a server tells of them, to whom, and what a client makes of it."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

import attrs
import pytest

from certificates import Authority
from esploader.cli import main
from esploader.connector import connect
from esploader.errors import (
    EsploaderError,
    HostUnreachableError,
    NegotiationError,
    PortNotFoundError,
    PortPermissionError,
    TlsError,
    TransportError,
    UrlError,
)
from esploader.server.access import AllowList, Limits, TlsFiles
from esploader.server.config import PortConfig, Protocol, ServerConfig
from esploader.server.directory import MAX_REQUEST_SIZE
from esploader.transport.directory import (
    MAX_ANSWER_SIZE,
    list_remote_ports,
    parse_directory,
)
from esploader.transport.network_url import DIRECTORY_PORT
from esploader.transport.rfc2217 import Rfc2217Transport
from esploader.transport.rfc2217_url import parse_rfc2217_url
from esploader.urls import reopen_transport
from eventually import eventually
from reloads import Reloadable, reloadable
from served import connected, receive_all
from tcp_host import receive, tcp_host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ODD = "bench 1/ä?#%"
FIRST = PortConfig(source="sim://esp32c3", name=ODD)
RAW = PortConfig(source="sim://esp32", name="raw", protocol=Protocol.RAW, watch_port=0)
MISSING = PortConfig(source="/dev/none", name="missing")
CONFIG = ServerConfig(ports=(FIRST, RAW, MISSING), tcp_port=0, directory_port=0)


@pytest.fixture
def server() -> Iterator[Reloadable]:
    with reloadable(CONFIG) as made:
        yield made


def directory_of(server: Reloadable) -> str:
    return f"127.0.0.1:{server.server.directory_port}"


def url_of(server: Reloadable, name: str) -> str:
    number = server.server.directory_port
    return f"rfc2217://127.0.0.1/{quote(name, safe='')}?directory-port={number}"


def test_a_port_is_found_by_its_name_whatever_that_is(server: Reloadable) -> None:
    with eventually(lambda: connect(url_of(server, ODD), stub=False), TransportError) as device:
        assert device.chip.name == "ESP32-C3"
        assert device.port == url_of(server, ODD)


def test_a_name_is_looked_up_again_each_time(server: Reloadable) -> None:
    url = url_of(server, ODD)
    first = eventually(lambda: Rfc2217Transport.open(url), TransportError)
    first.close()
    before = server.place(ODD).tcp_port
    moved = attrs.evolve(FIRST, tcp_port=free_number())
    server.reload(attrs.evolve(CONFIG, ports=(moved, RAW)))
    assert server.place(ODD).tcp_port != before
    # As a link does whose transport was lost.
    eventually(lambda: reopen_transport(url, None), TransportError).close()
    with eventually(lambda: connect(url, stub=False), TransportError) as device:
        assert device.chip.name == "ESP32-C3"


def free_number() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number: int = listener.getsockname()[1]
        return number


def test_all_ports_are_listed_with_who_has_them(server: Reloadable) -> None:
    with eventually(lambda: connect(url_of(server, ODD), stub=False), TransportError):
        first, raw, missing = list_remote_ports(parse_directory(directory_of(server)))
    assert (first.name, first.url) == (ODD, url_of(server, ODD))
    assert first.tcp_port == server.place(ODD).tcp_port
    assert first.device == "sim://esp32c3"
    assert first.holder is not None
    assert first.holder.startswith("127.0.0.1:")
    assert (raw.url, raw.watch_url) == (server.place("raw").url, server.place("raw").watch_url)
    assert raw.holder is None
    assert missing.device is None
    assert missing.missing is not None
    assert "/dev/none" in missing.missing


@pytest.mark.parametrize(
    ("name", "error", "reason"),
    [
        ("nobody", PortNotFoundError, "no port of the name 'nobody'"),
        ("raw", NegotiationError, "passes on bytes only: use socket://127.0.0.1:"),
    ],
)
def test_what_cannot_be_had_by_its_name_is_said(
    server: Reloadable, name: str, error: type[TransportError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        Rfc2217Transport.open(url_of(server, name))


def test_of_two_ports_of_one_name_none_is_taken() -> None:
    twice = (FIRST, PortConfig(source="sim://esp32", name=ODD))
    with (
        reloadable(attrs.evolve(CONFIG, ports=twice)) as server,
        pytest.raises(PortNotFoundError, match="2 ports of the name"),
    ):
        Rfc2217Transport.open(url_of(server, ODD))


def test_without_being_told_to_a_server_has_no_directory() -> None:
    with reloadable(attrs.evolve(CONFIG, directory_port=None)) as server:
        assert server.server.directory_port is None


def test_a_host_without_a_directory_is_said() -> None:
    with pytest.raises(HostUnreachableError, match="no directory of ports at its TCP port"):
        list_remote_ports(parse_directory(f"127.0.0.1:{free_number()}"))


# Who may ask -----------------------------------------------------------------------------


def test_whoever_may_not_have_a_port_is_told_no_names() -> None:
    strangers = AllowList.parse(["192.0.2.0/24"], "")
    with reloadable(attrs.evolve(CONFIG, allow=strangers)) as server:
        with pytest.raises(PortPermissionError, match="not for your address"):
            list_remote_ports(parse_directory(directory_of(server)))
        server.reload(CONFIG)
        assert len(list_remote_ports(parse_directory(directory_of(server)))) == 3


def test_with_tls_names_are_told_by_tls_to_those_who_have_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = TlsFiles(cert=authority.issue("server"), client_ca=authority.path)
    with reloadable(attrs.evolve(CONFIG, tls=tls)) as server:
        base = f"rfc2217+tls://{directory_of(server)}?ca={authority.path}"
        with pytest.raises(TlsError):
            list_remote_ports(parse_directory(base))
        with pytest.raises(TransportError):
            list_remote_ports(parse_directory(directory_of(server)))
        first, raw, _ = list_remote_ports(
            parse_directory(f"{base}&cert={authority.issue('client')}")
        )
        assert raw.url.startswith("socket+tls://127.0.0.1:")
        with eventually(lambda: connect(first.url, stub=False), TransportError) as device:
            assert device.chip.name == "ESP32-C3"


def test_a_directory_is_counted_among_those_who_have_no_port() -> None:
    limits = Limits(connections_per_address=1)
    with reloadable(attrs.evolve(CONFIG, limits=limits)) as server:
        assert server.server.directory_port is not None
        with connected(server.server.directory_port) as idle:
            with pytest.raises(TransportError, match="too many connections"):
                list_remote_ports(parse_directory(directory_of(server)))
            assert idle.fileno() >= 0


@pytest.mark.parametrize(
    "words",
    [
        b"\n",
        b"reload\n",
        b"GET / HTTP/1.0\r\n",
        b'{"name": "raw"}\n',
        b'{"esploader": 2}\n',
        b'{"esploader": 1, "name": 7}\n',
        b"[" * 4000 + b"\n",
        b"x" * (MAX_REQUEST_SIZE + 1),
    ],
    ids=lambda words: words[:20],
)
def test_who_asks_for_something_else_is_told_nothing(server: Reloadable, words: bytes) -> None:
    assert server.server.directory_port is not None
    with connected(server.server.directory_port) as client:
        client.sendall(words)
        assert receive_all(client) == b""
    assert len(list_remote_ports(parse_directory(directory_of(server)))) == 3


def test_who_asks_for_nothing_is_sent_away() -> None:
    limits = Limits(handshake_time=0.05)
    with reloadable(attrs.evolve(CONFIG, limits=limits)) as server:
        assert server.server.directory_port is not None
        with connected(server.server.directory_port) as client:
            assert receive_all(client) == b""


# What a client believes --------------------------------------------------------------------

ENTRY: dict[str, object] = {
    "name": "bench",
    "tcp_port": 4001,
    "watch_port": None,
    "protocol": "rfc2217",
    "device": "/dev/ttyUSB0",
    "missing": None,
    "holder": None,
}


def answer_with(**changed: object) -> bytes:
    return json.dumps({"esploader": 1, "ports": [{**ENTRY, **changed}]}).encode() + b"\n"


def asked(answer: bytes) -> str:
    """Return what a client says whom a host answers that."""

    def script(connection: socket.socket) -> None:
        receive(connection, b"\n")
        connection.sendall(answer)

    with tcp_host(script) as number:
        try:
            ports = list_remote_ports(parse_directory(f"127.0.0.1:{number}"))
        except EsploaderError as exc:
            return str(exc)
    return " ".join(str(port) for port in ports)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\n",
        b"SSH-2.0-server\r\n",
        b"x" * (MAX_ANSWER_SIZE + 1),
        b"[" * 100_000 + b"\n",
        b'{"esploader": 1}\n',
        b'{"esploader": 2, "ports": []}\n',
        b'{"esploader": 1, "ports": 7}\n',
        b'{"esploader": 1, "ports": [7]}\n',
        answer_with(tcp_port=0),
        answer_with(tcp_port=65536),
        answer_with(tcp_port=True),
        answer_with(tcp_port="4001"),
        answer_with(tcp_port=None),
        answer_with(watch_port=-1),
        answer_with(protocol="http"),
        answer_with(protocol=[]),
        answer_with(name=None),
        answer_with(name=""),
        answer_with(name="x" * 1025),
        answer_with(device=["/dev/ttyUSB0"]),
    ],
    ids=lambda answer: answer[:40],
)
def test_an_answer_that_makes_no_sense_is_refused_as_a_whole(answer: bytes) -> None:
    assert "not as a directory of ports" in asked(answer)


def test_an_answer_does_no_harm_to_a_terminal() -> None:
    said = asked(answer_with(name="\x1b[2J", device="\x1b]0;", holder="a\nb"))
    assert said.isprintable()
    assert "\\x1b" not in said


def test_an_answer_cannot_lead_to_another_host() -> None:
    said = asked(answer_with(host="192.0.2.1", url="rfc2217://192.0.2.1:1", name="@192.0.2.1:1"))
    assert "rfc2217://127.0.0.1/%40192.0.2.1%3A1?directory-port=" in said


def test_a_host_that_says_nothing_for_ever_is_given_up() -> None:
    go_on = threading.Event()
    with tcp_host(lambda _: go_on.wait(20)) as number:
        with pytest.raises(NegotiationError, match="not as a directory"):
            list_remote_ports(parse_directory(f"127.0.0.1:{number}"), timeout=0.05)
        go_on.set()


# URLs ----------------------------------------------------------------------------------------


def test_a_url_without_a_tcp_port_names_a_port() -> None:
    address = parse_rfc2217_url("rfc2217://lab/bench%201?timeout=2").address
    assert (address.host, address.port, address.name) == ("lab", DIRECTORY_PORT, "bench 1")
    other = parse_rfc2217_url("rfc2217://[::1]//dev/ttyUSB0?directory-port=7").address
    assert (other.host, other.port, other.name) == ("::1", 7, "/dev/ttyUSB0")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("rfc2217://lab", "the port number is missing"),
        ("rfc2217://lab/", "the port number is missing"),
        ("rfc2217://lab:1/bench", "unexpected path"),
        ("rfc2217://lab:1?directory-port=2", "for a port that is named"),
        ("rfc2217://lab?directory-port=2", "for a port that is named"),
        ("rfc2217://lab/bench?directory-port=0", "not between 1 and 65535"),
        ("rfc2217://lab/bench?directory-port=x", "not a number"),
        ("rfc2217://lab/%ff", "no UTF-8"),
        ("rfc2217://lab/%00", "printable characters only"),
        ("rfc2217://lab/a%0Ab", "printable characters only"),
        ("rfc2217://lab/" + "x" * 257, "256 at most"),
        ("rfc2217://user@lab/bench", "user names and passwords"),
    ],
)
def test_urls_that_name_no_port(url: str, reason: str) -> None:
    with pytest.raises(UrlError, match=reason):
        parse_rfc2217_url(url)


@pytest.mark.parametrize(
    "text", ["", "lab:0", "lab:x", "lab/bench", "http://lab", "lab?ca=a.pem", "socket://lab", "a b"]
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(UrlError):
        parse_directory(text)


# The command -----------------------------------------------------------------------------------


def test_ports_at_a_host_are_listed(server: Reloadable, capsys: pytest.CaptureFixture[str]) -> None:
    eventually(lambda: Rfc2217Transport.open(url_of(server, ODD)), TransportError).close()
    eventually(lambda: free(server), AssertionError)
    assert main(["ports", "--at", directory_of(server)]) == 0
    first, raw, missing = capsys.readouterr().out.splitlines()
    number = server.place(ODD).tcp_port
    assert first == f"{ODD}  {url_of(server, ODD)}  tcp-port={number}  sim://esp32c3  free"
    assert raw.startswith("raw  socket://127.0.0.1:")
    assert "  not there: " in missing
    assert main(["ports", "--json", "--at", directory_of(server)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in document] == [ODD, "raw", "missing"]


def free(server: Reloadable) -> None:
    assert all(
        port.holder is None for port in list_remote_ports(parse_directory(directory_of(server)))
    )


def test_a_host_that_is_none_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ports", "--at", "lab:x"]) == 2
    assert "lab:x" in capsys.readouterr().err


def test_a_server_without_ports_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    def script(connection: socket.socket) -> None:
        receive(connection, b"\n")
        connection.sendall(b'{"esploader": 1, "ports": []}\n')

    with tcp_host(script) as number:
        assert main(["ports", "--at", f"127.0.0.1:{number}"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "NOTE: the server has no ports\n")
