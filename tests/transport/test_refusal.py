"""What servers say when they hang up is the error that it should be, whatever a port is called."""

from __future__ import annotations

import pytest

from esploader.commands.exit_codes import explain
from esploader.errors import (
    HostUnreachableError,
    NegotiationError,
    PortBusyError,
    PortNotFoundError,
    PortPermissionError,
    TlsError,
    TransportError,
)
from esploader.transport.refusal import (
    Refusal,
    hang_up,
    no_server,
    quoted,
    refusal,
    refusal_of_port,
)

URL = "rfc2217://bench:2217"

LABELS = ("bench 1", "/dev/in use", "the port is in use by", "busy", "Permission denied", "x\r\ny")
"""Names that a port may have, whatever they sound like."""

OURS = [
    (None, PortNotFoundError),
    (PortNotFoundError("x", "already in use"), PortNotFoundError),
    (PortPermissionError("x", "permission denied"), PortPermissionError),
    (PortBusyError("x", "another program has it"), PortBusyError),
    (HostUnreachableError("x", "the port is not there"), TransportError),
]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(("cause", "error_class"), OURS, ids=str)
def test_our_server_is_understood(
    cause: TransportError | None, error_class: type[TransportError], label: str
) -> None:
    said = refusal_of_port(label, cause).encode()
    error = refusal(URL, said)
    assert error is not None
    assert type(error) is error_class
    assert error.port == URL


@pytest.mark.parametrize("banner", ["", "ser2net port 2217 device /dev/in use (Debian)\r\n\r\n"])
@pytest.mark.parametrize(
    ("words", "error_class"),
    [
        ("Port already in use", PortBusyError),
        ("Port's device already in use", PortBusyError),
        ("Device open failure: Object was already in use", PortBusyError),
        ("Device open failure: Value or file not found", PortNotFoundError),
        ("Device open failure: Permission denied", PortPermissionError),
        ("Device open failure: OS error, see logs", TransportError),
        ("Device open failure: Connection refused", TransportError),
        ("All lines are busy.", PortBusyError),
        ("Sorry, the line is in use", PortBusyError),
    ],
)
def test_other_servers_are_understood(
    words: str, error_class: type[TransportError], banner: str
) -> None:
    error = refusal(URL, f"{banner}{words}\r\n".encode())
    assert error is not None
    assert type(error) is error_class
    assert error.reason == f"the server says {words!r}"


@pytest.mark.parametrize(
    "said",
    [b"", b"cannot open /dev/in use: no such file\r\n", b"SSH-2.0-busybox\r\n", b"\xff\xfe\x00"],
)
def test_nothing_is_made_of_what_is_not_understood(said: bytes) -> None:
    assert refusal(URL, said) is None
    for agreed in (False, True):
        assert type(hang_up(URL, said, agreed=agreed)) is NegotiationError
    for refused in (False, True):
        assert type(no_server(URL, said, refused=refused)) is NegotiationError


def test_an_alert_of_tls_is_known() -> None:
    said = b"\x15\x03\x01\x00\x02\x02\x0a"
    assert type(refusal(URL, said)) is TlsError
    assert type(no_server(URL, said, refused=False)) is TlsError


def test_what_is_quoted_is_short_and_does_nothing_to_a_terminal() -> None:
    assert quoted(b"\x1b[2J\xff") == repr("\x1b[2J\\xff")
    assert len(quoted(b"x" * 10_000)) < 400


HINTS = {
    Refusal.IN_USE: "Close the other program",
    Refusal.NOT_THERE: "Where the server runs: plug the device in",
    Refusal.NOT_ALLOWED: "on Linux add the user of the server to the group of the port",
    Refusal.CANNOT_OPEN: "The log of the port server",
    Refusal.STRANGER: "let your address in",
    Refusal.CROWDED: "The log of the port server",
    Refusal.TAKEN_OVER: "wait in line for it",
    Refusal.RELEASED: "wait in line for it",
}


@pytest.mark.parametrize("scheme", ["rfc2217", "rfc2217+tls", "socket"])
@pytest.mark.parametrize("words", Refusal)
def test_each_refusal_has_a_hint_of_its_own(words: Refusal, scheme: str) -> None:
    error = refusal(f"{scheme}://bench:2217", words.value.encode())
    assert error is not None
    assert HINTS[words] in explain(error).hint


def test_a_local_port_has_the_hints_of_this_machine() -> None:
    for error_class in (PortNotFoundError, PortPermissionError, TransportError):
        local, remote = (explain(error_class(port, "x")) for port in ("/dev/x", URL))
        assert local.code == remote.code
        assert local.hint != remote.hint
