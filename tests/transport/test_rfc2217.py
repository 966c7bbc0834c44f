"""The RFC 2217 client copes with servers of every kind, and names what is wrong with a host."""

from __future__ import annotations

import logging
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from esploader.errors import (
    BaudrateError,
    HostUnreachableError,
    NegotiationError,
    PortBusyError,
    TransportClosedError,
    TransportError,
    UnknownSchemeError,
    UrlError,
)
from esploader.transport.com_port import Code, Control, Purge, Setting, encode
from esploader.transport.network_url import NetworkUrl
from esploader.transport.rfc2217 import Rfc2217Transport
from esploader.transport.rfc2217_url import Rfc2217Options, parse_rfc2217_url
from esploader.transport.telnet import Verb, encode_negotiation
from esploader.transport.telnet_framing import Option
from tcp_host import read_until_closed, receive, tcp_host

if TYPE_CHECKING:
    from collections.abc import Callable

AGREEMENT = encode_negotiation(Verb.DO, Option.COM_PORT)
LAST_OF_FLIGHT = encode(Setting(Code.SET_CONTROL, Control.NO_FLOW_CONTROL), from_server=False)
FORMAT = (
    Setting(Code.SET_DATASIZE, 8),
    Setting(Code.SET_PARITY, 1),
    Setting(Code.SET_STOPSIZE, 1),
)
SETTINGS = (Setting(Code.SET_BAUDRATE, 115200), *FORMAT)
DISCARD = encode(Setting(Code.PURGE_DATA, Purge.RECEIVE), from_server=False)
DISCARDED = encode(Setting(Code.PURGE_DATA, Purge.RECEIVE), from_server=True)


def requests(*settings: Setting) -> bytes:
    return b"".join(encode(setting, from_server=False) for setting in settings)


def answers(*settings: Setting) -> bytes:
    return b"".join(encode(setting, from_server=True) for setting in settings)


def welcome(connection: socket.socket) -> bytes:
    """Agree to everything as a good server does; return the client's first flight."""
    flight = receive(connection, LAST_OF_FLIGHT)
    connection.sendall(AGREEMENT + answers(*SETTINGS))
    return flight


def url_of(port: int, options: str = "") -> str:
    return f"rfc2217://127.0.0.1:{port}{options}"


def read(transport: Rfc2217Transport, size: int) -> bytes:
    data = b""
    deadline = transport.clock.now() + 10
    while len(data) < size and transport.clock.now() < deadline:
        data += transport.read(deadline)
    return data


def test_opening_takes_one_flight_and_moves_no_line() -> None:
    flights: list[bytes] = []

    def script(connection: socket.socket) -> None:
        flights.append(welcome(connection))
        read_until_closed(connection)

    with tcp_host(script) as port, Rfc2217Transport.open(url_of(port)) as transport:
        assert transport.baudrate == 115200
        assert transport.capabilities.set_lines
        assert transport.capabilities.remote
        assert transport.round_trip > 0

    (flight,) = flights
    assert requests(*SETTINGS) + LAST_OF_FLIGHT in flight
    assert flight.count(b"\xff\xfa\x2c\x05") == 1  # the one about flow control


def test_bytes_pass_with_iac_doubled_both_ways() -> None:
    wire: list[bytes] = []

    def script(connection: socket.socket) -> None:
        welcome(connection)
        connection.sendall(b"a\xff\xffb\xff\xf1c")
        wire.append(receive(connection, b"\xff\xffy"))

    with tcp_host(script) as port, Rfc2217Transport.open(url_of(port)) as transport:
        assert read(transport, 4) == b"a\xffbc"
        transport.write(b"x\xffy")
    assert wire == [b"x\xff\xffy"]


def test_reading_ends_at_its_deadline_even_when_only_telnet_arrives() -> None:
    def script(connection: socket.socket) -> None:
        welcome(connection)
        connection.sendall(b"\xff\xf1")
        read_until_closed(connection)

    with tcp_host(script) as port, Rfc2217Transport.open(url_of(port)) as transport:
        assert transport.read(transport.clock.now() + 0.05) == b""


@pytest.mark.parametrize(
    ("said", "error_class", "message"),
    [
        (b"", NegotiationError, "does not speak RFC 2217, or serves another client$"),
        (b"SSH-2.0-server\r\n", NegotiationError, "it says 'SSH-2.0-server'"),
        (bytes(range(128, 255)), NegotiationError, "it says"),
        (encode_negotiation(Verb.DONT, Option.COM_PORT), NegotiationError, "refuses to speak"),
    ],
    ids=["silent", "another protocol", "noise", "refusal"],
)
def test_a_host_that_is_no_port_server(
    said: bytes, error_class: type[Exception], message: str
) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(said)
        read_until_closed(connection)

    with tcp_host(script) as port, pytest.raises(error_class, match=message):
        Rfc2217Transport.open(url_of(port, "?timeout=0.1"))


@pytest.mark.parametrize(
    ("said", "error_class", "message"),
    [
        (b"", NegotiationError, "closed the connection without a word; its log may tell why$"),
        (b"Good bye\r\n", NegotiationError, "closed the connection; it says 'Good bye'$"),
        (b"Port already in use\r\n", PortBusyError, "the server says 'Port already in use'$"),
    ],
    ids=["silently", "with words of its own", "as ser2net does for a second client"],
)
def test_a_host_that_hangs_up(said: bytes, error_class: type[Exception], message: str) -> None:
    def script(connection: socket.socket) -> None:
        receive(connection, LAST_OF_FLIGHT)
        connection.sendall(said)

    with tcp_host(script) as port, pytest.raises(error_class, match=message):
        Rfc2217Transport.open(url_of(port))


def test_a_host_that_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(HostUnreachableError, match="cannot connect"):
        Rfc2217Transport.open(url_of(port))


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
def test_a_host_that_cannot_exist(host: str) -> None:
    with pytest.raises(HostUnreachableError, match="cannot resolve"):
        Rfc2217Transport.open(f"rfc2217://{host}:1")


def test_settings_that_were_thrown_away_before_the_agreement_are_sent_again() -> None:
    again: list[bytes] = []

    def script(connection: socket.socket) -> None:
        receive(connection, LAST_OF_FLIGHT)
        connection.sendall(AGREEMENT + answers(FORMAT[0]))
        missing = requests(SETTINGS[0], FORMAT[1], FORMAT[2])
        again.append(receive(connection, missing))
        connection.sendall(answers(SETTINGS[0], FORMAT[1], FORMAT[2]))
        read_until_closed(connection)

    with tcp_host(script) as port, Rfc2217Transport.open(url_of(port)):
        pass
    assert len(again) == 1


def test_a_server_that_acknowledges_nothing_is_no_failure() -> None:
    def script(connection: socket.socket) -> None:
        receive(connection, LAST_OF_FLIGHT)
        connection.sendall(AGREEMENT)
        received = receive(connection, b"end")
        assert received.count(DISCARD) == 2
        connection.sendall(b"alive")
        read_until_closed(connection)

    with tcp_host(script) as port, Rfc2217Transport.open(url_of(port)) as transport:
        transport.set_lines(dtr=True, rts=True)
        transport.set_baudrate(921600)
        assert transport.baudrate == 921600
        assert transport.discard_input() == b""
        assert transport.discard_input() == b""
        transport.write(b"end")
        assert read(transport, 5) == b"alive"


def test_lines_travel_together_dtr_first_and_nothing_is_waited_for() -> None:
    wire: list[bytes] = []

    def script(connection: socket.socket) -> None:
        welcome(connection)
        wire.append(connection.recv(65536))
        read_until_closed(connection)

    with tcp_host(script) as port, Rfc2217Transport.open(url_of(port)) as transport:
        transport.set_lines(dtr=True, rts=False)
        transport.set_lines()
    assert wire == [
        requests(
            Setting(Code.SET_CONTROL, Control.DTR_ON), Setting(Code.SET_CONTROL, Control.RTS_OFF)
        )
    ]


def test_a_rate_that_is_set_already_is_not_sent() -> None:
    wire: list[bytes] = []

    def script(connection: socket.socket) -> None:
        welcome(connection)
        wire.append(receive(connection, b"end"))
        read_until_closed(connection)

    with tcp_host(script) as port, Rfc2217Transport.open(url_of(port)) as transport:
        transport.set_baudrate(115200)
        transport.write(b"end")
    assert wire == [b"end"]


@pytest.mark.parametrize("said", [921600, 923077])
def test_a_rate_may_be_what_the_divider_can_make(said: int) -> None:
    def script(connection: socket.socket) -> None:
        welcome(connection)
        receive(connection, requests(Setting(Code.SET_BAUDRATE, 921600)))
        # A late word of the first rate must not be taken for the answer.
        connection.sendall(answers(SETTINGS[0], Setting(Code.SET_BAUDRATE, said)))
        read_until_closed(connection)

    with tcp_host(script) as port, Rfc2217Transport.open(url_of(port)) as transport:
        transport.set_baudrate(921600)
        assert transport.baudrate == 921600


def test_another_rate_than_asked_for_is_an_error() -> None:
    def script(connection: socket.socket) -> None:
        receive(connection, LAST_OF_FLIGHT)
        connection.sendall(AGREEMENT + answers(Setting(Code.SET_BAUDRATE, 9600), *FORMAT))
        read_until_closed(connection)

    with (
        tcp_host(script) as port,
        pytest.raises(BaudrateError, match="9600 baud instead of 115200"),
    ):
        Rfc2217Transport.open(url_of(port))


def test_a_server_that_agrees_and_leaves_at_once_says_nothing_of_why() -> None:
    def script(connection: socket.socket) -> None:
        # With something unread the system resets the connection, whatever was said.
        receive(connection, LAST_OF_FLIGHT[:1])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(AGREEMENT)

    with tcp_host(script) as port, pytest.raises(NegotiationError, match="without a word"):
        Rfc2217Transport.open(url_of(port))


@pytest.mark.parametrize("rate", [0, -1, 2**32])
def test_a_rate_that_cannot_be_expressed_is_an_error(rate: int) -> None:
    def script(connection: socket.socket) -> None:
        welcome(connection)
        read_until_closed(connection)

    with tcp_host(script) as port, Rfc2217Transport.open(url_of(port)) as transport:
        with pytest.raises(TransportError, match="is no baud rate"):
            transport.set_baudrate(rate)
        assert transport.baudrate == 115200


def test_discarding_ends_at_the_acknowledgement() -> None:
    def script(connection: socket.socket) -> None:
        welcome(connection)
        connection.sendall(b"old, ")
        receive(connection, DISCARD)
        connection.sendall(b"stale" + DISCARDED + b"fresh")
        read_until_closed(connection)

    with tcp_host(script) as port, Rfc2217Transport.open(url_of(port)) as transport:
        assert transport.discard_input() == b"old, stale"
        assert read(transport, 5) == b"fresh"


def test_a_late_acknowledgement_discards_nothing() -> None:
    def script(connection: socket.socket) -> None:
        welcome(connection)
        receive(connection, b"go")
        connection.sendall(b"response" + DISCARDED)
        read_until_closed(connection)

    with tcp_host(script) as port, Rfc2217Transport.open(url_of(port)) as transport:
        transport.discard_input()
        transport.write(b"go")
        assert read(transport, 8) == b"response"


def test_a_suspended_flow_waits_for_its_resumption() -> None:
    def script(connection: socket.socket) -> None:
        welcome(connection)
        connection.sendall(answers(Setting(Code.FLOWCONTROL_SUSPEND)) + b"stop")
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        connection.sendall(answers(Setting(Code.FLOWCONTROL_RESUME)))
        receive(connection, b"bytes")
        connection.sendall(b"thanks")
        read_until_closed(connection)

    with tcp_host(script) as port, Rfc2217Transport.open(url_of(port)) as transport:
        assert read(transport, 4) == b"stop"
        transport.write(b"bytes")
        assert read(transport, 6) == b"thanks"


def test_a_server_that_closes_delivers_first_what_it_sent() -> None:
    def script(connection: socket.socket) -> None:
        welcome(connection)
        connection.sendall(b"last words")

    with tcp_host(script) as port, Rfc2217Transport.open(url_of(port)) as transport:
        assert read(transport, 10) == b"last words"
        for _ in range(2):
            with pytest.raises(TransportClosedError):
                transport.read(transport.clock.now() + 10)


@pytest.mark.parametrize(
    "call",
    [
        lambda transport: transport.set_baudrate(9600),
        lambda transport: transport.discard_input(),
        lambda transport: transport.read(transport.clock.now() + 10),
    ],
    ids=["set_baudrate", "discard_input", "read"],
)
def test_a_server_that_closes_meanwhile_ends_every_wait(
    call: Callable[[Rfc2217Transport], object],
) -> None:
    with (
        tcp_host(welcome) as port,
        Rfc2217Transport.open(url_of(port)) as transport,
        pytest.raises(TransportClosedError),
    ):
        call(transport)


def test_using_a_closed_transport_is_an_error_and_closing_it_again_is_not() -> None:
    def script(connection: socket.socket) -> None:
        welcome(connection)
        read_until_closed(connection)

    with tcp_host(script) as port:
        transport = Rfc2217Transport.open(url_of(port))
        transport.close()
        transport.close()
        with pytest.raises(TransportClosedError):
            transport.read(0.0)
        with pytest.raises(TransportClosedError):
            transport.write(b"x")


def test_closing_loses_nothing_of_what_was_sent() -> None:
    last: list[bytes] = []
    size = 1024 * 1024

    def script(connection: socket.socket) -> None:
        welcome(connection)
        connection.sendall(b"unread")
        received = bytearray()
        while chunk := connection.recv(65536):
            received += chunk
        last.append(bytes(received[size:]))

    with tcp_host(script) as port, Rfc2217Transport.open(url_of(port)) as transport:
        transport.write(bytes(size))
        transport.set_lines(rts=False)
    assert last == [requests(Setting(Code.SET_CONTROL, Control.RTS_OFF))]


def test_a_server_that_sends_without_end_does_not_fill_the_memory() -> None:
    def script(connection: socket.socket) -> None:
        welcome(connection)
        while True:
            connection.sendall(bytes(65536))

    with tcp_host(script) as port:
        transport = Rfc2217Transport.open(url_of(port))
        try:
            with pytest.raises(TransportError, match="without end"):
                transport.set_baudrate(921600)
        finally:
            transport.close()


def test_malformed_and_unknown_messages_are_passed_over() -> None:
    def script(connection: socket.socket) -> None:
        welcome(connection)
        connection.sendall(b"\xff\xfa\x2c\xff\xf0\xff\xfa\x2c\x65\x01\xff\xf0")
        connection.sendall(b"\xff\xfa\x2c\xa0zz\xff\xf0\xff\xfa\x18\x01\xff\xf0fine")
        read_until_closed(connection)

    with tcp_host(script) as port, Rfc2217Transport.open(url_of(port)) as transport:
        assert read(transport, 4) == b"fine"


def test_the_url_may_ask_for_a_log(caplog: pytest.LogCaptureFixture) -> None:
    def script(connection: socket.socket) -> None:
        welcome(connection)
        read_until_closed(connection)

    caplog.set_level(logging.DEBUG)
    with tcp_host(script) as port, Rfc2217Transport.open(url_of(port, "?logging=info")):
        pass
    assert any("Negotiation" in each.getMessage() for each in caplog.records)
    assert {each.levelno for each in caplog.records} == {logging.INFO}


@pytest.mark.parametrize(
    ("url", "host", "port", "options"),
    [
        ("rfc2217://lab:2217", "lab", 2217, {}),
        ("RFC2217://lab:2217/", "lab", 2217, {}),
        ("rfc2217://[::1]:4000", "::1", 4000, {}),
        ("rfc2217://lab:1?ign_set_control", "lab", 1, {"ign_set_control": True}),
        (
            "rfc2217://lab:1?ign_set_control&timeout=3.0&poll_modem&logging=debug",
            "lab",
            1,
            {
                "ign_set_control": True,
                "poll_modem": True,
                "timeout": 3.0,
                "log_level": logging.DEBUG,
            },
        ),
    ],
)
def test_urls(url: str, host: str, port: int, options: dict[str, float]) -> None:
    parsed = parse_rfc2217_url(url)
    expected = Rfc2217Options(
        address=NetworkUrl(url=url, host=host, port=port, options=parsed.address.options)
    )

    assert parsed.address == expected.address
    for name in ("ign_set_control", "poll_modem", "timeout", "log_level"):
        assert getattr(parsed, name) == options.get(name, getattr(expected, name))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("rfc2217://", "host is missing"),
        ("rfc2217://:2217", "host is missing"),
        ("rfc2217://lab", "port number is missing"),
        ("rfc2217://lab:", "port number is missing"),
        ("rfc2217://lab:0", "port 0"),
        ("rfc2217://lab:65536", "range"),
        ("rfc2217://lab:http", "http"),
        ("rfc2217://lab:-1", "-1"),
        ("rfc2217://[::1:2217", "IPv6"),
        ("rfc2217://user:secret@lab:1", "user names"),
        ("rfc2217://lab:1/dev/ttyUSB0", "path"),
        ("rfc2217://lab:1#x", "fragment"),
        ("rfc2217://lab :1", "blanks"),
        ("rfc2217://lab:1\n", "blanks"),
        ("rfc2217://lab:1?speed=9600", "unknown option 'speed'"),
        ("rfc2217://lab:1?ign_set_control=no", "takes no value"),
        ("rfc2217://lab:1?timeout", "positive number"),
        ("rfc2217://lab:1?timeout=0", "positive number"),
        ("rfc2217://lab:1?timeout=nan", "positive number"),
        ("rfc2217://lab:1?timeout=inf", "positive number"),
        ("rfc2217://lab:1?timeout=soon", "positive number"),
        ("rfc2217://lab:1?timeout=1&timeout=2", "twice"),
        ("rfc2217://lab:1?logging=loud", "loud"),
    ],
)
def test_malformed_urls(url: str, reason: str) -> None:
    with pytest.raises(UrlError, match=reason) as caught:
        parse_rfc2217_url(url)
    assert caught.value.url == url


def test_another_scheme_is_not_for_this_client() -> None:
    with pytest.raises(UnknownSchemeError):
        parse_rfc2217_url("socket://lab:1")
