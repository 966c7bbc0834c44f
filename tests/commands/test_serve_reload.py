"""``serve --reload``, and SIGHUP: who has a server read its configuration file again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest

from esploader.cli import main
from esploader.commands.output import Output
from esploader.commands.parser import parse
from esploader.commands.reloading import write_report
from esploader.connector import connect
from esploader.errors import TransportError
from esploader.server.reload import Report
from eventually import eventually
from programs import environment, esploader, read_line, run
from served import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEGINNING = """
tcp-port = 0
[[port]]
device = "sim://esp32c3"
name = "first"
"""
MORE = """
[[port]]
device = "sim://esp32s3"
name = "second"
"""


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    path = tmp_path / "ports.toml"
    path.write_text(BEGINNING, encoding="utf-8")
    # The name of a Unix socket has to be short.
    with tempfile.TemporaryDirectory() as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        yield path


@contextlib.contextmanager
def served(
    config_file: Path, *options: str, terminal: str | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Serve in a session of its own, which has that terminal, or none."""
    command = esploader("serve", "--config", str(config_file), *options)
    if terminal is not None:
        # The first terminal that the first process of a session opens is that of the session.
        command = ("sh", "-c", 'exec < "$0"; exec "$@"', terminal, *command)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    ) as process:
        try:
            while not (line := read_line(process)).startswith("Serving"):
                assert line, process.stderr and process.stderr.read()
            yield process
        finally:
            process.kill()


def test_a_reload_says_what_has_changed(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port_file = tmp_path / "ports.txt"
    with served(config_file, "--port-file", str(port_file)) as process:
        config_file.write_text(f'takeover = true\nbind = "::1"\n{BEGINNING}{MORE}')
        assert main(["serve", "--reload", "--config", str(config_file)]) == 0
        said = capsys.readouterr()
        assert said.out.splitlines() == [
            "Added second",
            "Changed takeover, for clients that come from now on",
        ]
        assert said.err == "WARNING: bind needs a restart of the server\n"
        assert read_line(process).startswith("Serving second on rfc2217://127.0.0.1:")
        lines = port_file.read_text(encoding="utf-8").splitlines()
        assert [line.partition(" ")[2] for line in lines] == ["first", "second"]
        config_file.write_text(BEGINNING, encoding="utf-8")
        assert main(["serve", "--reload", "--config", str(config_file), "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["reload"]["removed"] == ["second"]
        assert document["reload"]["kept"] == ["first"]
        url, _, _ = port_file.read_text(encoding="utf-8").partition(" ")
        with eventually(lambda: connect(url, stub=False), TransportError) as device:
            assert device.chip.name == "ESP32-C3"
        assert main(["serve", "--reload", "--config", str(config_file)]) == 0
        assert capsys.readouterr().out == "Nothing has changed\n"


def test_a_bad_file_changes_nothing_and_is_reported(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(config_file) as process:
        config_file.write_text(f"{BEGINNING}\ncolour = 1\n", encoding="utf-8")
        command = ["serve", "--reload", "--exit-codes", "detailed", "--config", str(config_file)]
        assert main(command) == 6
        reason = f"the server goes on as before: {config_file}: port 1: colour"
        assert reason in capsys.readouterr().err
        assert process.poll() is None
        process.terminate()
        _, log = process.communicate(timeout=PATIENCE)
    assert "not-reloaded reason=" in log
    assert process.returncode == 0


def test_sighup_without_a_terminal_has_the_file_read_again(config_file: Path) -> None:
    with served(config_file) as process:
        config_file.write_text(f"{BEGINNING}{MORE}", encoding="utf-8")
        process.send_signal(signal.SIGHUP)
        assert read_line(process).startswith("Serving second on ")
        assert read_line(process) == "Added second\n"
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_sighup_of_a_terminal_that_is_gone_ends_the_server_with_a_line(config_file: Path) -> None:
    master, slave = os.openpty()
    try:
        with served(config_file, terminal=os.ttyname(slave)) as process:
            process.send_signal(signal.SIGHUP)
            _, said = process.communicate(timeout=PATIENCE)
    finally:
        os.close(master)
        os.close(slave)
    assert process.returncode == -signal.SIGHUP
    assert said.endswith("\nInterrupted by SIGHUP.\n")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "--reload: it needs --config"),
        (["--config", "none.toml"], "none.toml: no server of this user has been started with"),
    ],
)
def test_without_its_file_no_server_is_found(
    config_file: Path, options: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert config_file.exists()
    assert main(["serve", "--reload", *options]) == 2
    assert reason in capsys.readouterr().err


def test_a_server_that_nobody_can_reach_says_so_and_serves(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_to_all = config_file.parent / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(open_to_all))
    with served(config_file) as process:
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE)
    assert "NOTE: --reload will not reach this server: " in said
    answer = run(*esploader("serve", "--reload", "--config", str(config_file)))
    assert "it is not a folder of this user alone" in answer.stderr


def test_a_port_that_is_not_served_after_all_is_warned_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, arguments = parse(["read-mac"], {})
    report = Report(added=("first",), missing=("second: another program has it",))
    write_report(report, Output(arguments))
    said = capsys.readouterr()
    assert said.out == "Added first\n"
    assert said.err == "WARNING: not served: second: another program has it\n"
