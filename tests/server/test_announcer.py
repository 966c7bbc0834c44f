"""What the network is told of a server, with which addresses, and until when."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import signal
import socket
from typing import TYPE_CHECKING

import attrs
import jsonschema
import pytest

from announcing import LOOPBACK, Announcing, announcing, found_in_time, own_address
from bare_python import run_bare
from esploader.cli import main
from esploader.errors import ConfigError
from esploader.server.access import AllowList
from esploader.server.announcer import (
    LOOK_PERIOD,
    Announcer,
    addresses_of,
    addresses_to_announce,
    name_of,
    require_announceable,
)
from esploader.server.config import PortConfig, ServerConfig, with_directory
from esploader.server.journal import Journal
from esploader.server.reload import effective, make_plan
from esploader.transport.announcements import MAX_NAME_SIZE, SERVICE_TYPE
from esploader.transport.clock import VirtualClock
from esploader.transport.directory import list_remote_ports, parse_directory
from esploader.transport.links import LinkAddress
from esploader.transport.network_url import DIRECTORY_PORT
from esploader.version import __version__
from eventually import eventually
from json_schemas import FOLDER
from mdns_wire import AAAA, SRV, TXT, A, Record, ask, hear_good_bye, listening
from programs import esploader, read_line, running
from reloads import reloadable
from virtual_loop import run_virtually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PORT = PortConfig(source="sim://esp32c3", name="bench")
SERVER = "0123456789abcdef"


@pytest.fixture(scope="module")
def announced() -> Iterator[Announcing]:
    with announcing(4000, SERVER) as made:
        yield made


def full_name(name: str) -> str:
    return f"{name}.{SERVICE_TYPE}"


def records_of(name: str, kind: int, records: list[Record]) -> list[Record]:
    return [each for each in records if (each.name, each.kind) == (name, kind)]


def asked(name: str) -> list[Record]:
    """Return what whoever asks on loopback is told, that service included."""
    return ask(
        SERVICE_TYPE, "127.0.0.1", lambda records: any(each.value == name for each in records)
    )


def text_of(announced: Announcing) -> list[bytes]:
    """Return the strings of its TXT record."""
    name = full_name(announced.name)
    (text,) = records_of(name, TXT, asked(name))
    assert isinstance(text.value, list)
    return text.value


# What is said -----------------------------------------------------------------------------


def test_whoever_asks_is_told_where_the_directory_is_and_nothing_else(
    announced: Announcing,
) -> None:
    name = full_name(announced.name)
    records = asked(name)
    (service,) = records_of(name, SRV, records)
    host = f"esploader-{SERVER}.local."
    assert service.value == (4000, host)
    texts = [f"version={__version__}", f"id={SERVER}", "txtvers=1", "tls=0"]
    assert sorted(text_of(announced)) == sorted(each.encode() for each in texts)
    assert [each.value for each in records_of(host, A, records)] == ["127.0.0.1"]
    # Another test may announce another server at the same time.
    assert not records_of(host, AAAA, records)


@pytest.mark.slow
def test_who_has_the_same_name_gets_another_and_takes_it_back_in_the_end(
    announced: Announcing,
) -> None:
    with listening("127.0.0.1") as ear:
        with announcing(4001, "f" * 16, has_tls=True) as second:
            assert second.name != announced.name
            assert second.name.startswith(f"{name_of(socket.gethostname())}-")
            assert b"tls=1" in text_of(second)
        hear_good_bye(ear, full_name(second.name))


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("lab", "esploader on lab"),
        ("lab.example.org", "esploader on lab"),
        ("", "esploader on localhost"),
        ("x" * 63, "esploader on " + "x" * 44),
        ("ä" * 63, "esploader on " + "ä" * 22),
    ],
)
def test_a_name_leaves_room_for_a_number(host: str, name: str) -> None:
    assert name_of(host) == name
    assert len(f"{name}-12345".encode()) <= MAX_NAME_SIZE


# With which addresses -----------------------------------------------------------------------


def local(address: str, network: str, interface: int = 2) -> LinkAddress:
    return LinkAddress(
        address=ipaddress.ip_address(address),
        network=ipaddress.ip_network(network),
        interface=interface,
    )


LOCAL = (
    LOOPBACK,
    local("::1", "::1/128", 1),
    local("192.0.2.7", "192.0.2.0/24"),
    local("198.51.100.7", "198.51.100.0/24", 3),
    local("2001:db8::7", "2001:db8::/64"),
    local("fe80::7", "fe80::/64"),
    local("fe80::7", "fe80::/64", 3),
)


@pytest.mark.parametrize(
    ("bound", "announced"),
    [
        (["192.0.2.7"], ["192.0.2.7"]),
        (["127.0.0.1", "192.0.2.7"], ["192.0.2.7"]),
        (["192.0.2.7", "2001:db8::7"], ["192.0.2.7", "2001:db8::7"]),
        (["0.0.0.0"], ["192.0.2.7", "198.51.100.7"]),  # noqa: S104 - one of a table
        (["::"], ["2001:db8::7"]),
        (["127.0.0.1", "::1"], []),
        (["203.0.113.1"], []),
    ],
    ids=",".join,
)
def test_the_addresses_at_which_it_listens_are_told_and_no_others(
    bound: list[str], announced: list[str]
) -> None:
    found = addresses_to_announce({ipaddress.ip_address(each) for each in bound}, LOCAL)
    assert [each.text for each in found] == announced


def test_where_sockets_listen_is_what_the_system_says() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        assert addresses_of([one]) == {ipaddress.ip_address("127.0.0.1")}


def test_what_only_this_machine_reaches_is_not_announced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ConfigError, match="announce: only this machine reaches the server"):
        require_announceable([ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")])
    require_announceable([ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("192.0.2.7")])
    command = ["serve", "--announce", "--directory-port", "0", "-p", "0", "sim://esp32c3"]
    assert main(command) == 2
    assert "use --bind" in capsys.readouterr().err


# When it cannot be ----------------------------------------------------------------------------


def test_why_it_is_not_announced_is_said_once_and_it_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="esploader.server.journal")
    clock = VirtualClock()
    looks: list[float] = []

    def addresses() -> tuple[LinkAddress, ...]:
        looks.append(clock.now())
        if len(looks) > 3:
            raise OSError("no such device")
        return ()

    async def announce() -> None:
        announcer = Announcer(
            tcp_port=4000,
            server=SERVER,
            has_tls=False,
            addresses=addresses,
            journal=Journal(clock),
            on_announced=lambda _name, _addresses: None,
        )
        announcer.start()
        await asyncio.sleep(4.5 * LOOK_PERIOD)
        await announcer.close()

    run_virtually(clock, announce())
    assert [round(each / LOOK_PERIOD) for each in looks] == [0, 1, 2, 3, 4]
    reasons = [vars(each)["fields"]["reason"] for each in caplog.records]
    assert reasons == [
        "this machine has no address by which others reach the server",
        "no such device",
    ]


@pytest.mark.slow
def test_a_network_may_come_and_go(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="esploader.server.journal")
    addresses: list[LinkAddress] = []
    with Announcing(4002, SERVER, addresses=addresses, look_period=0.1) as announced:
        announced.start()
        eventually(lambda: require_event(caplog, "not-announced"), AssertionError)
        addresses.append(LOOPBACK)
        announced.wait()
        with listening("127.0.0.1") as ear:
            addresses.clear()
            hear_good_bye(ear, full_name(announced.name))


def require_event(caplog: pytest.LogCaptureFixture, event: str) -> None:
    assert event in [vars(each)["event"] for each in caplog.records]


def test_without_the_extra_it_is_said_what_to_install(tmp_path: Path) -> None:
    for words in (["serve", "--announce", "-p", "0", "sim://esp32c3"], ["ports", "--find"]):
        done = run_bare(tmp_path, "-m", "esploader", "--exit-codes", "detailed", *words)
        assert done.exit_code == 6
        assert "is not installed: pip install 'esploader[mdns]'" in done.stderr
        assert "Traceback" not in done.stderr


# The configuration -------------------------------------------------------------------------


def test_what_is_announced_has_a_directory() -> None:
    assert with_directory(ServerConfig(announce=True)).directory_port == DIRECTORY_PORT
    assert with_directory(ServerConfig(announce=True, directory_port=7)).directory_port == 7
    assert with_directory(ServerConfig()).directory_port is None


def test_a_server_without_a_directory_is_announced_after_a_restart() -> None:
    before = ServerConfig(ports=(PORT,))
    after = with_directory(attrs.evolve(before, announce=True))
    assert not effective(before, after).announce
    report = make_plan(before, after, [], []).report
    assert report.needs_restart == ("directory-port", "announce")
    assert report.settings == ()


def test_a_reload_announces_a_server_and_takes_that_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    address = own_address()
    quiet = ServerConfig(ports=(PORT,), tcp_port=0, directory_port=0, bind=(address,))
    with reloadable(quiet) as server, listening(address) as ear:
        url = f"rfc2217://{address}:{server.server.directory_port}"
        report = server.reload(attrs.evolve(quiet, announce=True))
        assert report.settings == ("announce",)
        lines = found_in_time(lambda seconds: found_lines(url, capsys, seconds))
        name = lines[0].removesuffix(f"  {url}")
        assert lines[1].startswith(f"  bench  rfc2217://{address}/bench?directory-port=")
        strangers = AllowList.parse(["127.9.9.9"], "")
        server.reload(attrs.evolve(quiet, announce=True, allow=strangers))
        told = found_in_time(lambda seconds: found_document(url, capsys, seconds))
        assert (told["name"], told["ports"]) == (name, [])
        assert "not for your address" in str(told["failure"])
        assert server.reload(quiet).settings == ("allow", "announce")
        hear_good_bye(ear, full_name(name))
        # Those who know where it is are told as before.
        assert len(list_remote_ports(parse_directory(url))) == 1


def found_lines(url: str, capsys: pytest.CaptureFixture[str], seconds: float) -> list[str]:
    """Return what is printed of the server at ``url``, if it is found."""
    assert main(["ports", "--find", str(seconds)]) == 0
    lines = capsys.readouterr().out.splitlines()
    places = {line.rpartition("  ")[2]: number for number, line in enumerate(lines)}
    return lines[places[url] :]


def found_document(
    url: str, capsys: pytest.CaptureFixture[str], seconds: float
) -> dict[str, object]:
    """Return what is said to programs of the server at ``url``, if it is found."""
    assert main(["ports", "--json", "--find", str(seconds)]) == 0
    document: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads((FOLDER / "ports.json").read_text()))
    return {each["url"]: each for each in document}[url]


@pytest.mark.slow
def test_a_server_that_is_told_to_end_takes_its_announcement_back() -> None:
    address = own_address()
    command = ("serve", "--announce", "--directory-port", "0", "-p", "0", "--bind", address)
    with listening(address) as ear, running(*esploader(*command, "sim://esp32c3")) as process:
        line = ""
        while not line.startswith("Announced as "):
            line = read_line(process)
            assert line
        assert line.endswith(f" at {address}\n")
        process.send_signal(signal.SIGTERM)
        hear_good_bye(ear, full_name(line.split("'")[1]))
        assert process.wait(20) == 0
