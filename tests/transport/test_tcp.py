"""A bare TCP connection is a byte pipe without lines and without a baud rate."""

from __future__ import annotations

import logging
import socket
import threading

import pytest

from esploader.errors import (
    CapabilityError,
    HostUnreachableError,
    PortBusyError,
    TransportClosedError,
    TransportTimeoutError,
    UnknownSchemeError,
    UrlError,
)
from esploader.transport.clock import RealClock
from esploader.transport.network_url import parse_network_url
from esploader.transport.refusal import MAX_WORDS
from esploader.transport.tcp import SocketTransport, TcpPipe
from tcp_host import read_until_closed, receive, tcp_host


def url_of(port: int, options: str = "") -> str:
    return f"socket://127.0.0.1:{port}{options}"


def test_bytes_pass_unchanged_in_both_directions() -> None:
    data = bytes(range(256))

    def script(connection: socket.socket) -> None:
        connection.sendall(receive(connection, data[-4:]))

    with tcp_host(script) as port, SocketTransport.open(url_of(port, "/")) as transport:
        transport.write(data)
        received = b""
        while len(received) < len(data):
            received += transport.read(transport.clock.now() + 10)
        assert received == data
        with pytest.raises(TransportClosedError, match="other end closed"):
            transport.read(transport.clock.now() + 10)


def test_reading_ends_at_its_deadline_and_a_past_one_polls() -> None:
    with tcp_host(read_until_closed) as port, SocketTransport.open(url_of(port)) as transport:
        assert transport.read(transport.clock.now() + 0.01) == b""
        assert transport.read(0.0) == b""


def test_requests_leave_at_once_and_a_dead_peer_is_noticed() -> None:
    with tcp_host(read_until_closed) as port, SocketTransport.open(url_of(port)) as transport:
        duplicate = socket.socket(fileno=socket.dup(transport.fileno()))
        with duplicate:
            assert duplicate.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_what_it_cannot_do_is_known_before_trying() -> None:
    with tcp_host(read_until_closed) as port, SocketTransport.open(url_of(port)) as transport:
        assert not transport.capabilities.set_lines
        assert not transport.capabilities.set_baudrate
        assert transport.capabilities.remote
        with pytest.raises(CapabilityError, match="DTR and RTS"):
            transport.set_lines(dtr=True)
        with pytest.raises(CapabilityError, match="baud rate"):
            transport.set_baudrate(9600)


def test_discarding_takes_what_is_there_and_waits_for_nothing() -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(b"stale")
        read_until_closed(connection)

    with tcp_host(script) as port, SocketTransport.open(url_of(port)) as transport:
        first = transport.read(transport.clock.now() + 10)
        assert first + transport.discard_input() == b"stale"
        assert transport.discard_input() == b""


def test_bytes_that_came_before_the_end_are_discarded_and_the_end_is_told_then() -> None:
    with tcp_host(lambda connection: connection.sendall(b"stale")) as port:
        transport = SocketTransport.open(url_of(port))
    # By now the other end is closed.
    with transport:
        assert transport.discard_input() == b"stale"
        with pytest.raises(TransportClosedError, match="other end closed"):
            transport.discard_input()


REFUSAL = b"the port is in use by 127.0.0.1:4711 since yesterday\r\n"


def closed_after(said: bytes) -> SocketTransport:
    """Return a connection to a host that said something, and hung up."""
    with tcp_host(lambda connection: connection.sendall(said)) as port:
        return SocketTransport.open(url_of(port))


def test_a_host_that_says_why_it_hangs_up_is_quoted_whoever_reads_it() -> None:
    with closed_after(REFUSAL) as transport:
        assert transport.read(transport.clock.now() + 10) == REFUSAL
        with pytest.raises(PortBusyError, match=r"the server says 'the port is in use by 127"):
            transport.read(transport.clock.now() + 10)
    with closed_after(REFUSAL) as transport:
        assert transport.discard_input() == REFUSAL
        with pytest.raises(PortBusyError):
            transport.discard_input()


def write_for_ever(transport: SocketTransport) -> None:
    """Write until the system has been told that nobody reads it."""
    deadline = transport.clock.now() + 10
    while transport.clock.now() < deadline:
        transport.write(b"x")


def read_for_ever(transport: SocketTransport) -> None:
    deadline = transport.clock.now() + 10
    while transport.clock.now() < deadline:
        transport.read(deadline)


def test_a_host_that_says_why_it_hangs_up_is_quoted_when_a_write_finds_out() -> None:
    with closed_after(REFUSAL) as transport:
        with pytest.raises(PortBusyError, match="in use by"):
            write_for_ever(transport)
        assert transport.read(transport.clock.now()) == REFUSAL


def test_what_a_device_says_late_is_no_refusal() -> None:
    with (
        closed_after(bytes(MAX_WORDS) + b"\r\n" + REFUSAL) as transport,
        pytest.raises(TransportClosedError, match="other end closed"),
    ):
        read_for_ever(transport)


def test_a_peer_that_takes_nothing_ends_in_a_timeout() -> None:
    done = threading.Event()

    def script(connection: socket.socket) -> None:
        done.wait(10)
        read_until_closed(connection)

    with tcp_host(script) as port:
        url = parse_network_url(url_of(port), "socket", frozenset())
        pipe = TcpPipe.connect(url, RealClock())
        pipe.write_timeout = 0.05
        try:
            with pytest.raises(TransportTimeoutError, match="no byte was accepted"):
                pipe.send(bytes(64 * 1024 * 1024))
        finally:
            done.set()
            pipe.close()


def test_one_thread_may_write_while_another_waits_to_read() -> None:
    def script(connection: socket.socket) -> None:
        receive(connection, b"request")
        connection.sendall(b"response")
        read_until_closed(connection)

    received: list[bytes] = []
    with tcp_host(script) as port, SocketTransport.open(url_of(port)) as transport:
        reader = threading.Thread(
            target=lambda: received.append(transport.read(transport.clock.now() + 10))
        )
        reader.start()
        transport.write(b"request")
        reader.join()
    assert received == [b"response"]


def test_a_host_with_several_addresses_is_tried_at_each() -> None:
    # The name stands for ::1 as well on most systems, and nobody listens there.
    with (
        tcp_host(read_until_closed) as port,
        SocketTransport.open(f"socket://localhost:{port}") as transport,
    ):
        assert transport.read(0.0) == b""


def test_a_host_that_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(HostUnreachableError, match="cannot connect") as caught:
        SocketTransport.open(url_of(port))
    assert caught.value.port == url_of(port)


def test_the_url_may_ask_for_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with tcp_host(read_until_closed) as port, SocketTransport.open(url_of(port, "?logging=debug")):
        pass
    assert [each.levelno for each in caplog.records] == [logging.DEBUG]


@pytest.mark.parametrize(
    ("url", "error_class"),
    [
        ("socket://lab", UrlError),
        ("socket://lab:99999", UrlError),
        ("socket://lab:1?timeout=3", UrlError),
        ("socket://lab:1?logging=loud", UrlError),
        ("rfc2217://lab:1", UnknownSchemeError),
    ],
)
def test_malformed_urls(url: str, error_class: type[Exception]) -> None:
    with pytest.raises(error_class):
        SocketTransport.open(url)
