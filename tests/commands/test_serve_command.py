"""The command ``serve``: what its options mean, what it says, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from esploader.cli import main
from esploader.commands.parser import parse_server
from esploader.commands.serve import STATUS_PORT
from esploader.commands.serving import make_config
from esploader.errors import ConfigError
from esploader.server.access import AllowList, TlsFiles
from esploader.server.config import DEFAULT_TCP_PORT, LOOPBACK, PortConfig, Protocol, ServerConfig
from esploader.server.discovery import UsbIdentity
from esploader.server.recogniser import ResetPolicy
from esploader.server.status_address import DEFAULT_STATUS_PORT, StatusAddress
from esploader.transport.network_url import DIRECTORY_PORT
from loaded_commands import esploader
from programs import environment, read_line, running
from served import PATIENCE, server_process

CONFIG = """
tcp-port = 4000
bind = ["192.0.2.1"]
[[port]]
device = "/dev/ttyUSB0"
"""


def config_of(*options: str) -> ServerConfig:
    return make_config(parse_server(options)[1])


def test_a_port_is_served_to_this_machine_by_rfc_2217() -> None:
    assert config_of("/dev/ttyUSB1") == ServerConfig(
        ports=(PortConfig(source="/dev/ttyUSB1"),), tcp_port=DEFAULT_TCP_PORT, bind=LOOPBACK
    )


def test_the_options_of_the_server_that_people_know_mean_the_same() -> None:
    config = config_of("-p", "4000", "/dev/ttyUSB1", "-v", "--r0")
    assert config.tcp_port == 4000
    assert config.ports == (
        PortConfig(source="/dev/ttyUSB1", reset=ResetPolicy(long_strap_delay=True)),
    )


def test_all_that_can_be_said_about_ports() -> None:
    config = config_of("a", "b", "--usb", "303a:1001", "--all", "--raw", "--no-reset")
    manner = {"protocol": Protocol.RAW, "reset": ResetPolicy(is_recognised=False)}
    sources = ("a", "b", UsbIdentity(vid=0x303A, pid=0x1001))
    assert config.ports == tuple(
        PortConfig(source=source, protocol=Protocol.RAW, reset=ResetPolicy(is_recognised=False))
        for source in sources
    )
    assert config.new_ports == PortConfig(source="", **manner)  # type: ignore[arg-type]


def test_all_that_can_be_said_about_clients() -> None:
    config = config_of(
        *("x", "--bind", "192.0.2.1", "--bind", "::1", "--allow", "10.0.0.0/8", "--allow", "::1"),
        *("--tls-cert", "c", "--tls-key", "k", "--tls-client-ca", "a"),
    )
    assert config.bind == ("192.0.2.1", "::1")
    assert config.allow == AllowList.parse(["10.0.0.0/8", "::1"], "")
    assert config.tls == TlsFiles(cert=Path("c"), key=Path("k"), client_ca=Path("a"))


def test_the_help_names_the_usual_port_of_the_status_page() -> None:
    assert STATUS_PORT == DEFAULT_STATUS_PORT


def test_names_are_told_where_the_options_say() -> None:
    assert config_of("x").directory_port is None
    assert config_of("x", "--directory-port", "22217").directory_port == DIRECTORY_PORT
    assert config_of("x", "--announce").announce


@pytest.mark.parametrize(
    ("options", "address", "ports"),
    [
        (["a"], None, ["a"]),
        (["a", "b", "--status"], StatusAddress(), ["a", "b"]),
        (["--status", "a", "b"], StatusAddress(), ["a", "b"]),
        (["a", "--status", "b", "c"], StatusAddress(), ["a", "b", "c"]),
        (["--status", "sim://esp32"], StatusAddress(), ["sim://esp32"]),
        (["--status", "--raw", "a"], StatusAddress(), ["a"]),
        (["a", "--status", "8080", "b"], StatusAddress(port=8080), ["a", "b"]),
        (["--status", "0.0.0.0:80", "a"], StatusAddress(host="0.0.0.0", port=80), ["a"]),  # noqa: S104
        (["--status=[::1]:80", "a"], StatusAddress(host="::1", port=80), ["a"]),
    ],
    ids=str,
)
def test_where_the_status_page_is(
    options: list[str], address: StatusAddress | None, ports: list[str]
) -> None:
    config = config_of(*options)
    assert config.status == address
    assert [port.source for port in config.ports] == ports


def test_what_the_host_of_the_status_page_is_called() -> None:
    config = config_of("a", "--status", "--status-name", "Bench", "--status-name", "bench.example")
    assert config.status_names == ("bench", "bench.example")


def test_all_that_can_be_said_about_turns() -> None:
    config = config_of("a", "b", "--watch-port", "3000", "--takeover", "--token-file", "t")
    assert [port.watch_port for port in config.ports] == [3000, 3001]
    assert config.takeover
    assert config.token_file == Path("t")
    config = config_of("a", "b", "--watch-port", "0")
    assert [port.watch_port for port in config.ports] == [0, 0]


def test_a_token_that_everybody_can_read_is_refused_before_anything_is_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    token.chmod(0o644)
    assert main(["serve", "--takeover", "--token-file", str(token), "sim://esp32c3"]) == 2
    printed = capsys.readouterr()
    assert f"{token}: everybody can use this token" in printed.out + printed.err
    assert "Serving" not in printed.out


def test_where_to_watch_is_said() -> None:
    options = ("--tcp-port", "0", "--watch-port", "0", "--json", "sim://esp32c3")
    with running(*esploader("serve", *options)) as server:
        text = ""
        while not text.endswith("\n}\n"):
            text += read_line(server)
    watch_url = json.loads(text)["watch_urls"]["sim://esp32c3"]
    assert watch_url.startswith("socket://127.0.0.1:")


def test_options_add_ports_to_those_of_the_file_and_replace_what_else_it_says(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ports.toml"
    path.write_text(CONFIG, encoding="utf-8")
    config = config_of("--config", str(path), "sim://esp32", "-p", "5000")
    assert [port.source for port in config.ports] == ["/dev/ttyUSB0", "sim://esp32"]
    assert (config.tcp_port, config.bind) == (5000, ("192.0.2.1",))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "there is no port to serve"),
        (["x", "--tls-key", "k"], "--tls-key: it needs --tls-cert"),
        (["x", "--tls-client-ca", "a"], "--tls-client-ca: it needs --tls-cert"),
        (["x", "--allow", "here"], "--allow: 'here' is no address or network"),
        (["--usb", "here"], "--usb: 'here' is none of"),
        (["--config", "missing.toml"], "missing.toml: it cannot be read"),
        (["x", "--status=nowhere:1"], "--status: 'nowhere:1' is no ADDRESS:PORT"),
        (["x", "--status-name", "a b"], "--status-name: 'a b' is no name of a host"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_makes_no_sense(options: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        config_of(*options)


@pytest.mark.parametrize(
    "options",
    [["-p", "65536", "x"], ["-p", "x", "y"], ["--r0", "--no-reset", "x"], ["--verb", "x"]],
    ids=" ".join,
)
def test_usage_errors_exit_with_2(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *options]) == 2
    assert "usage: esploader" in capsys.readouterr().err


def test_a_mistake_is_reported_as_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--json", "--exit-codes", "detailed", "x", "x"]) == 6
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["class"] == "ConfigError"
    assert "the port x is there twice" in captured.err


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 0), (signal.SIGINT, -signal.SIGINT)],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_signal_ends_it_cleanly(number: signal.Signals, code: int) -> None:
    with server_process("-p", "0", "sim://esp32c3", stderr=subprocess.PIPE) as (process, _):
        process.send_signal(number)
        _, stderr = process.communicate(timeout=PATIENCE)
        assert process.returncode == code
    assert "Traceback" not in stderr


def test_it_ends_with_the_program_that_holds_its_standard_input() -> None:
    command = esploader("serve", "--until-eof", "-p", "0", "sim://esp32c3")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        while not read_line(process).startswith("Serving"):
            pass
        assert process.stdin is not None
        process.stdin.write("what is written there means nothing\n")
        process.stdin.flush()
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


def test_where_nobody_asks_for_that_the_end_of_standard_input_ends_nothing() -> None:
    with server_process("-p", "0", "sim://esp32c3") as (process, (url,)):
        assert main(["--port", url, "--no-stub", "chip-id"]) == 0
        assert process.poll() is None


def test_one_line_says_where_each_port_is_and_the_file_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "ports.txt"
    ports = ("sim://esp32c3", "sim://esp32")
    command = esploader("serve", "-p", "0", "--port-file", str(path), *ports)
    with running(*command, stderr=subprocess.PIPE) as process:
        assert read_line(process).startswith("esploader v")
        lines = [read_line(process) for _ in ports]
        served = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        assert lines == [f"Serving {port} on {url}\n" for url, port in served]
        process.terminate()
        _, stderr = process.communicate(timeout=PATIENCE)
    assert "only this machine can use these ports" in stderr
    assert not path.exists()


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        # What it says in place of that: the test in front.
        pytest.param(["--bind", "127.0.0.1"], False, marks=pytest.mark.slow),
        (["--bind", "0.0.0.0"], True),  # noqa: S104 - ditto
    ],
    ids=["loopback", "everybody"],
)
def test_a_warning_when_anybody_can_use_the_ports(
    options: list[str],
    warned: bool,  # noqa: FBT001 - a column of the table
) -> None:
    command = esploader("serve", "-p", "0", "sim://esp32c3", *options)
    with running(*command, stderr=subprocess.PIPE) as process:
        read_line(process)
        read_line(process)
        process.terminate()
        _, stderr = process.communicate(timeout=PATIENCE)
    assert ("WARNING: anybody on the network can use these ports" in stderr) is warned


def test_an_empty_address_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "-p", "0", "sim://esp32c3", "--bind", ""]) == 2
    complaint = "cannot listen on '': an address to listen on is empty"
    assert complaint in capsys.readouterr().err


def test_the_program_of_its_own_is_the_same_command() -> None:
    code = "from esploader.cli import server_entry_point; server_entry_point()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        check=True,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.stdout.startswith("usage: esploader-rfc2217-server")
    assert "--tcp-port" in done.stdout


def test_the_version_loads_no_server() -> None:
    code = (
        "import sys; from esploader.cli import main; main(['version']);"
        "print([name for name in sys.modules if 'server' in name or name == 'asyncio'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment()
    )
    assert done.stdout.splitlines()[-1] == "[]"
