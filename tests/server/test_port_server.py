"""Many ports in one process: where they are found, and what becomes of them when unplugged."""

from __future__ import annotations

import contextlib
import re
import threading
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from esploader.connector import connect
from esploader.errors import (
    ConfigError,
    ListenError,
    PortBusyError,
    PortNotFoundError,
    TransportClosedError,
    TransportError,
    UrlError,
)
from esploader.server.config import PortConfig, Protocol, ServerConfig
from esploader.server.discovery import UsbIdentity
from esploader.server.door import listen, listen_on_all
from esploader.server.exposure import is_exposed
from esploader.server.port_server import PortServer
from esploader.transport.ports import PortInfo
from eventually import eventually
from programs import free_port
from pseudo_terminal import PseudoTerminal
from served import (
    PATIENCE,
    Plugs,
    attached,
    connected,
    receive_all,
    server_process,
    serving,
    tcp_port,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

NOWHERE = "192.0.2.1"
"""No machine has this address (RFC 5737)."""

IDENTITY = UsbIdentity(vid=0x10C4, serial_number="0001")


class SlowPlugs(Plugs):
    """A machine that takes its time to list its ports."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    @override
    def list_ports(self) -> list[PortInfo]:
        assert self.go_on.wait(PATIENCE)
        return super().list_ports()


@contextlib.contextmanager
def plugged_in(plugs: Plugs, serial_number: str = "0001") -> Iterator[PseudoTerminal]:
    device = PseudoTerminal()
    port = PortInfo(device=device.path, vid=0x10C4, pid=0xEA60, serial_number=serial_number)
    plugs.ports.append(port)
    try:
        yield device
    finally:
        plugs.ports.remove(port)
        device.close()


def raw_port(source: str | UsbIdentity, tcp_port: int | None = None) -> PortConfig:
    return PortConfig(source=source, protocol=Protocol.RAW, tcp_port=tcp_port)


def test_a_port_that_is_plugged_in_later_is_served_then() -> None:
    plugs = Plugs()
    config = ServerConfig(ports=(raw_port(IDENTITY),), tcp_port=0)
    with serving(config, plugs) as places:
        (place,) = places.wait(1)
        with connected(place.tcp_port) as early:
            assert receive_all(early) == (
                b"the port is not there: usb:vid=10c4,serial=0001: "
                b"no such USB port is plugged in\r\n"
            )
        with plugged_in(plugs) as device, attached(place.url) as client:
            client.write(b"hello")
            assert device.read(5) == b"hello"


def test_a_client_that_comes_while_the_port_opens_waits_for_that() -> None:
    plugs = SlowPlugs()
    config = ServerConfig(ports=(raw_port(IDENTITY),), tcp_port=0)
    with plugged_in(plugs) as device, serving(config, plugs) as places:
        (place,) = places.wait(1)
        with connected(place.tcp_port) as early:
            early.settimeout(0.1)
            with pytest.raises(TimeoutError):
                early.recv(1)
            plugs.go_on.set()
            early.sendall(b"hello")
            assert device.read(5) == b"hello"


def test_a_port_that_takes_for_ever_to_open_does_not_stop_the_others() -> None:
    plugs = SlowPlugs()
    config = ServerConfig(ports=(raw_port(IDENTITY), raw_port("sim://esp32c3")), tcp_port=0)
    with serving(config, plugs) as places:
        _, simulated = places.wait(2)
        attached(simulated.url).close()
        plugs.go_on.set()


def test_a_port_that_is_unplugged_comes_back_under_the_same_tcp_port() -> None:
    plugs = Plugs()
    config = ServerConfig(ports=(raw_port(IDENTITY),), tcp_port=0)
    with serving(config, plugs) as places:
        (place,) = places.wait(1)
        for _ in range(2):
            with plugged_in(plugs) as device, attached(place.url) as client:
                device.write(b"hello")
                assert client.read(client.clock.now() + PATIENCE) == b"hello"
                device.unplug()
                with pytest.raises(TransportClosedError):
                    client.read(client.clock.now() + PATIENCE)


def test_usb_ports_that_appear_get_a_place_and_keep_it() -> None:
    plugs = Plugs()
    config = ServerConfig(new_ports=raw_port(""), tcp_port=0)
    with serving(config, plugs) as places:
        with plugged_in(plugs) as first:
            (place,) = places.wait(1)
            with plugged_in(plugs, "0002") as second:
                _, other = places.wait(2)
                with attached(place.url) as client, attached(other.url) as neighbour:
                    client.write(b"1")
                    neighbour.write(b"2")
                    assert (first.read(1), second.read(1)) == (b"1", b"2")
        with plugged_in(plugs, "0002") as again, attached(other.url) as client:
            client.write(b"again")
            assert again.read(5) == b"again"
        assert len(places.wait(2)) == 2


def test_two_devices_alike_are_two_ports() -> None:
    plugs = Plugs()
    either = UsbIdentity(vid=0x10C4)
    any_of_them = UsbIdentity(vid=0x10C4, pid=0xEA60)
    config = ServerConfig(ports=(raw_port(either), raw_port(any_of_them)), tcp_port=0)
    with (
        plugged_in(plugs) as first,
        plugged_in(plugs, "0002") as second,
        serving(config, plugs) as places,
    ):
        one, two = places.wait(2)
        with attached(one.url) as client, attached(two.url) as neighbour:
            client.write(b"x")
            neighbour.write(b"x")
            assert (first.read(1), second.read(1)) == (b"x", b"x")


def test_after_unplugging_another_board_does_not_take_the_place_of_the_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plugs = Plugs()
    config = ServerConfig(ports=(raw_port(UsbIdentity(vid=0x10C4)),), tcp_port=0)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(contextlib.ExitStack())
        device = first.enter_context(plugged_in(plugs))
        second = stack.enter_context(plugged_in(plugs, "0002"))
        (place,) = stack.enter_context(serving(config, plugs)).wait(1)
        with attached(place.url) as client:
            # Both are named before anybody can use one of them.
            (record,) = events(caplog, "fits-several")
            assert record["served"] == device.path
            assert {device.path, second.path} <= set(re.findall(r"/dev/\S+", record["ports"]))
            client.write(b"first")
            assert device.read(5) == b"first"
            first.close()
            with pytest.raises(TransportClosedError):
                client.read(client.clock.now() + PATIENCE)
        refusal = eventually(lambda: refused(place.tcp_port, b"another one"), AssertionError)
        assert device.path.encode() in refusal
        assert second.path.encode() in refusal
        with plugged_in(plugs) as again, attached(place.url) as client:
            client.write(b"again")
            assert again.read(5) == b"again"
        second.write(b"never")


def test_a_second_board_that_appears_while_the_first_is_served_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plugs = Plugs()
    config = ServerConfig(ports=(raw_port(UsbIdentity(vid=0x10C4)),), tcp_port=0)
    with plugged_in(plugs) as first, serving(config, plugs) as places:
        (place,) = places.wait(1)
        with attached(place.url) as client, plugged_in(plugs, "0002") as second:
            (record,) = eventually(lambda: events(caplog, "fits-several"), AssertionError)
            assert second.path in record["ports"]
            assert record["served"] == first.path
            client.write(b"first")
            assert first.read(5) == b"first"


def events(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, str]]:
    """Return the fields of the events of that kind, of which there are some."""
    records = [vars(record) for record in caplog.records]
    found = [record["fields"] for record in records if record.get("event") == event]
    assert found
    return found


def refused(number: int, reason: bytes) -> bytes:
    """Return what a client is told that is sent away for that reason."""
    with connected(number) as client:
        client.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            told = receive_all(client)
            assert reason in told
            return told
    raise AssertionError


def test_a_second_client_is_told_who_has_the_port_and_since_when() -> None:
    config = ServerConfig(ports=(PortConfig(source="sim://esp32c3"),), tcp_port=0)
    with serving(config) as places:
        (place,) = places.wait(1)
        with eventually(lambda: connect(place.url, stub=False), TransportError):
            with connected(place.tcp_port) as second:
                assert re.fullmatch(
                    rb"the port is in use by 127\.0\.0\.1:\d+ \(\S+\) since [-\d]+ [:\d]+ UTC\r\n",
                    receive_all(second),
                )
            with pytest.raises(PortBusyError, match="in use by"):
                connect(place.url)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_port_that_is_not_there_is_not_in_use_whatever_it_is_called(protocol: Protocol) -> None:
    name = "/dev/is in use"
    port = PortConfig(source=name, protocol=protocol)
    with serving(ServerConfig(ports=(port,), tcp_port=0)) as places:
        (place,) = places.wait(1)
        with pytest.raises(PortNotFoundError) as caught:
            connect(place.url, attempts=1)
    said = f"the port is not there: {name}: there is no such device"
    assert str(caught.value) == f"{place.url}: the server says {said!r}"


def test_tcp_ports_are_consecutive_and_leave_out_those_that_are_named() -> None:
    first = free_port()
    config = ServerConfig(
        ports=(
            raw_port("sim://esp32c3"),
            raw_port("sim://esp32", first + 1),
            raw_port("sim://esp32s3"),
        ),
        tcp_port=first,
        bind=("127.0.0.1",),
    )
    with serving(config) as places:
        assert [place.tcp_port for place in places.wait(3)] == [first, first + 1, first + 2]


def test_the_same_tcp_port_is_had_at_every_address() -> None:
    listeners = listen_on_all(("127.0.0.1", "127.0.0.2"), 0, frozenset())
    try:
        assert len({listener.getsockname()[1] for listener in listeners}) == 1
    finally:
        for listener in listeners:
            listener.close()


def test_an_address_that_is_optional_may_be_missing_but_not_all_of_them() -> None:
    (listener,) = listen_on_all(("127.0.0.1", NOWHERE), 0, frozenset({NOWHERE}))
    listener.close()
    with pytest.raises(ListenError, match="cannot listen"):
        listen_on_all(("127.0.0.1", NOWHERE), 0, frozenset())
    with pytest.raises(ListenError, match="cannot listen"):
        listen_on_all((NOWHERE,), 0, frozenset({NOWHERE}))


@pytest.mark.parametrize("host", ["", " "])
def test_an_empty_address_is_none_and_not_every_one(host: str) -> None:
    with pytest.raises(ListenError, match="an address to listen on is empty"):
        listen(host, 0)
    with pytest.raises(ListenError, match="an address to listen on is empty"):
        listen_on_all(("127.0.0.1", host), 0, frozenset())


def test_an_address_of_one_link_is_that_of_the_interface_behind_it() -> None:
    # Nobody gives the loopback interface one: the system has looked for it there.
    with pytest.raises(ListenError, match="Cannot assign requested address"):
        listen("fe80::1%lo", 0)
    with pytest.raises(ListenError, match=r"say of which: fe80::1%eth0"):
        listen("fe80::1", 0)


def test_a_tcp_port_that_somebody_has_is_busy() -> None:
    with listen("127.0.0.1", 0) as other:
        number = other.getsockname()[1]
        config = ServerConfig(ports=(raw_port("sim://esp32c3", number),))
        with (
            PortServer(config, on_place=lambda _: None) as server,
            pytest.raises(ListenError) as caught,
        ):
            server.listen()
    assert caught.value.is_taken


def test_the_same_port_twice_is_refused() -> None:
    config = ServerConfig(ports=(raw_port("sim://esp32c3"), raw_port("sim://esp32c3")))
    with pytest.raises(ConfigError, match="twice"):
        PortServer(config, on_place=lambda _: None)


@pytest.mark.parametrize(
    "url",
    [
        "sim://nochip",
        "sim://esp32?color=red",
        "rfc2217://host",
        "rfc2217+tls://host:1?verify=off",
        "socket://:1",
        "nothing://host",
    ],
)
def test_a_url_that_can_never_be_opened_is_refused_at_once(url: str) -> None:
    with pytest.raises(UrlError):
        PortServer(ServerConfig(ports=(raw_port(url),)), on_place=lambda _: None)


@pytest.mark.parametrize(
    ("bind", "exposed"),
    [(("127.0.0.1", "::1"), False), (("127.0.0.1", NOWHERE), True), (("::",), True)],
)
def test_ports_are_exposed_when_others_can_reach_them(
    bind: tuple[str, ...],
    exposed: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert is_exposed(ServerConfig(bind=bind)) is exposed


CHIPS = [f"sim://esp32c3?seed={seed}" for seed in range(8)]


def test_eight_chips_behind_one_server_are_written_at_once_and_each_gets_its_own() -> None:
    images = [bytes((seed + 1,)) + bytes(range(256)) * 64 for seed in range(8)]
    failures: list[BaseException] = []

    def write(url: str, image: bytes) -> None:
        try:
            with connect(url, stub=False) as device:
                device.flash.write([(0x10000, image)])
                assert device.flash.read(0x10000, len(image)) == image
        except BaseException as exc:  # noqa: BLE001 - every failure counts
            failures.append(exc)

    with server_process("--tcp-port", "0", *CHIPS) as (_, urls):
        threads = [
            threading.Thread(target=write, args=pair) for pair in zip(urls, images, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        # And it is really eight devices.
        with connect(urls[0], stub=False) as device:
            assert device.flash.read(0x10000, len(images[0])) == images[0]


def test_urls_name_the_tcp_port() -> None:
    config = ServerConfig(ports=(raw_port("sim://esp32c3"),), tcp_port=0)
    with serving(config) as places:
        (place,) = places.wait(1)
        assert place.url == f"socket://127.0.0.1:{place.tcp_port}"
        assert tcp_port(place.url) == place.tcp_port
