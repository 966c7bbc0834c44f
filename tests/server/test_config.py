"""A ``ports.toml`` is read as written, and refused with its file and key named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esploader.errors import ConfigError
from esploader.server.access import AllowList, Limits, TlsFiles
from esploader.server.config import (
    MAX_PORTS,
    PortConfig,
    Protocol,
    ServerConfig,
    read_config,
    require_distinct,
)
from esploader.server.discovery import UsbIdentity
from esploader.server.recogniser import ResetPolicy
from esploader.server.status_address import StatusAddress
from esploader.server.toml_table import MAX_CONFIG_SIZE
from esploader.transport.steps import SetLines, Wait

if TYPE_CHECKING:
    from pathlib import Path

EVERYTHING = """
tcp-port = 4000
directory-port = 4999
announce = true
bind = ["192.0.2.1", "2001:db8::1"]
allow = "192.168.1.0/24"
takeover = true
token-file = "token"
status = "192.0.2.1:8080"
status-names = ["Bench.example"]

[tls]
cert = "server.pem"
key = "/etc/server.key"
client-ca = "ca.pem"

[limits]
connections = 20
connections-per-address = 4
handshake-time = 2.5
stall-time = 30

[new-ports]
protocol = "raw"
reset = "off"
takeover = false

[[port]]
device = "/dev/ttyUSB0"
name = "bench 1"
tcp-port = 5000
watch-port = 5100
takeover = false
reset = "r0"

[[port]]
usb = { vid = 0x303a, pid = 0x1001, serial = "24:0A", location = "1-2" }
reset = "D0|R1|W0.5|R0"

[[port]]
device = "sim://esp32c3"
protocol = "raw"
"""


def refusal(tmp_path: Path, text: str) -> str:
    path = tmp_path / "ports.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_everything_that_a_file_can_say(tmp_path: Path) -> None:
    path = tmp_path / "ports.toml"
    path.write_text(EVERYTHING, encoding="utf-8")
    config = read_config(path)

    assert config.tcp_port == 4000
    assert config.directory_port == 4999
    assert config.announce
    assert config.bind == ("192.0.2.1", "2001:db8::1")
    assert config.allow == AllowList.parse(["192.168.1.0/24"], "")
    assert config.tls is not None
    assert config.tls.cert == tmp_path / "server.pem"
    assert str(config.tls.key) == "/etc/server.key"
    assert config.tls.client_ca == tmp_path / "ca.pem"
    assert config.limits == Limits(
        connections=20, connections_per_address=4, handshake_time=2.5, stall_time=30.0
    )
    assert config.takeover
    assert config.token_file == tmp_path / "token"
    assert config.status == StatusAddress(host="192.0.2.1", port=8080)
    assert config.status_names == ("bench.example",)
    assert config.new_ports == PortConfig(
        source="",
        protocol=Protocol.RAW,
        reset=ResetPolicy(is_recognised=False),
        takeover=False,
    )
    assert config.ports == (
        PortConfig(
            source="/dev/ttyUSB0",
            name="bench 1",
            tcp_port=5000,
            watch_port=5100,
            takeover=False,
            reset=ResetPolicy(long_strap_delay=True),
        ),
        PortConfig(
            source=UsbIdentity(vid=0x303A, pid=0x1001, serial_number="24:0A", location="1-2"),
            reset=ResetPolicy(
                download_mode=(
                    SetLines(dtr=False),
                    SetLines(rts=True),
                    Wait(0.5),
                    SetLines(rts=False),
                )
            ),
        ),
        PortConfig(source="sim://esp32c3", protocol=Protocol.RAW),
    )


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("of_the_port", [None, False, True])
def test_what_a_port_says_of_takeovers_comes_before_what_is_said_of_all(
    everywhere: bool,  # noqa: FBT001 - of the table
    of_the_port: bool | None,  # noqa: FBT001 - of the table
) -> None:
    config = ServerConfig(takeover=everywhere)
    port = PortConfig(source="x", takeover=of_the_port)
    expected = everywhere if of_the_port is None else of_the_port
    assert config.rules_of(port, None).takeover == expected


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ports.toml"
    path.touch()
    assert read_config(path) == ServerConfig()


def test_without_a_key_file_the_key_stands_with_the_certificate(tmp_path: Path) -> None:
    path = tmp_path / "ports.toml"
    path.write_text('[tls]\ncert = "both.pem"\n', encoding="utf-8")
    assert read_config(path).tls == TlsFiles(cert=tmp_path / "both.pem")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("bind = 7", "bind: it is not a list of texts"),
        ("bind = []", "bind: it is not a list of texts"),
        ('bind = ["::1", 7]', "bind: 7 is not a text"),
        ('bind = ""', "bind: '' is not a text"),
        ('bind = ["::1", " "]', "bind: ' ' is not a text"),
        ("binds = 1", "binds: there is no such key"),
        ('allow = "10.0.0.1/8"', "allow: '10.0.0.1/8' is no address or network"),
        ("tcp-port = true", "tcp-port: True is not a whole number"),
        ("tcp-port = 65536", "tcp-port: 65536 is not between 0 and 65535"),
        ("tcp-port = 2217.0", "tcp-port: 2217.0 is not a whole number"),
        ("tls = 1", "tls: 1 is not a table"),
        ("[tls]", "tls: cert: it is missing"),
        ('[tls]\ncert = ""', "tls: cert: it is empty"),
        ('[tls]\ncert = "a"\nca = "b"', "tls: ca: there is no such key"),
        ("[limits]\nconnections = 0", "limits: connections: 0 is not between 1 and"),
        ("[limits]\nstall-time = 0", "limits: stall-time: 0 is not between"),
        ("[limits]\nstall-time = nan", "limits: stall-time: nan is not between"),
        ('[limits]\nhandshake-time = "1 s"', "limits: handshake-time: '1 s' is not a number"),
        ('[new-ports]\ndevice = "x"', "new-ports: device: there is no such key"),
        ('port = "x"', "port: ports are written [[port]]"),
        ("port = [1]", "port 1: 1 is not a table"),
        ("[[port]]", "port 1: it needs device or usb"),
        ('[[port]]\ndevice = "x"\nusb = {vid = 1}', "port 1: it takes device or usb, not both"),
        ("[[port]]\ndevice = 3", "port 1: device: 3 is not a text"),
        ("[[port]]\nusb = {}", "port 1: usb: it needs vid, pid, serial or location"),
        ("[[port]]\nusb = {vid = 65536}", "port 1: usb: vid: 65536 is not between"),
        ('[[port]]\nusb = {vid = "303a"}', "port 1: usb: vid: '303a' is not a whole number"),
        ('[[port]]\ndevice = "x"\nspeed = 1', "port 1: speed: there is no such key"),
        ('[[port]]\ndevice = "x"\nprotocol = "ssh"', "port 1: protocol: 'ssh' is neither"),
        ('[[port]]\ndevice = "x"\nreset = "D2"', "port 1: reset: neither on, off nor r0"),
        (
            '[[port]]\ndevice = "x"\ntcp-port = 1\n[[port]]\ndevice = "y"\ntcp-port = 1',
            "tcp-port 1 is given to both x and y",
        ),
        (
            '[[port]]\ndevice = "x"\ntcp-port = 1\n[[port]]\ndevice = "y"\nwatch-port = 1',
            "tcp-port 1 is given to both x and whoever watches y",
        ),
        (
            '[[port]]\ndevice = "x"\ntcp-port = 1\nwatch-port = 1',
            "tcp-port 1 is given to both x and whoever watches x",
        ),
        ('[[port]]\ndevice = "x"\nwatch-port = 65536', "port 1: watch-port: 65536 is not"),
        ('[[port]]\ndevice = "x"\ntakeover = "yes"', "port 1: takeover: 'yes' is neither true"),
        ("takeover = 1", "takeover: 1 is neither true nor false"),
        ('token-file = ""', "token-file: it is empty"),
        ("[new-ports]\nwatch-port = 1", "new-ports: watch-port: there is no such key"),
        ('[[port]]\ndevice = "x"\n[[port]]\ndevice = "x"', "the port x is there twice"),
        ("[", "it is no TOML"),
        ("x = " + "[" * 100_000, "it is no TOML"),
        (" " * (MAX_CONFIG_SIZE + 1), "it has more than"),
    ],
    ids=lambda text: text[:40],
)
def test_mistakes_are_named(text: str, complaint: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, text).startswith(complaint)


def test_any_number_of_ports_may_ask_for_any_free_tcp_port(tmp_path: Path) -> None:
    path = tmp_path / "ports.toml"
    port = '[[port]]\ndevice = "{}"\ntcp-port = 0\n'
    path.write_text(port.format("x") + port.format("y"), encoding="utf-8")
    assert [each.tcp_port for each in read_config(path).ports] == [0, 0]


def test_more_ports_than_can_be_served_are_refused() -> None:
    ports = [PortConfig(source=f"/dev/ttyUSB{number}") for number in range(MAX_PORTS + 1)]
    require_distinct(ports[1:], "ports.toml")
    with pytest.raises(ConfigError, match=r"ports\.toml: more than 1024 ports"):
        require_distinct(ports, "ports.toml")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it cannot be read: No such file"):
        read_config(tmp_path / "ports.toml")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "ports.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="it is no TOML"):
        read_config(path)
