"""A client that speaks TLS knows whom it talks to, and says what is wrong when it does not."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import ssl
from typing import TYPE_CHECKING

import attrs
import pytest
from cryptography.hazmat.primitives import serialization

from certificates import Authority
from esploader import connect
from esploader.errors import TlsError, TransportClosedError, UrlError
from esploader.transport import com_port
from esploader.transport.clock import RealClock
from esploader.transport.com_port import Code, Control, Setting
from esploader.transport.rfc2217 import Rfc2217Transport
from esploader.transport.rfc2217_url import TlsOptions, parse_rfc2217_url
from esploader.transport.tcp import TcpPipe
from esploader.transport.telnet import Verb, encode_negotiation
from esploader.transport.telnet_framing import Option
from esploader.transport.tls import TlsPipe
from esploader.urls import open_transport
from tcp_host import read_until_closed, receive, tcp_host

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

LAST_OF_FLIGHT = com_port.encode(
    Setting(Code.SET_CONTROL, Control.NO_FLOW_CONTROL), from_server=False
)
SETTINGS = (
    Setting(Code.SET_BAUDRATE, 115200),
    Setting(Code.SET_DATASIZE, 8),
    Setting(Code.SET_PARITY, 1),
    Setting(Code.SET_STOPSIZE, 1),
)
WELCOME = encode_negotiation(Verb.DO, Option.COM_PORT) + b"".join(
    com_port.encode(setting, from_server=True) for setting in SETTINGS
)


@attrs.frozen
class Party:
    """A server with TLS, and those whom its clients may trust."""

    authority: Authority
    stranger: Authority
    certificate: Path

    @contextlib.contextmanager
    def serving(
        self,
        script: Callable[[socket.socket], object],
        *,
        client_authority: Authority | None = None,
        tls_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> Iterator[int]:
        """Accept one client, run ``script`` with it; yield the TCP port."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = tls_version
        context.load_cert_chain(self.certificate)
        if client_authority is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_authority.path)

        def run(connection: socket.socket) -> None:
            with (
                contextlib.suppress(ssl.SSLError, ConnectionError),
                context.wrap_socket(connection, server_side=True) as secured,
            ):
                script(secured)

        with tcp_host(run) as port:
            yield port

    def url(self, port: int, options: str = "", *, host: str = "127.0.0.1") -> str:
        return f"rfc2217+tls://{host}:{port}?ca={self.authority.path}{options}"


@pytest.fixture(scope="module")
def party(tmp_path_factory: pytest.TempPathFactory) -> Party:
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder)
    return Party(authority, Authority(folder, "stranger"), authority.issue("server"))


def echo(connection: socket.socket) -> None:
    """Serve a port that says what it is told, once."""
    receive(connection, LAST_OF_FLIGHT)
    connection.sendall(WELCOME)
    connection.sendall(receive(connection, b"!"))
    with contextlib.suppress(ConnectionError):
        read_until_closed(connection)


def read(transport: Rfc2217Transport, size: int) -> bytes:
    data = b""
    deadline = transport.clock.now() + 10
    while len(data) < size and transport.clock.now() < deadline:
        data += transport.read(deadline)
    return data


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_bytes_pass_unchanged(party: Party, version: ssl.TLSVersion, host: str) -> None:
    message = bytes(range(33)) * 5000 + b"\xff!"
    message = message.replace(b"!", b"") + b"!"
    with (
        party.serving(echo, tls_version=version) as port,
        Rfc2217Transport.open(party.url(port, host=host)) as transport,
    ):
        assert transport.read(transport.clock.now()) == b""
        transport.write(message)
        assert read(transport, len(message)) == message


def test_a_client_that_has_to_show_a_certificate_does(party: Party) -> None:
    own = party.authority.issue("client")
    with (
        party.serving(echo, client_authority=party.authority) as port,
        open_transport(party.url(port, f"&cert={own}")) as transport,
    ):
        transport.write(b"who!")
        assert transport.read(transport.clock.now() + 10) == b"who!"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_that_is_asked_for_and_missing(party: Party, version: ssl.TLSVersion) -> None:
    with (
        party.serving(echo, client_authority=party.authority, tls_version=version) as port,
        pytest.raises(TlsError, match="wants a certificate: name one with cert="),
    ):
        Rfc2217Transport.open(party.url(port))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_that_the_server_does_not_trust(
    party: Party, version: ssl.TLSVersion
) -> None:
    own = party.stranger.issue("strange-client")
    with (
        party.serving(echo, client_authority=party.authority, tls_version=version) as port,
        pytest.raises(TlsError, match=r"does not accept our certificate: .* who signed it$"),
    ):
        Rfc2217Transport.open(party.url(port, f"&cert={own}"))


@pytest.mark.parametrize("days", [10, -10], ids=["expired", "not yet valid"])
def test_a_certificate_that_is_out_of_date(party: Party, days: int) -> None:
    own = party.authority.issue("outdated-client", age=dt.timedelta(days=days))
    with (
        party.serving(echo, client_authority=party.authority) as port,
        pytest.raises(TlsError, match="the server does not accept our certificate"),
    ):
        Rfc2217Transport.open(party.url(port, f"&cert={own}"))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (40, "no cipher in common with us, or wants a certificate: name one with cert= and key=$"),
        (42, "the server wants a certificate: name one with cert= and key=$"),
        (49, "does not allow it: the address"),
        (70, "none of the versions of TLS that we do"),
        (80, "the server failed during the TLS handshake"),
        (112, "by the name in the URL$"),
        (50, "the server refused during the TLS handshake: decode error$"),
    ],
)
def test_an_alert_is_said_in_our_words(party: Party, number: int, words: str) -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"\x15\x03\x03\x00\x02\x02" + bytes([number]))

    with tcp_host(script) as port, pytest.raises(TlsError, match=words) as caught:
        Rfc2217Transport.open(party.url(port))
    assert_our_words(caught.value)


def assert_our_words(error: TlsError) -> None:
    """Assert that nothing of OpenSSL's own is shown to the user."""
    assert not re.search(r"(?i)sslv3|tlsv1|_ssl|alert|x509|[A-Z]{4,}_", error.reason)


@pytest.mark.parametrize("own", ["wants a certificate", "does not accept our certificate"])
def test_a_server_that_hangs_up_instead_of_telling_what_it_wants(party: Party, own: str) -> None:
    def hang_up(connection: socket.socket) -> None:
        """Hang up without the good-bye of TLS."""
        os.close(connection.detach())

    options = "" if own.startswith("wants") else f"&cert={party.authority.issue('client')}"
    with (
        party.serving(hang_up) as port,
        pytest.raises(TlsError, match=f"right after the TLS handshake; perhaps it {own}"),
    ):
        Rfc2217Transport.open(party.url(port, options))


def test_an_authority_that_is_not_trusted(party: Party) -> None:
    with (
        party.serving(echo) as port,
        pytest.raises(TlsError, match=r"is not trusted: we do not know who .*; ca= names a file"),
    ):
        Rfc2217Transport.open(f"rfc2217+tls://127.0.0.1:{port}?ca={party.stranger.path}")


def test_without_an_authority_the_system_decides(party: Party) -> None:
    with (
        party.serving(echo) as port,
        pytest.raises(TlsError, match="is not trusted"),
    ):
        Rfc2217Transport.open(f"rfc2217+tls://127.0.0.1:{port}")


@pytest.mark.parametrize(("days", "why"), [(10, "it has expired"), (-10, "it is not valid yet")])
def test_a_server_whose_certificate_is_out_of_date(party: Party, days: int, why: str) -> None:
    own = party.authority.issue("outdated-server", age=dt.timedelta(days=days))
    outdated = attrs.evolve(party, certificate=own)
    with (
        outdated.serving(echo) as port,
        pytest.raises(TlsError, match=f"is not trusted: {why}, unless the clock of this machine"),
    ):
        Rfc2217Transport.open(party.url(port))


def test_a_server_that_speaks_only_an_older_version(party: Party) -> None:
    # What it answers to our hello: the beginning of its own, in TLS 1.0, and a cipher of that time.
    hello = b"\x02\x00\x00\x26\x03\x01" + bytes(32) + b"\x00\x00\x2f\x00"

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello)
        with contextlib.suppress(ConnectionError):
            read_until_closed(connection)

    with tcp_host(script) as port, pytest.raises(TlsError, match="none of the versions of TLS"):
        Rfc2217Transport.open(party.url(port))


@pytest.mark.parametrize("scheme", ["rfc2217", "socket"])
def test_a_client_without_tls_is_told_that_the_server_expects_it(scheme: str) -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        # Unexpected message.
        connection.sendall(b"\x15\x03\x01\x00\x02\x02\x0a")

    with tcp_host(script) as port, pytest.raises(TlsError, match=r"the server expects TLS$"):
        connect(f"{scheme}://127.0.0.1:{port}", attempts=1)


def test_a_certificate_for_another_host(party: Party) -> None:
    with party.serving(echo) as port:
        options = parse_rfc2217_url(party.url(port))
        pipe = TcpPipe.connect(options.address, RealClock())
        address = attrs.evolve(options.address, host="elsewhere.example")
        with pytest.raises(TlsError, match=r"is not for 'elsewhere\.example'$"):
            TlsPipe.over(pipe, address, options.tls or TlsOptions())


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"\xff\xfd\x2c\xff\xfb\x2c", "does not speak TLS, but plain telnet$"),
        (b"SSH-2.0-server\r\n", "does not speak TLS; it says 'SSH-2.0-server'$"),
        (b"HTTP/1.0 400 Bad Request\r\n", "it says 'HTTP/1.0 400 Bad Request'$"),
        (b"\xc0\x00\x1b[2J", "does not speak TLS$"),
    ],
    ids=["telnet", "SSH", "HTTP", "bytes"],
)
def test_a_host_that_speaks_something_else(party: Party, said: bytes, words: str) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(said)
        with contextlib.suppress(ConnectionError):
            read_until_closed(connection)

    with (
        tcp_host(script) as port,
        pytest.raises(TlsError, match=words) as caught,
    ):
        Rfc2217Transport.open(party.url(port))
    assert_our_words(caught.value)


def test_a_host_that_hangs_up(party: Party) -> None:
    with (
        tcp_host(lambda connection: connection.recv(1)) as port,
        pytest.raises(TlsError, match="closed the connection"),
    ):
        Rfc2217Transport.open(party.url(port))


def test_the_end_of_the_connection_is_noticed(party: Party) -> None:
    def script(connection: socket.socket) -> None:
        receive(connection, LAST_OF_FLIGHT)
        connection.sendall(WELCOME)

    with (
        party.serving(script) as port,
        Rfc2217Transport.open(party.url(port)) as transport,
        pytest.raises(TransportClosedError),
    ):
        transport.read(transport.clock.now() + 10)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("ca=/nowhere.pem", "/nowhere.pem cannot be read: No such file"),
        ("cert=/nowhere.pem", "/nowhere.pem cannot be read: No such file"),
    ],
)
def test_files_that_cannot_be_used(options: str, reason: str) -> None:
    with (
        tcp_host(lambda connection: connection.recv(1)) as port,
        pytest.raises(UrlError, match=reason),
    ):
        Rfc2217Transport.open(f"rfc2217+tls://127.0.0.1:{port}?{options}")


def test_a_file_that_is_no_certificate(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    for option in ("ca", "cert"):
        with (
            tcp_host(lambda connection: connection.recv(1)) as port,
            pytest.raises(UrlError, match=r"wrong\.pem:? .*in PEM format$"),
        ):
            Rfc2217Transport.open(f"rfc2217+tls://127.0.0.1:{port}?{option}={wrong}")


def test_a_key_of_another_certificate_and_one_that_needs_a_password(
    party: Party, tmp_path: Path
) -> None:
    encrypted = tmp_path / "encrypted.pem"
    key = serialization.load_pem_private_key(party.certificate.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    encrypted.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    other = party.authority.issue("other")
    for file, words in ((other, "is not that of the certificate$"), (encrypted, "is encrypted")):
        options = f"cert={party.certificate}&key={file}"
        with (
            tcp_host(lambda connection: connection.recv(1)) as port,
            pytest.raises(UrlError, match=words),
        ):
            Rfc2217Transport.open(f"rfc2217+tls://127.0.0.1:{port}?{options}")


def test_the_url_says_which_files() -> None:
    options = parse_rfc2217_url("rfc2217+tls://host:1?ca=a.pem&cert=b.pem&key=c.pem&timeout=2")
    assert options.tls == TlsOptions(ca="a.pem", cert="b.pem", key="c.pem")
    assert options.timeout == 2
    assert parse_rfc2217_url("rfc2217+tls://host:1").tls == TlsOptions()
    assert parse_rfc2217_url("rfc2217://host:1").tls is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("rfc2217://host:1?ca=a.pem", "unknown option 'ca'"),
        ("rfc2217+tls://host:1?ca=", "ca names no file"),
        ("rfc2217+tls://host:1?key=a.pem", "key needs cert"),
        ("rfc2217+tls://host:1?verify=off", "unknown option 'verify'"),
    ],
)
def test_urls_that_make_no_sense(url: str, reason: str) -> None:
    with pytest.raises(UrlError, match=reason):
        parse_rfc2217_url(url)
