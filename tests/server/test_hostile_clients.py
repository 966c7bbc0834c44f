"""Whatever a client does, it is refused or bounded, and the next one is served."""

from __future__ import annotations

import contextlib
import logging
import resource
import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING

import attrs
import pytest

from certificates import Authority
from esploader.connector import connect
from esploader.errors import PortPermissionError, TlsError, TransportError
from esploader.server.access import AllowList, Limits, TlsFiles
from esploader.server.config import PortConfig, Protocol, ServerConfig
from esploader.server.request_queue import MAX_QUEUE_SIZE
from esploader.server.tls_layer import MAX_UNREAD_SIZE, UNEXPECTED_MESSAGE
from esploader.transport.com_port import Code, Setting
from esploader.transport.com_port import encode as encode_setting
from esploader.transport.gates import Arm, Delay, encode
from esploader.transport.rfc2217 import Rfc2217Transport
from esploader.transport.telnet_framing import encode_subnegotiation
from eventually import eventually
from pseudo_terminal import PseudoTerminal
from served import PATIENCE, connected, receive_all, server_process, serving, tcp_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esploader.server.place import Place

PLAIN = ServerConfig(ports=(PortConfig(source="sim://esp32c3"),), tcp_port=0)
COM_PORT = 44
WILL_COM_PORT = b"\xff\xfb\x2c"

IMPATIENT = Limits(handshake_time=0.2, stall_time=0.3)

# More than all the buffers between a client and its server hold, in bytes.
UNBOUNDED = 64 * 1024 * 1024


@contextlib.contextmanager
def served_chip(config: ServerConfig = PLAIN) -> Iterator[Place]:
    """Serve, and show at the end that the next client gets what it wants."""
    with serving(config) as places:
        (place,) = places.wait(1)
        wait_until_open(place)
        yield place
        if config.tls is None and not config.allow.networks:
            assert_served(place.url)


def wait_until_open(place: Place) -> None:
    """Wait until the port is open: the first clients may come before."""

    def attempt() -> None:
        with connected(place.tcp_port) as client:
            client.settimeout(0.1)
            with contextlib.suppress(TimeoutError, ConnectionError):
                if b"is not there" in client.recv(100):
                    raise TransportError(place.url, "not there")

    eventually(attempt, TransportError)


def assert_served(url: str) -> None:
    with eventually(lambda: connect(url, stub=False), TransportError) as device:
        assert device.chip.name == "ESP32-C3"


def send_until_refused(client: socket.socket, data: bytes) -> int:
    """Send again and again, until nothing is taken any more; return how much that was."""
    client.settimeout(0.5)
    sent = 0
    with contextlib.suppress(TimeoutError, ConnectionError):
        while sent < UNBOUNDED:
            sent += client.send(data)
    return sent


# What is no telnet ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02", bytes(100_000)],
    ids=["http", "tls", "0"],
)
def test_who_speaks_no_telnet_is_told_so(said: bytes) -> None:
    with served_chip() as place, connected(place.tcp_port) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(said)
        # Behind our own offers.
        assert b"this is an RFC 2217 port" in receive_all(client) or len(said) > 65536


def test_who_says_nothing_is_sent_away() -> None:
    config = attrs.evolve(PLAIN, limits=IMPATIENT)
    with served_chip(config) as place, connected(place.tcp_port) as client:
        assert receive_all(client).endswith(b"nothing was said for 0.2 seconds\r\n")


def test_who_says_nothing_keeps_nobody_from_the_port() -> None:
    with served_chip() as place, connected(place.tcp_port):
        assert_served(place.url)


# Too much ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "count"),
    [
        pytest.param(encode_subnegotiation(COM_PORT, b"\x63"), 1_000_000, marks=pytest.mark.slow),
        (encode_subnegotiation(COM_PORT, b"\x63"), 100_000),
        (encode_subnegotiation(COM_PORT, b"\x41\x00\x01"), 100_000),
        (encode_subnegotiation(99, b"x"), 100_000),
        (b"\xff\xfd\x63", 100_000),
        (b"\xff\xf1", 100_000),
    ],
    ids=[
        "unknown code, a million",
        "unknown code",
        "malformed gate",
        "unknown option",
        "demand",
        "no operation",
    ],
)
def test_no_number_of_hostile_options_is_kept(option: bytes, count: int) -> None:
    with served_chip() as place, connected(place.tcp_port) as client:
        client.sendall(WILL_COM_PORT)
        reader = threading.Thread(target=receive_all, args=(client,))
        reader.start()
        for _ in range(count // 1000):
            client.sendall(option * 1000)
        client.shutdown(socket.SHUT_RDWR)
        reader.join()


@pytest.mark.parametrize(
    "demand",
    [
        # The queue that is full then is that of test_gates.py.
        pytest.param(
            encode_setting(Setting(Code.SET_BAUDRATE, 0), from_server=False), marks=pytest.mark.slow
        ),
        encode_subnegotiation(COM_PORT, bytes((Code.SIGNATURE,))),
        b"\xff\xf6",
    ],
    ids=["a setting", "the signature", "are you there"],
)
def test_who_asks_and_reads_no_answer_is_no_longer_read_and_then_let_go(demand: bytes) -> None:
    config = attrs.evolve(PLAIN, limits=IMPATIENT)
    with served_chip(config) as place, connected(place.tcp_port, buffer_size=8192) as client:
        client.sendall(WILL_COM_PORT)
        assert send_until_refused(client, demand * 1000) < UNBOUNDED


def test_a_suboption_without_end_is_no_longer_kept() -> None:
    with served_chip() as place, connected(place.tcp_port) as client:
        client.sendall(WILL_COM_PORT + b"\xff\xfa\x2c")
        for _ in range(16):
            client.sendall(bytes(1024 * 1024))


def test_bytes_for_a_chip_that_takes_them_slowly_wait_at_the_client() -> None:
    # Behind a gate that stays shut everything waits.
    armed = encode_subnegotiation(COM_PORT, b"\x40\x00\x01")
    gate = encode_subnegotiation(
        COM_PORT, b"\x41" + struct.pack(">HIHB", 1, 60_000, 1, 2) + struct.pack(">I", 77)
    )
    with served_chip() as place, connected(place.tcp_port) as client:
        client.sendall(WILL_COM_PORT + armed + gate)
        assert send_until_refused(client, bytes(65536)) < UNBOUNDED


def test_who_begins_like_telnet_and_says_none_loses_the_port_again() -> None:
    config = attrs.evolve(PLAIN, limits=IMPATIENT)
    with served_chip(config) as place, connected(place.tcp_port) as client:
        client.sendall(b"\xff")
        assert receive_all(client).endswith(b"no telnet was said for 0.2 seconds\r\n")


def test_who_has_said_a_word_of_telnet_keeps_the_port() -> None:
    config = attrs.evolve(PLAIN, limits=IMPATIENT)
    with served_chip(config) as place, connected(place.tcp_port) as client:
        client.sendall(b"\xff")
        client.sendall(WILL_COM_PORT[1:])
        client.settimeout(2 * IMPATIENT.handshake_time)
        with contextlib.suppress(TimeoutError):
            while piece := client.recv(65536):
                assert b"said" not in piece
        client.settimeout(PATIENCE)
        client.sendall(b"\xff\xf6")
        assert client.recv(2) == b"\xff\xf1"


ASK_CONTROL = encode_subnegotiation(COM_PORT, b"\x05\x00")
FAILURES = (
    encode_subnegotiation(COM_PORT, b"\x42") + encode_subnegotiation(COM_PORT, b"\x40\x00\x01")
) * 1000
PURGES = (b"x" + encode_subnegotiation(COM_PORT, b"\x0c\x02")) * 1000


@contextlib.contextmanager
def stuck_port() -> Iterator[PortConfig]:
    """Yield a port that takes bytes for a moment, and then no more."""
    terminal = PseudoTerminal()
    try:
        yield PortConfig(source=terminal.path)
    finally:
        terminal.close()


@pytest.mark.parametrize("flood", [FAILURES, PURGES], ids=["failures", "purges"])
def test_another_port_is_served_while_one_is_flooded(flood: bytes) -> None:
    with stuck_port() as flooded:
        config = attrs.evolve(PLAIN, ports=(flooded, *PLAIN.ports))
        done = threading.Event()
        with serving(config) as places, contextlib.ExitStack() as stack:
            place, elsewhere = places.wait(2)
            wait_until_open(place)
            client = stack.enter_context(connected(place.tcp_port))
            client.sendall(WILL_COM_PORT)
            reader = threading.Thread(target=receive_all, args=(client,))

            def send() -> None:
                with contextlib.suppress(OSError):
                    if flood is FAILURES:
                        # All of a moment at once.
                        client.sendall(encode(Arm(0)) + encode(Delay(1.0)))
                    else:
                        client.sendall(ASK_CONTROL * 100_000)
                    while not done.is_set():
                        client.sendall(flood)

            flooder = threading.Thread(target=send)
            for thread in (reader, flooder):
                thread.start()
            try:
                assert_served(elsewhere.url)
                assert flooder.is_alive()
            finally:
                done.set()
                client.shutdown(socket.SHUT_RDWR)
                for thread in (reader, flooder):
                    thread.join()


# Going away ----------------------------------------------------------------------------


def test_who_is_gone_without_a_word_leaves_the_port_to_the_next() -> None:
    with served_chip() as place:
        for _ in range(20):
            with connected(place.tcp_port) as client:
                client.sendall(WILL_COM_PORT + b"\xff\xfa\x2c\x05")
                # A reset in place of a good-bye.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize("vanishes", [False, True], ids=["closed", "vanished"])
def test_who_leaves_a_full_queue_behind_leaves_the_port_to_the_next(
    protocol: Protocol,
    vanishes: bool,  # noqa: FBT001 - of the table
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="esploader.server.journal")
    with stuck_port() as port:
        config = attrs.evolve(PLAIN, ports=(attrs.evolve(port, protocol=protocol),))
        with serving(config) as places:
            (place,) = places.wait(1)
            wait_until_open(place)
            with connected(place.tcp_port) as client:
                if protocol is Protocol.RFC2217:
                    client.sendall(WILL_COM_PORT)
                    receive_until_silence(client)
                client.sendall(bytes(MAX_QUEUE_SIZE + 48 * 1024))
                receive_until_silence(client)
                if vanishes:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            eventually(lambda: assert_free(place), AssertionError)
    # And not only because the port takes nothing.
    assert "port-stuck" not in [vars(each)["event"] for each in caplog.records]


def test_the_end_of_a_client_is_noticed_that_is_still_sending(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="esploader.server.journal")
    with stuck_port() as port, serving(attrs.evolve(PLAIN, ports=(port,))) as places:
        (place,) = places.wait(1)
        wait_until_open(place)
        with connected(place.tcp_port, buffer_size=8192) as client:
            client.sendall(WILL_COM_PORT)
            receive_until_silence(client)
            send_until_refused(client, bytes(65536))
            receive_until_silence(client)
        eventually(lambda: assert_free(place), AssertionError)
    assert "port-stuck" not in [vars(each)["event"] for each in caplog.records]


def receive_until_silence(client: socket.socket) -> None:
    client.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while client.recv(65536):
            pass
    client.settimeout(PATIENCE)


def assert_free(place: Place) -> None:
    with connected(place.tcp_port) as client:
        client.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            assert b"in use" not in client.recv(100)


def test_every_client_that_leaves_gets_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="esploader.server.journal")
    with served_chip() as place:
        assert_served(place.url)
    left = [record for record in caplog.records if vars(record)["event"] == "client-left"]
    fields = vars(left[0])["fields"]
    assert fields["port"] == "sim://esp32c3"
    assert fields["client"].startswith("127.0.0.1:")
    assert fields["to_port"] > 0
    assert fields["to_client"] > 0
    assert {"seconds", "resets", "gates", "errors", "reason"} <= fields.keys()


# Not allowed ---------------------------------------------------------------------------


def reasons(caplog: pytest.LogCaptureFixture) -> set[object]:
    """Return why clients were refused, as the server's log has it."""
    refused = [vars(each)["fields"] for each in caplog.records if "refused" in each.message]
    return {each["reason"] for each in refused}


NOBODY = AllowList.parse(["192.0.2.0/24"], "")


def test_an_address_that_is_not_allowed_is_told_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="esploader.server.journal")
    config = attrs.evolve(PLAIN, allow=NOBODY)
    with served_chip(config) as place:
        with connected(place.tcp_port) as client:
            assert receive_all(client) == b"this server is not for your address\r\n"
        with pytest.raises(PortPermissionError, match="not for your address"):
            Rfc2217Transport.open(place.url)
    assert reasons(caplog) == {"address not allowed"}


def test_an_address_that_is_not_allowed_is_told_so_by_tls(
    tls: ServerConfig, authority: Authority
) -> None:
    config = attrs.evolve(tls, allow=NOBODY, ports=PLAIN.ports)
    with serving(config) as places:
        (place,) = places.wait(1)
        with pytest.raises(TlsError, match="does not allow it: the address"):
            Rfc2217Transport.open(f"{place.url}?ca={authority.path}")


@pytest.fixture(name="authority", scope="module")
def _authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(name="tls")
def _tls(authority: Authority) -> ServerConfig:
    files = TlsFiles(cert=authority.issue("server"), client_ca=authority.path)
    raw = PortConfig(source="sim://esp32c3?state=download", protocol=Protocol.RAW)
    return attrs.evolve(PLAIN, tls=files, ports=(raw,))


def client_context(authority: Authority, certificate: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.path)
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context


def say_over_tls(place: Place, context: ssl.SSLContext) -> bytes:
    """Send SYNC over TLS; return what comes back, and nothing when the server hangs up."""
    sync = b"\xc0\x00\x08\x24\x00\x00\x00\x00\x00\x07\x07\x12\x20" + b"\x55" * 32 + b"\xc0"
    with (
        connected(place.tcp_port) as plain,
        contextlib.suppress(ConnectionError, ssl.SSLError),
        context.wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(sync)
        return client.recv(100)
    return b""


def test_a_client_with_a_certificate_is_served(tls: ServerConfig, authority: Authority) -> None:
    context = client_context(authority, authority.issue("client"))
    with serving(tls) as places:
        (place,) = places.wait(1)
        assert place.url.startswith("socket+tls://127.0.0.1:")

        def attempt() -> bytes:
            answer = say_over_tls(place, context)
            if b"is not there" in answer:
                raise TransportError(place.url, "not there")
            return answer

        assert eventually(attempt, TransportError).startswith(b"\xc0\x01\x08")


def test_our_client_reaches_our_server_through_tls(tls: ServerConfig, authority: Authority) -> None:
    config = attrs.evolve(tls, ports=PLAIN.ports)
    with serving(config) as places:
        (place,) = places.wait(1)
        assert place.url == f"rfc2217+tls://127.0.0.1:{place.tcp_port}"
        write_and_verify(f"{place.url}?ca={authority.path}&cert={authority.issue('client')}")


@pytest.mark.parametrize("which", ["none", "of another authority"])
def test_without_the_right_certificate_nobody_is_served(
    which: str, tls: ServerConfig, authority: Authority, tmp_path: Path
) -> None:
    other = None if which == "none" else Authority(tmp_path, "other").issue("client")
    with serving(tls) as places:
        (place,) = places.wait(1)
        assert say_over_tls(place, client_context(authority, other)) == b""
        # The port has not been given away.
        good = client_context(authority, authority.issue("client"))
        assert say_over_tls(place, good)


REFUSALS = {
    "none": (
        "the server wants a certificate: name one with cert=",
        "no TLS: peer did not return a certificate",
    ),
    "of another authority": (
        "the server does not accept our certificate",
        "the client's certificate is not trusted: unable to get local issuer certificate",
    ),
}


@pytest.mark.parametrize("which", REFUSALS)
def test_both_ends_learn_what_is_wrong_with_a_certificate(
    which: str,
    tls: ServerConfig,
    authority: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="esploader.server.journal")
    told, logged = REFUSALS[which]
    own = "" if which == "none" else f"&cert={Authority(tmp_path, 'other').issue('client')}"
    with serving(attrs.evolve(tls, ports=PLAIN.ports)) as places:
        (place,) = places.wait(1)
        with pytest.raises(TlsError, match=told):
            connect(f"{place.url}?ca={authority.path}{own}")
    assert reasons(caplog) == {logged}


def test_who_hangs_up_during_the_handshake_is_said_to(
    tls: ServerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="esploader.server.journal")
    with serving(tls) as places, connected(places.wait(1)[0].tcp_port) as client:
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b""
    assert reasons(caplog) == {"no TLS: it hung up during the handshake"}


def test_who_goes_on_talking_after_a_handshake_that_failed_is_hung_up_on(
    tls: ServerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="esploader.server.journal")
    with serving(tls) as places, connected(places.wait(1)[0].tcp_port) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(b"\x16\x03\x01\x00\x04no\r\n" + bytes(2 * MAX_UNREAD_SIZE))
        receive_all(client)
    (reason,) = reasons(caplog)
    assert str(reason).startswith("no TLS: ")


@pytest.mark.parametrize(
    "said",
    [WILL_COM_PORT, b"\xc0\x00\x08", b"GET / HTTP/1.1\r\n\r\n"],
    ids=["telnet", "SLIP", "HTTP"],
)
def test_who_does_not_speak_tls_is_told_so_by_an_alert(
    said: bytes, tls: ServerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="esploader.server.journal")
    with serving(tls) as places, connected(places.wait(1)[0].tcp_port) as client:
        client.sendall(said)
        assert receive_all(client) == UNEXPECTED_MESSAGE
    assert reasons(caplog) == {"no TLS: it speaks something else"}


def test_who_says_nothing_gets_nothing(tls: ServerConfig) -> None:
    config = attrs.evolve(tls, limits=IMPATIENT)
    with served_chip(config) as place, connected(place.tcp_port) as client:
        assert receive_all(client) == b""


@pytest.mark.parametrize("protocol", list(Protocol))
def test_our_client_without_tls_is_told_that_the_server_expects_it(
    protocol: Protocol, tls: ServerConfig
) -> None:
    port = PortConfig(source="sim://esp32c3", protocol=protocol)
    with serving(attrs.evolve(tls, ports=(port,))) as places:
        (place,) = places.wait(1)
        with pytest.raises(TlsError, match=r"the server expects TLS$"):
            connect(place.url.replace("+tls", ""))


# Many ----------------------------------------------------------------------------------


@contextlib.contextmanager
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def write_and_verify(url: str) -> None:
    image = bytes(range(256)) * 256
    with eventually(lambda: connect(url, stub=False), TransportError) as device:
        device.flash.write([(0x10000, image)])
        assert device.flash.read(0x10000, len(image)) == image


AT_ONCE = 50
"""How many come before the server has let them in: who finds its queue full, which takes 128, asks
again a second later."""


def test_a_thousand_idle_connections_do_not_stop_a_transfer(tmp_path: Path) -> None:
    config = tmp_path / "ports.toml"
    limits = "[limits]\nconnections = 2000\nconnections-per-address = 2000\nhandshake-time = 60\n"
    config.write_text(limits, encoding="utf-8")
    options = ("--tcp-port", "0", "--config", str(config), "sim://esp32c3", "sim://esp32")
    with (
        many_descriptors(),
        server_process(*options) as (_, urls),
        contextlib.ExitStack() as stack,
    ):
        for number in range(1000):
            client = stack.enter_context(connected(tcp_port(urls[0])))
            if number % AT_ONCE == 0:
                # It is greeted, and so are those before it.
                assert client.recv(1) == b"\xff"
        write_and_verify(urls[0])
        write_and_verify(urls[1])


def test_a_flood_of_connections_does_not_stop_a_transfer() -> None:
    with server_process("--tcp-port", "0", "sim://esp32c3") as (_, urls):
        done = threading.Event()

        def flood() -> None:
            while not done.is_set():
                with contextlib.suppress(OSError), connected(tcp_port(urls[0])):
                    pass

        flooders = [threading.Thread(target=flood) for _ in range(2)]
        with eventually(lambda: connect(urls[0], stub=False), TransportError) as device:
            for each in flooders:
                each.start()
            try:
                image = bytes(range(256)) * 256
                device.flash.write([(0x10000, image)])
                assert device.flash.read(0x10000, len(image)) == image
            finally:
                done.set()
                for each in flooders:
                    each.join()


def test_one_address_has_so_many_connections_and_no_more() -> None:
    config = attrs.evolve(PLAIN, limits=Limits(connections_per_address=3))
    with serving(config) as places, contextlib.ExitStack() as stack:
        (place,) = places.wait(1)
        wait_until_open(place)

        def admit() -> socket.socket:
            client = stack.enter_context(connected(place.tcp_port))
            if client.recv(1) != b"\xff":
                raise ConnectionError
            return client

        # Whoever asked whether the port is open may still be there.
        admitted = [eventually(admit, ConnectionError) for _ in range(3)]
        with connected(place.tcp_port) as client:
            assert receive_all(client) == b"the server has too many connections\r\n"
        with pytest.raises(TransportError, match="too many connections"):
            Rfc2217Transport.open(place.url)
        # A place becomes free when somebody leaves.
        admitted[0].close()
        assert_served(place.url)
