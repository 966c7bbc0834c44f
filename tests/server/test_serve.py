"""A served port looks to its clients like the port itself."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import termios
from typing import TYPE_CHECKING

import pytest

from esploader.errors import ListenError, PortBusyError, TransportClosedError, TransportError
from esploader.server.serve import Server
from esploader.transport.reset import tight
from esploader.transport.rfc2217 import Rfc2217Transport
from esploader.transport.serial_port import SerialPortTransport
from esploader.transport.steps import SetLines
from esploader.transport.tcp import SocketTransport
from fake_transport import (
    IMPOSSIBLE_RATE,
    PATIENCE,
    FakeTransport,
    PunctualTransport,
    WatchedTransport,
)
from served import attached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from esploader.transport.base import Transport

# More than all the buffers between a port and its client hold together, in bytes.
UNBOUNDED = 256 * 1024 * 1024

ALL_BYTES = bytes(range(256)) * 40 + b"\xff" * 1000


@contextlib.contextmanager
def serving(transport: Transport) -> Iterator[Server]:
    """Close the transport after the server: it is the caller's."""
    with transport, Server(transport) as server:
        yield server


def receive(transport: Transport, size: int) -> bytes:
    """Return ``size`` bytes, or what there is of them when patience ends."""
    data = b""
    deadline = transport.clock.now() + PATIENCE
    while len(data) < size and transport.clock.now() < deadline:
        data += transport.read(deadline)
    return data


def receive_line(transport: Transport) -> bytes:
    """Return what comes up to the end of a line, or when patience ends."""
    data = b""
    deadline = transport.clock.now() + PATIENCE
    while not data.endswith(b"\n") and transport.clock.now() < deadline:
        data += transport.read(deadline)
    return data


def receive_at_device(fake: FakeTransport, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += fake.device.recv(65536)
    return data


@pytest.mark.parametrize("make", [FakeTransport, WatchedTransport])
@pytest.mark.parametrize("protocol", ["rfc2217", "tcp", "pty"])
def test_bytes_pass_unchanged_both_ways(make: Callable[[], FakeTransport], protocol: str) -> None:
    fake = make()
    with serving(fake) as server, contextlib.ExitStack() as stack:
        client: Transport
        if protocol == "rfc2217":
            url = server.listen_rfc2217()
            server.start()
            client = stack.enter_context(Rfc2217Transport.open(url))
        elif protocol == "tcp":
            url = server.listen_tcp()
            server.start()
            client = stack.enter_context(SocketTransport.open(url))
        else:
            path = server.open_pty()
            server.start()
            client = stack.enter_context(SerialPortTransport.open(path))

        client.write(ALL_BYTES)
        assert receive_at_device(fake, len(ALL_BYTES)) == ALL_BYTES
        # Only now: attaching discards what came before.
        fake.device.sendall(ALL_BYTES)
        assert receive(client, len(ALL_BYTES)) == ALL_BYTES


def test_a_port_that_knows_its_next_event_needs_no_descriptor() -> None:
    with serving(PunctualTransport()) as server:
        url = server.listen_tcp()
        server.start()
        with SocketTransport.open(url) as client:
            for _ in range(3):
                client.write(b"\x01\x02")
                assert receive(client, 2) == b"\xfe\xfd"


def test_lines_and_rates_reach_the_port_in_order_with_the_bytes() -> None:
    fake = WatchedTransport()
    with serving(fake) as server:
        url = server.listen_rfc2217()
        server.start()
        with Rfc2217Transport.open(url) as client:
            client.set_lines(dtr=False, rts=True)
            client.set_lines(dtr=True)
            client.set_baudrate(921600)
            client.write(b"x")
            assert receive_at_device(fake, 1) == b"x"

            assert fake.happened(7) == [
                ("discarded", b""),
                ("baudrate", 115200),
                ("lines", (None, False)),
                ("lines", (False, None)),
                ("baudrate", 921600),
                ("lines", (None, True)),  # withheld no longer than to the next bytes
                ("lines", (True, None)),
            ]
            assert client.baudrate == 921600


@pytest.mark.parametrize(
    ("at_once", "asserted", "released"),
    [
        (
            False,
            [("lines", (True, None)), ("lines", (None, True))],
            [("lines", (None, False)), ("lines", (False, None))],
        ),
        (True, [("lines", (True, True))], [("lines", (False, False))]),
    ],
    ids=["one by one", "at once"],
)
def test_opening_and_leaving_a_port_never_asserts_rts_alone(
    at_once: bool,  # noqa: FBT001 - a parameter of the table
    asserted: list[tuple[str, object]],
    released: list[tuple[str, object]],
) -> None:
    fake = WatchedTransport(set_lines_at_once=at_once)
    with serving(fake) as server:
        url = server.listen_rfc2217()
        server.start()
        with Rfc2217Transport.open(url, baudrate=460800) as client:
            client.set_lines(dtr=True, rts=True)
            assert fake.happened(2 + len(asserted))[2:] == asserted

        assert fake.happened(len(released) + 1) == [*released, ("baudrate", 115200)]


def test_a_reset_over_the_network_is_played_next_to_the_port() -> None:
    fake = WatchedTransport(set_lines_at_once=True)
    with serving(fake) as server:
        url = server.listen_rfc2217()
        server.start()
        with Rfc2217Transport.open(url) as client:
            client.set_lines(dtr=False, rts=True)
            client.set_lines(dtr=True)
            client.set_lines(rts=False)
            fake.happened(2)
            assert fake.happened(6) == [
                ("lines", (False, False)),
                *(
                    ("lines", (step.dtr, step.rts))
                    for step in tight()
                    if isinstance(step, SetLines)
                ),
            ]


def test_a_client_that_touches_no_line_leaves_none_touched() -> None:
    fake = WatchedTransport()
    with serving(fake) as server:
        url = server.listen_rfc2217()
        server.start()
        for _ in range(2):
            with Rfc2217Transport.open(url):
                pass
        fake.happened(4)
    assert fake.happenings.empty()


def test_a_rate_that_the_port_refuses_is_reported() -> None:
    with serving(WatchedTransport()) as server:
        url = server.listen_rfc2217()
        server.start()
        with Rfc2217Transport.open(url) as client:
            with pytest.raises(TransportError, match="115200 baud instead of 666"):
                client.set_baudrate(IMPOSSIBLE_RATE)
            assert client.baudrate == 115200


def test_a_purge_discards_what_came_before_it_and_nothing_after() -> None:
    fake = WatchedTransport()
    with serving(fake) as server:
        url = server.listen_rfc2217()
        server.start()
        with Rfc2217Transport.open(url) as client:
            fake.device.sendall(b"stale")
            assert receive(client, 5) == b"stale"
            fake.device.sendall(b"stale too")
            discarded = client.discard_input()
            fake.device.sendall(b"fresh")

            assert receive(client, 5) == b"fresh"
            # Wherever it was at that moment: in the port, on the way, or here.
            in_port = b"".join(
                data
                for what, data in fake.happened(3)
                if what == "discarded" and isinstance(data, bytes)
            )
            assert discarded + in_port == b"stale too"


def test_a_second_client_is_told_why_and_the_first_stays() -> None:
    fake = WatchedTransport()
    with serving(fake) as server:
        rfc2217, tcp = server.listen_rfc2217(), server.listen_tcp()
        server.start()
        with SocketTransport.open(tcp) as first:
            fake.happened(1)  # connecting alone does not mean being served
            with pytest.raises(PortBusyError, match="in use"):
                Rfc2217Transport.open(rfc2217)
            with SocketTransport.open(tcp) as second:
                line = receive_line(second)
                assert re.fullmatch(
                    rb"the port is in use by 127\.0\.0\.1:\d+ since [-\d]+ [:\d]+ UTC\r\n", line
                )
                with pytest.raises(PortBusyError, match="in use by"):
                    receive(second, 1)
            first.write(b"still here")
            assert receive_at_device(fake, 10) == b"still here"


def test_the_port_is_free_again_when_its_client_has_left() -> None:
    fake = WatchedTransport()
    with serving(fake) as server:
        url = server.listen_rfc2217()
        server.start()
        for _ in range(5):
            with Rfc2217Transport.open(url) as client:
                client.write(b"x")
                assert receive_at_device(fake, 1) == b"x"


def test_what_was_said_to_nobody_is_not_told_to_the_next_client() -> None:
    fake = WatchedTransport()
    with serving(fake) as server:
        url = server.listen_tcp()
        fake.device.sendall(b"boot log")
        server.start()
        with SocketTransport.open(url) as client:
            # Now or before: it is read all the time, to notice when the port is gone.
            ((what, _),) = fake.happened(1)
            assert what == "discarded"
            fake.device.sendall(b"hello")
            assert receive(client, 5) == b"hello"


def test_a_connection_takes_the_port_from_the_pseudo_terminal_and_gives_it_back() -> None:
    fake = WatchedTransport()
    with serving(fake) as server:
        url, path = server.listen_tcp(), server.open_pty()
        server.start()
        with SerialPortTransport.open(path) as terminal:
            terminal.write(b"a")
            assert receive_at_device(fake, 1) == b"a"
            with SocketTransport.open(url) as client:
                client.write(b"b")
                assert receive_at_device(fake, 1) == b"b"
                fake.device.sendall(b"for the connection")
                assert receive(client, 18) == b"for the connection"
            terminal.write(b"c")
            assert receive_at_device(fake, 1) == b"c"


def test_the_pseudo_terminal_survives_its_programs_and_passes_on_their_rates() -> None:
    fake = WatchedTransport()
    with serving(fake) as server:
        path = server.open_pty()
        server.start()
        for rate in (921600, 460800):
            with SerialPortTransport.open(path, baudrate=rate) as terminal:
                assert not terminal.capabilities.set_lines
                terminal.write(b"x")
                assert receive_at_device(fake, 1) == b"x"
        assert fake.happened(3) == [
            ("discarded", b""),
            ("baudrate", 921600),
            ("baudrate", 460800),
        ]


def test_a_pseudo_terminal_that_nobody_reads_loses_bytes_and_blocks_nothing() -> None:
    fake = WatchedTransport()
    with serving(fake) as server:
        path = server.open_pty()
        server.start()
        fake.happened(1)
        fake.device.sendall(bytes(1024 * 1024))
        # The loop still serves: bytes go the other way.
        descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
        try:
            os.write(descriptor, b"x")
            assert receive_at_device(fake, 1) == b"x"
            termios.tcflush(descriptor, termios.TCIFLUSH)
        finally:
            os.close(descriptor)


def send_until_refused(device: socket.socket) -> int:
    """Send until the buffers between are full; return how much that took."""
    device.settimeout(0.2)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < UNBOUNDED:
            sent += device.send(bytes(65536))
    return sent


def test_a_client_that_does_not_read_stops_the_port_and_gets_everything_later() -> None:
    fake = WatchedTransport()
    with serving(fake) as server:
        url = server.listen_tcp()
        server.start()
        with SocketTransport.open(url) as client:
            fake.happened(1)
            sent = send_until_refused(fake.device)
            assert sent < UNBOUNDED
            assert receive(client, sent) == bytes(sent)


def test_a_port_that_fails_ends_the_server_and_its_client_learns_of_it() -> None:
    fake = WatchedTransport()
    with serving(fake) as server:
        url = server.listen_tcp()
        server.start()
        with SocketTransport.open(url) as client:
            fake.happened(1)
            fake.device.close()
            with pytest.raises(TransportClosedError):
                receive(client, 1)
        server.close()
        assert isinstance(server.failure, TransportClosedError)


def test_a_port_that_fails_is_taken_again_by_who_knows_how() -> None:
    first, second = WatchedTransport(), WatchedTransport()
    with first, second, Server(first, reopen=lambda: second) as server:
        url = server.listen_tcp()
        server.start()
        with SocketTransport.open(url) as client:
            first.happened(1)
            first.device.close()
            with pytest.raises(TransportClosedError):
                receive(client, 1)
        with attached(url) as client:
            second.device.sendall(b"here again")
            assert receive(client, 10) == b"here again"
        assert server.failure is None


def test_a_tcp_port_that_is_taken_cannot_be_had() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        serving(FakeTransport()) as server,
        pytest.raises(ListenError, match=r"cannot listen on 127\.0\.0\.1:") as caught,
    ):
        server.listen_tcp(other.getsockname()[1])
    assert caught.value.is_taken


def test_stopping_is_clean_at_any_time() -> None:
    for make in (FakeTransport, WatchedTransport):
        fake = make()
        with serving(fake) as server:
            url = server.listen_tcp()
            server.open_pty()
            server.start()
            with SocketTransport.open(url) as client:
                server.stop()
                server.stop()
                server.close()
                with pytest.raises(TransportClosedError):
                    receive(client, 1)


def test_run_returns_when_it_was_stopped_before() -> None:
    with serving(FakeTransport()) as server:
        server.stop()
        server.run()
