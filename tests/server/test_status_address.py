"""Where a status page is to be found, as people write it, and under which names."""

from __future__ import annotations

import pytest

from esploader.commands.values import is_status_address
from esploader.errors import ConfigError
from esploader.server.status_address import (
    DEFAULT_STATUS_PORT,
    StatusAddress,
    check_names,
    parse_status,
)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("", None, DEFAULT_STATUS_PORT),
        ("localhost", None, DEFAULT_STATUS_PORT),
        ("localhost:80", None, 80),
        ("8080", None, 8080),
        ("0", None, 0),
        ("127.0.0.1", "127.0.0.1", DEFAULT_STATUS_PORT),
        ("0.0.0.0:80", "0.0.0.0", 80),  # noqa: S104 - to be read
        ("192.0.2.7:0", "192.0.2.7", 0),
        ("::1", "::1", DEFAULT_STATUS_PORT),
        ("[::1]", "::1", DEFAULT_STATUS_PORT),
        ("[2001:db8::7]:443", "2001:db8::7", 443),
        (" [::]:443 ", "::", 443),
    ],
)
def test_an_address_a_port_or_both(text: str, host: str | None, port: int) -> None:
    assert parse_status(text, "test") == StatusAddress(host=host, port=port)
    assert not text.strip() or is_status_address(text.strip())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (":80", "has no address in front"),
        ("[]:80", "has no address in front"),
        ("lab.example:80", "is no ADDRESS:PORT"),
        ("127.0.0.1:65536", "there is no TCP port 65536"),
        ("99999", "there is no TCP port 99999"),
        ("127.0.0.1:x", "is no ADDRESS:PORT"),
        ("[::1", "is no ADDRESS:PORT"),
    ],
)
def test_what_is_no_address(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=f"^--status: .*{complaint}"):
        parse_status(text, "--status")


@pytest.mark.parametrize(
    "word", ["/dev/ttyUSB0", "COM3", "sim://esp32c3", "rfc2217://lab:2217", "--json", ""]
)
def test_what_stands_behind_the_option_and_is_a_port(word: str) -> None:
    assert not is_status_address(word)


def test_names_are_compared_in_small_letters() -> None:
    assert check_names(("Bench", "lab.example"), "test") == ("bench", "lab.example")


@pytest.mark.parametrize("name", ["", "-x", "a b", "http://lab", "lab:80", "a..b", "x" * 254])
def test_what_is_no_name_of_a_host(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^status-names: .* is no name of a host"):
        check_names((name,), "status-names")
