"""Servers on the network: who is found, who is asked, and what of it is believed."""

from __future__ import annotations

import ipaddress
import math
import socket
from typing import TYPE_CHECKING

import pytest
from zeroconf import ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceInfo

from announcing import found_in_time, own_address
from certificates import Authority
from esploader.errors import HostUnreachableError
from esploader.server.access import TlsFiles
from esploader.server.config import PortConfig, ServerConfig
from esploader.transport import find_servers
from esploader.transport.announcements import (
    MAX_ADDRESSES,
    MAX_SERVERS,
    SERVICE_TYPE,
    Announcement,
    Names,
    read_announcement,
)
from esploader.transport.directory import ask_directory, parse_directory
from esploader.transport.links import LinkAddress, local_addresses, one_for_each_link
from mdns_wire import PTR, SRV, TXT, A, Record, response, saying
from reloads import reloadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esploader.transport.network_search import FoundServer

LOOPBACK = "127.0.0.1"
PORT = PortConfig(source="sim://esp32c3", name="bench")
HERE = Record("here.local.", A, 120, LOOPBACK)


@pytest.fixture(scope="module")
def directory() -> Iterator[str]:
    """Yield the URL of the directory of a server."""
    with reloadable(ServerConfig(ports=(PORT,), tcp_port=0, directory_port=0)) as server:
        yield f"rfc2217://{LOOPBACK}:{server.server.directory_port}"


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def id_of(url: str) -> str:
    server = ask_directory(parse_directory(url)).server
    assert server is not None
    return server


def search(*wanted: str, address: str = LOOPBACK) -> dict[str, FoundServer]:
    """Return who is found at that address, by name, once those are who are wanted."""

    def find(seconds: float) -> dict[str, FoundServer]:
        found = {each.name: each for each in find_servers(seconds, addresses=[address])}
        if not found.keys() >= {*wanted}:
            raise LookupError(f"{wanted} in {found}")
        return found

    return found_in_time(find)


def service(name: str, port: int, host: str, *texts: bytes) -> tuple[Record, ...]:
    """Return what announces a server."""
    full = f"{name}.{SERVICE_TYPE}"
    return (
        Record(SERVICE_TYPE, PTR, 4500, full),
        Record(full, SRV, 120, (port, host)),
        Record(full, TXT, 4500, [*texts] or [b"txtvers=1"]),
    )


@pytest.mark.slow
def test_a_server_with_tls_tells_its_ports_to_who_trusts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    tls = TlsFiles(cert=authority.issue("server"))
    config = ServerConfig(ports=(PORT,), tcp_port=0, directory_port=0, tls=tls)
    with reloadable(config) as server:
        number = server.server.directory_port
        assert number is not None
        url = f"rfc2217+tls://{LOOPBACK}:{number}"
        server_id = id_of(f"{url}?ca={authority.path}")
        texts = (b"tls=1", f"id={server_id}".encode())
        packet = response(*service("safe", number, "here.local.", *texts), HERE)
        with saying(LOOPBACK, SERVICE_TYPE, packet):
            stranger = search("safe")["safe"]
            monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
            friend = search("safe")["safe"]
    assert (stranger.url, stranger.has_tls, stranger.ports) == (url, True, ())
    assert "certificate" in str(stranger.failure)
    assert (friend.failure, [port.name for port in friend.ports]) == (None, ["bench"])


def test_who_is_there_is_found_and_what_anybody_can_say_is_not_believed(directory: str) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        nobody = listener.getsockname()[1]
    elsewhere = Record("elsewhere.local.", A, 120, "203.0.113.9")
    server_id = f"id={id_of(directory)}".encode()
    packets = (
        response(*service("true", port_of(directory), "here.local.", server_id), HERE),
        response(*service("other", port_of(directory), "here.local.", b"id=beef"), HERE),
        response(*service("far", 22217, "elsewhere.local.", b"version=\x1b[2J1"), elsewhere),
        response(*service("gone", nobody, "here.local.", b"tls", b"=", b"version"), HERE),
        response(*service("nowhere", 0, "here.local."), HERE),
        response(Record(SERVICE_TYPE, PTR, 4500, "silent." + SERVICE_TYPE)),
        b"\xff" * 100,
        response(*service("cut", 1, "here.local."))[:-20],
    )
    with saying(LOOPBACK, SERVICE_TYPE, *packets):
        found = search("true", "other", "far", "gone")
    true = found["true"]
    assert (true.url, true.has_tls, true.failure) == (directory, False, None)
    (port,) = true.ports
    assert port.name == "bench"
    assert port.url == f"rfc2217://{LOOPBACK}/bench?directory-port={port_of(directory)}"
    assert found["other"].ports == ()
    assert found["other"].failure == f"{directory}: another server is there"
    far = found["far"]
    assert (far.url, far.version) == ("rfc2217://203.0.113.9:22217", "?[2J1")
    assert far.failure == "it is on no link of this machine, and was not asked"
    assert "no directory of ports at its TCP port" in str(found["gone"].failure)
    assert not {"nowhere", "silent", "cut"} & {*found}


def test_nobody_is_sent_to_what_only_this_machine_has() -> None:
    address = own_address()
    packets = (
        response(*service("trap", 22, "trap.local."), Record("trap.local.", A, 120, LOOPBACK)),
        response(*service("far", 22, "far.local."), Record("far.local.", A, 120, "203.0.113.9")),
    )
    with saying(address, SERVICE_TYPE, *packets):
        assert "trap" not in search("far", address=address)


def info(name: str = "lab", port: int | None = 22217, **said: object) -> AsyncServiceInfo:
    defaults = {"parsed_addresses": ["192.0.2.7"], "properties": {}}
    full = f"{name}.{SERVICE_TYPE}"
    return AsyncServiceInfo(SERVICE_TYPE, full, port, **defaults | said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "said",
    [
        info(port=None),
        info(port=0),
        info(port=70000),
        info(parsed_addresses=[]),
        info(parsed_addresses=["0.0.0.0", "::"]),  # noqa: S104 - to be refused
        info(parsed_addresses=["224.0.0.1", "255.255.255.255", "ff02::1"]),
        info(parsed_addresses=["::1", "::ffff:127.0.0.1"]),
    ],
)
def test_what_says_no_place_where_a_host_can_be_is_passed_over(said: AsyncServiceInfo) -> None:
    assert read_announcement(said) is None


def test_what_is_said_does_no_harm_to_a_terminal() -> None:
    said = info("\u202elab\x9b" + "x" * 50, properties={b"version": b"\x1b]0;" + b"y" * 90})
    announcement = read_announcement(said)
    assert announcement is not None
    assert announcement.name == "?lab?" + "x" * 50
    assert announcement.version == "?]0;" + "y" * 28


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, (None, None, False)),
        ({"version": "1.2", "id": "ab", "tls": "1"}, ("1.2", "ab", True)),
        ({"version": "", "id": None, "tls": None}, (None, None, False)),
        ({"version": b"\xff", "tls": "yes"}, ("\ufffd", None, False)),
        (b"\xff\xff", (None, None, False)),
        (b"\x00\x01=\x03tls\x09id=", (None, None, False)),
    ],
)
def test_of_a_text_only_what_makes_sense_counts(
    properties: object, expected: tuple[object, ...]
) -> None:
    said = read_announcement(info(properties=properties))
    assert said is not None
    assert (said.version, said.server, said.has_tls) == expected


def test_of_thousands_some_are_looked_at() -> None:
    names = Names()
    with_network = Zeroconf.__new__(Zeroconf)
    for number in range(5000):
        names.change(with_network, SERVICE_TYPE, f"{number}", ServiceStateChange.Added)
    assert len(names.known) == MAX_SERVERS
    names.change(with_network, SERVICE_TYPE, "7", ServiceStateChange.Removed)
    names.change(with_network, SERVICE_TYPE, "7", ServiceStateChange.Removed)
    names.change(with_network, SERVICE_TYPE, "new", ServiceStateChange.Updated)
    assert len(names.known) == MAX_SERVERS
    many = [f"192.0.2.{number}" for number in range(200)]
    said = read_announcement(info(parsed_addresses=many))
    assert isinstance(said, Announcement)
    assert len(said.addresses) == MAX_ADDRESSES


def test_from_each_link_is_asked_once() -> None:
    links = [
        link("192.0.2.7", "192.0.2.0/24", 2),
        link("192.0.2.8", "192.0.2.0/24", 2),
        link("2001:db8::7", "2001:db8::/64", 2),
        link("fe80::7", "fe80::/64", 2),
        link("198.51.100.7", "198.51.100.0/24", 3),
    ]
    chosen = {each.text for each in one_for_each_link(links)}
    assert chosen == {"192.0.2.7", "fe80::7%2", "198.51.100.7"}


def link(address: str, network: str, interface: int) -> LinkAddress:
    return LinkAddress(
        address=ipaddress.ip_address(address),
        network=ipaddress.ip_network(network),
        interface=interface,
    )


def test_this_machine_has_loopback() -> None:
    (loopback,) = [each for each in local_addresses() if each.text == LOOPBACK]
    assert loopback.address in loopback.network
    assert loopback.interface == socket.if_nametoindex("lo")


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf])
def test_a_time_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="positive number"):
        find_servers(seconds)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(HostUnreachableError, match="no such address here"):
        find_servers(addresses=["192.0.2.1"])
