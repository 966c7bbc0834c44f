"""A configuration that changes while a server runs: who keeps a port, loses it, or gets one."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from typing_extensions import override

from esploader.connector import connect
from esploader.errors import ConfigError, PortTakenOverError, TransportError
from esploader.server.access import AllowList, Limits, TlsFiles
from esploader.server.config import PortConfig, Protocol, ServerConfig
from esploader.server.control import ControlSocket, ask_to_reload, control_path
from esploader.server.discovery import UsbIdentity
from esploader.server.port_server import GONE, PortServer
from esploader.server.reload import ServedAs, effective, make_plan
from esploader.transport.ports import PortInfo
from eventually import eventually
from programs import free_port
from pseudo_terminal import PseudoTerminal
from reloads import reloadable
from served import PATIENCE, Plugs, attached, connected, receive_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.server.reload import Plan
    from esploader.transport.tcp import SocketTransport

FIRST = PortConfig(source="sim://esp32c3", name="first")
SECOND = PortConfig(source="sim://esp32s3", name="second")
IDENTITY = UsbIdentity(vid=0x10C4, pid=0xEA60, serial_number="0001")


def chip_behind(url: str) -> str:
    """Return the name of the chip that answers there."""
    with eventually(lambda: connect(url, stub=False), TransportError) as device:
        return device.chip.name


def planned(before: ServerConfig, after: ServerConfig, *named_now: str) -> Plan:
    served = [
        ServedAs(config=each, tcp_port=each.tcp_port or 4000 + number, is_named=True)
        for number, each in enumerate(before.ports)
    ]
    return make_plan(before, after, served, named_now)


def test_a_port_of_which_the_same_is_said_is_left_alone() -> None:
    config = ServerConfig(ports=(FIRST, SECOND))
    plan = planned(config, attrs.evolve(config, ports=(SECOND, FIRST)))
    assert (plan.leaving, plan.entering) == ((), ())
    assert set(plan.report.kept) == {"first", "second"}
    assert not plan.report.is_change


def test_a_port_of_which_something_else_is_said_begins_anew_under_its_number() -> None:
    after = attrs.evolve(FIRST, protocol=Protocol.RAW)
    plan = planned(ServerConfig(ports=(FIRST,)), ServerConfig(ports=(after,)))
    (entry,) = plan.entering
    assert (entry.config, entry.tcp_port) == (after, 4000)
    assert plan.report.restarted == ("first",)


def test_a_number_that_another_port_is_given_is_taken_from_the_one_that_happened_to_have_it() -> (
    None
):
    newcomer = attrs.evolve(SECOND, tcp_port=4000)
    plan = planned(ServerConfig(ports=(FIRST,)), ServerConfig(ports=(FIRST, newcomer)))
    assert [(each.config, each.tcp_port) for each in plan.entering] == [
        (FIRST, None),
        (newcomer, None),
    ]
    assert (plan.report.restarted, plan.report.added) == (("first",), ("second",))


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"bind": ("127.0.0.1",)}, "bind"),
        ({"tcp_port": 5000}, "tcp-port"),
    ],
)
def test_what_is_settled_at_the_beginning_needs_a_restart(
    change: dict[str, object], key: str
) -> None:
    before = ServerConfig(ports=(FIRST,))
    report = planned(before, attrs.evolve(before, **change)).report  # type: ignore[arg-type]
    assert (report.needs_restart, report.settings, report.kept) == ((key,), (), ("first",))


@pytest.mark.parametrize("is_first", [False, True])
def test_whether_there_is_tls_stays_as_it_was_until_a_restart(*, is_first: bool) -> None:
    plain = ServerConfig(ports=(FIRST,))
    secured = attrs.evolve(plain, tls=TlsFiles(cert=Path("cert.pem"), key=Path("key.pem")))
    before, after = (secured, plain) if is_first else (plain, secured)
    report = planned(before, after).report
    assert (report.needs_restart, report.settings, report.kept) == (("tls",), (), ("first",))
    assert effective(before, after) == before


@pytest.mark.parametrize("manner", [None, PortConfig(source="", protocol=Protocol.RAW)])
def test_a_port_that_was_found_is_served_as_new_ports_are_or_not_at_all(
    manner: PortConfig | None,
) -> None:
    before = ServerConfig(new_ports=PortConfig(source=""))
    found = ServedAs(config=PortConfig(source=IDENTITY), tcp_port=4000, is_named=False)
    report = make_plan(before, attrs.evolve(before, new_ports=manner), [found], ()).report
    gone = (str(IDENTITY),)
    assert (report.removed, report.restarted) == (((), gone) if manner else (gone, ()))


def test_what_counts_for_clients_that_come_is_named() -> None:
    before = ServerConfig(ports=(FIRST,))
    after = attrs.evolve(
        before,
        allow=AllowList.parse(["::1"], ""),
        limits=Limits(connections=1),
        takeover=True,
    )
    assert planned(before, after).report.settings == ("allow", "limits", "takeover")


def test_clients_of_a_port_that_has_not_changed_notice_nothing() -> None:
    config = ServerConfig(ports=(FIRST,), tcp_port=0)
    image = bytes(range(256)) * 16
    with reloadable(config) as server:
        url = server.place("first").url
        with eventually(lambda: connect(url, stub=False), TransportError) as device:
            around = [device.flash.read(offset, 0x1000) for offset in (0xF000, 0x11000)]
            report = server.reload(attrs.evolve(config, ports=(FIRST, SECOND), takeover=True))
            assert (report.kept, report.added) == (("first",), ("second",))
            assert report.settings == ("takeover",)
            device.flash.write([(0x10000, image)])
            assert device.flash.read(0x10000, len(image)) == image
            assert around == [device.flash.read(offset, 0x1000) for offset in (0xF000, 0x11000)]
        assert chip_behind(server.place("second").url) == "ESP32-S3"


def test_clients_of_a_port_that_is_removed_are_told_why() -> None:
    raw = attrs.evolve(SECOND, protocol=Protocol.RAW, watch_port=0)
    config = ServerConfig(ports=(FIRST, raw), tcp_port=0)
    with reloadable(config) as server:
        place = server.place("second")
        assert place.watch_url is not None
        with attached(place.url) as client, attached_watcher(place.watch_url) as watcher:
            report = server.reload(attrs.evolve(config, ports=(FIRST,)))
            assert (report.removed, report.kept) == (("second",), ("first",))
            with pytest.raises(PortTakenOverError, match=GONE):
                read_all(client)
            assert GONE.encode() in receive_all(watcher)
        for url in (place.url, place.watch_url):
            with pytest.raises(ConnectionRefusedError), connected(int(url.rpartition(":")[2])):
                pass


def read_all(client: SocketTransport) -> None:
    while client.read(client.clock.now() + PATIENCE):
        pass


@contextlib.contextmanager
def attached_watcher(url: str) -> Iterator[socket.socket]:
    with connected(int(url.rpartition(":")[2])) as watcher:
        yield watcher


def test_a_port_that_has_changed_begins_anew_where_it_was() -> None:
    config = ServerConfig(ports=(FIRST,), tcp_port=0)
    with reloadable(config) as server:
        place = server.place("first")
        with eventually(lambda: connect(place.url, stub=False), TransportError) as device:
            changed = attrs.evolve(FIRST, protocol=Protocol.RAW)
            report = server.reload(attrs.evolve(config, ports=(changed,)))
            assert report.restarted == ("first",)
            with pytest.raises(PortTakenOverError, match=GONE):
                device.memory.read_register(0x6000_7058)
        assert server.place("first").url == place.url.replace("rfc2217", "socket")
        attached(server.place("first").url).close()


def test_two_ports_may_change_their_numbers() -> None:
    one, two = free_port(), free_port()
    first, second = attrs.evolve(FIRST, tcp_port=one), attrs.evolve(SECOND, tcp_port=two)
    config = ServerConfig(ports=(first, second))
    swapped = (attrs.evolve(first, tcp_port=two), attrs.evolve(second, tcp_port=one))
    with reloadable(config) as server:
        report = server.reload(attrs.evolve(config, ports=swapped))
        assert set(report.restarted) == {"first", "second"}
        assert chip_behind(f"rfc2217://127.0.0.1:{one}") == "ESP32-S3"


def test_a_number_that_somebody_else_has_changes_nothing() -> None:
    config = ServerConfig(ports=(FIRST,), tcp_port=0)
    with socket.create_server(("127.0.0.1", 0)) as taken, reloadable(config) as server:
        number = taken.getsockname()[1]
        newcomer = attrs.evolve(SECOND, tcp_port=number)
        with pytest.raises(ConfigError, match=f"goes on as before: cannot listen on .*{number}"):
            server.reload(attrs.evolve(config, ports=(newcomer,), takeover=True))
        assert [place.label for place in server.server.places] == ["first"]
        assert not server.server.config.takeover
        assert chip_behind(server.place("first").url) == "ESP32-C3"


@pytest.mark.parametrize(
    "ports",
    [(PortConfig(source="sim://nochip"),), (FIRST, FIRST)],
    ids=["no such chip", "the same twice"],
)
def test_what_makes_no_sense_changes_nothing(
    ports: tuple[PortConfig, ...], caplog: pytest.LogCaptureFixture
) -> None:
    config = ServerConfig(ports=(FIRST,), tcp_port=0)
    with reloadable(config) as server:
        with pytest.raises(ConfigError, match="goes on as before"):
            server.reload(attrs.evolve(config, ports=ports))
        assert [place.label for place in server.server.places] == ["first"]
        chip_behind(server.place("first").url)
    assert [vars(each)["event"] for each in caplog.records].count("not-reloaded") == 1


def test_who_may_come_changes_for_those_who_come() -> None:
    config = ServerConfig(ports=(attrs.evolve(FIRST, protocol=Protocol.RAW),), tcp_port=0)
    with reloadable(config) as server:
        number = server.place("first").tcp_port
        with attached(server.place("first").url) as client:
            strangers = AllowList.parse(["192.0.2.0/24"], "")
            report = server.reload(attrs.evolve(config, allow=strangers))
            assert report.settings == ("allow",)
            with connected(number) as second:
                assert receive_all(second) == b"this server is not for your address\r\n"
            client.write(b"still here")
        report = server.reload(config)
        assert report.settings == ("allow",)
        attached(server.place("first").url).close()


def test_ports_that_were_found_go_when_nobody_wants_them_and_come_when_somebody_does() -> None:
    plugs = Plugs()
    manner = PortConfig(source="", protocol=Protocol.RAW)
    config = ServerConfig(ports=(FIRST,), tcp_port=0)
    with contextlib.closing(PseudoTerminal()) as device:
        plugs.ports.append(
            PortInfo(device=device.path, vid=0x10C4, pid=0xEA60, serial_number="0001")
        )
        with reloadable(config, plugs) as server:
            server.reload(attrs.evolve(config, new_ports=manner))
            eventually(lambda: server.place(str(IDENTITY)), StopIteration)
            # It gets a name, and is the same port still.
            named = PortConfig(source=device.path, name="bench", protocol=Protocol.RAW)
            report = server.reload(attrs.evolve(config, ports=(named,), new_ports=manner))
            assert set(report.removed) == {"first", str(IDENTITY)}
            assert report.added == ("bench",)
            with attached(server.place("bench").url) as client:
                client.write(b"hello")
                assert device.read(5) == b"hello"
            server.reload(config)
            assert [place.label for place in server.server.places] == ["first"]


def test_a_server_that_ends_while_it_reloads_has_closed_everything() -> None:
    plugs = SlowRereading()
    config = ServerConfig(ports=(FIRST,), tcp_port=0)
    with reloadable(config, plugs) as server:
        number = server.place("first").tcp_port
        plugs.go_on.clear()
        server.config = attrs.evolve(config, ports=(SECOND,))
        server.server.request_reload()
        assert plugs.is_asked.wait(PATIENCE)
        server.server.stop()
        plugs.go_on.set()
    with pytest.raises(ConnectionRefusedError), connected(number):
        pass


class SlowRereading(Plugs):
    """A machine that takes its time to list its ports, when a test wants it to."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.go_on.set()
        self.is_asked = threading.Event()

    @override
    def list_ports(self) -> list[PortInfo]:
        if not self.go_on.is_set():
            self.is_asked.set()
        assert self.go_on.wait(PATIENCE)
        return super().list_ports()


def test_a_server_without_a_file_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    config = ServerConfig(ports=(FIRST,), tcp_port=0)
    with PortServer(config, on_place=lambda _: None) as server:
        server.request_reload()
        server.listen()
        server.start()
        (reason,) = eventually(lambda: reasons(caplog), AssertionError)
    assert reason == "reload: this server has no configuration file"


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    records = [vars(each) for each in caplog.records]
    found = [each["fields"]["reason"] for each in records if each["event"] == "not-reloaded"]
    assert found
    return found


# Who may have it done --------------------------------------------------------------------


def test_a_second_server_of_the_same_file_leaves_the_first_one_alone() -> None:
    config = ServerConfig(ports=(FIRST,), tcp_port=0)
    with reloadable(config) as server:
        with pytest.raises(ConfigError, match="another server has this configuration file"):
            ControlSocket.listen(server.path)
        assert server.reload(config).kept == ("first",)


def test_what_a_server_that_was_killed_has_left_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    ControlSocket.listen(path).close()
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_folder_in_which_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ConfigError, match="not a folder of this user alone"):
        ControlSocket.listen(folder / "server.sock")
    with pytest.raises(ConfigError, match="not a folder of this user alone"):
        ask_to_reload(folder / "server.sock", tmp_path)


def test_a_link_to_a_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(ConfigError, match="not a folder of this user alone"):
        ControlSocket.listen(link / "server.sock")


@pytest.mark.skipif(os.getuid() != 0, reason="only root has another user's programs run")
def test_another_user_is_not_listened_to() -> None:
    config = ServerConfig(ports=(FIRST,), tcp_port=0)
    with reloadable(config) as server:
        server.config = ServerConfig()
        # Even where somebody has opened the way to it.
        for path in (server.path.parent.parent, server.path.parent, server.path):
            path.chmod(0o777)
        ask = (
            "import os, socket, sys\n"
            "os.setgid(65534)\n"
            "os.setuid(65534)\n"
            "client = socket.socket(socket.AF_UNIX)\n"
            "client.connect(sys.argv[1])\n"
            "try:\n"
            "    client.sendall(b'reload\\n')\n"
            "    answer = client.recv(1)\n"
            "except ConnectionError:\n"
            "    answer = b''\n"
            "sys.exit(answer != b'')\n"
        )
        subprocess.run([sys.executable, "-c", ask, str(server.path)], check=True)
        assert [place.label for place in server.server.places] == ["first"]


@pytest.mark.parametrize("words", [b"", b"reloa", b"restart\n", b"x" * 100_000])
def test_other_words_do_nothing(words: bytes) -> None:
    config = ServerConfig(ports=(FIRST,), tcp_port=0)
    with reloadable(config) as server:
        server.config = ServerConfig()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(server.path))
            with contextlib.suppress(BrokenPipeError):
                client.sendall(words)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_WR)
            assert receive_all(client) == b""
        assert [place.label for place in server.server.places] == ["first"]
        assert server.reload(config).kept == ("first",)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "makes no sense"),
        (b"[" * 100_000 + b"\n", "makes no sense"),
        (b"[]\n", "makes no sense"),
        (b'{"failure": "no"}\n', "goes on as before: no"),
    ],
)
def test_answers_that_are_none_are_errors(tmp_path: Path, answer: bytes, reason: str) -> None:
    path = tmp_path / "server.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer_one() -> None:
            client, _ = listener.accept()
            with client, contextlib.suppress(OSError):
                client.recv(100)
                client.sendall(answer)

        thread = threading.Thread(target=answer_one)
        thread.start()
        with pytest.raises(ConfigError, match=reason):
            ask_to_reload(path, tmp_path)
        thread.join()


def test_what_an_answer_says_of_ports_is_text() -> None:
    config = ServerConfig(ports=(FIRST,), tcp_port=0)
    with reloadable(config) as server, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.path))
        client.sendall(b"reload\n")
        document = json.loads(receive_all(client))
    assert document["kept"] == ["first"]


def test_each_file_has_a_way_of_its_own_to_its_server(tmp_path: Path) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    home = {"XDG_RUNTIME_DIR": "/run/user/7"}
    assert control_path(one, home) != control_path(two, home)
    assert control_path(one, home) == control_path(tmp_path / "." / "one.toml", home)
    assert control_path(one, home).parent.as_posix() == "/run/user/7/esploader"
    service = {"RUNTIME_DIRECTORY": "/run/ports:/run/other", **home}
    assert control_path(one, service).parent.as_posix() == "/run/ports"
    assert str(os.getuid()) in control_path(one, {}).parent.name


def test_nobody_can_ask_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no server of this user has been started"):
        ask_to_reload(tmp_path / "none.sock", tmp_path / "ports.toml")
