"""``serve --stdio``: one port, one client, and nothing else on stdout; it ends with its client."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import IO, TYPE_CHECKING

import pytest

from esploader.cli import main
from esploader.commands.exit_codes import EXPLANATIONS
from esploader.errors import PortNotFoundError
from esploader.transport.greeting import GREETING
from esploader.transport.serial_port import SerialPortTransport
from loaded_commands import esploader
from programs import PATIENCE, environment, run, served_chip
from pseudo_terminal import PseudoTerminal

if TYPE_CHECKING:
    from collections.abc import Iterator

SIMULATED = "sim://esp32c3"
TELNET = b"\xff"
WILL_COM_PORT = b"\xff\xfb\x2c"


@contextlib.contextmanager
def serving(port: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Serve a port to us, at pipes without buffers."""
    with subprocess.Popen(
        esploader("serve", "--stdio", *options, "--", port),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=environment(),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ends_of(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdout is not None
    assert process.stdin is not None
    return process.stdout, process.stdin


def read_greeting(process: subprocess.Popen[bytes]) -> bytes:
    """Return what comes up to the first word of telnet."""
    stdout, _ = ends_of(process)
    said = b""
    while TELNET not in said:
        piece = stdout.read(4096)
        assert piece
        said += piece
    return said


def outcome(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Return exit code and stderr of a program that ends."""
    assert process.stderr is not None
    code = process.wait(PATIENCE)
    return code, process.stderr.read().decode()


def test_nothing_is_on_stdout_but_the_protocol() -> None:
    with serving(SIMULATED, "-v") as process:
        said = read_greeting(process)
        stdout, stdin = ends_of(process)
        stdin.close()
        while piece := stdout.read(4096):
            said += piece
        code, stderr = outcome(process)
    assert said.startswith(GREETING + TELNET)
    assert said.isascii() is False
    assert b"esploader v" not in said
    assert b"port" not in said.removeprefix(GREETING)
    assert "port-open" in stderr
    assert code == 0


def test_who_does_not_ask_for_more_hears_only_what_explains_a_failure() -> None:
    with serving(SIMULATED) as process:
        said = read_greeting(process)
        _, stdin = ends_of(process)
        stdin.write(WILL_COM_PORT)
        stdin.close()
        assert outcome(process) == (0, "")
    assert said.startswith(GREETING)


def test_the_port_is_free_when_it_has_ended() -> None:
    with contextlib.closing(PseudoTerminal()) as terminal:
        with serving(terminal.path) as process:
            read_greeting(process)
            _, stdin = ends_of(process)
            stdin.write(WILL_COM_PORT + b"to the port")
            assert terminal.read(11) == b"to the port"
            stdin.close()
            assert outcome(process)[0] == 0
        SerialPortTransport.open(terminal.path).close()


def test_a_client_that_vanishes_behind_more_than_the_port_takes_is_noticed() -> None:
    with (
        served_chip("esp32c3", "--realtime") as urls,
        serving(urls["rfc2217"]) as process,
    ):
        read_greeting(process)
        stdout, stdin = ends_of(process)
        # More than is taken of it: nobody reads any of this for a minute.
        os.set_blocking(stdin.fileno(), False)
        stdin.write(WILL_COM_PORT)
        sent = 0
        while (written := stdin.write(bytes(65536))) is not None:
            sent += written
        assert sent
        stdout.close()
        stdin.close()
        code, stderr = outcome(process)
    assert code == 0
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 0),
        # As with any other server: test_ending.py.
        pytest.param(signal.SIGINT, -signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, -signal.SIGHUP, marks=pytest.mark.slow),
    ],
    ids=["SIGTERM", "SIGINT", "SIGHUP"],
)
def test_a_signal_ends_it(number: signal.Signals, code: int) -> None:
    with serving(SIMULATED) as process:
        read_greeting(process)
        process.send_signal(number)
        assert outcome(process)[0] == code


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "there is no port to serve"),
        (["a", "b"], "it serves one port, not 2"),
        (["a", "-p", "0"], "it does not go with --tcp-port"),
        (["a", "--announce"], "it does not go with --announce"),
        (["a", "--bind", "::1"], "it does not go with --bind"),
        (["a", "--allow", "::1"], "it does not go with --allow"),
        (["a", "--tls-cert", "c"], "it does not go with --tls-cert"),
        (["a", "--raw"], "it does not go with --raw"),
        (["a", "--all"], "it does not go with --all"),
        (["a", "--json"], "it does not go with --json"),
        (["a", "--port-file", "f"], "it does not go with --port-file"),
        (["a", "--watch-port", "0"], "it does not go with --watch-port"),
        (["a", "--takeover"], "it does not go with --takeover"),
        (["a", "--token-file", "f"], "it does not go with --token-file"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_it_does_not_go_with(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--exit-codes", "detailed", "serve", "--stdio", *words]) == 6
    assert complaint in capsys.readouterr().err


def test_what_can_never_be_a_port_is_said_on_stderr() -> None:
    done = run(*esploader("serve", "--stdio", "sim://nochip"))
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "cannot use 'sim://nochip' as a port" in done.stderr


def test_a_port_that_is_not_there_is_not_waited_for() -> None:
    words = ("--exit-codes", "detailed", "serve", "--stdio", "/dev/no-such-port")
    done = run(*esploader(*words))
    assert done.exit_code == EXPLANATIONS[PortNotFoundError].code
    # The client is told where it looks, and who has run it by hand where he does.
    assert done.stdout.startswith("\nesploader cannot serve here: the port is not there: /dev/no-")
    assert "A fatal error occurred: /dev/no-such-port: " in done.stderr


def test_a_person_is_told_that_it_is_for_programs() -> None:
    with contextlib.closing(PseudoTerminal()) as terminal:
        descriptor = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY)
        try:
            done = subprocess.run(
                esploader("serve", "--stdio", SIMULATED),
                check=False,
                capture_output=True,
                text=True,
                stdin=descriptor,
                env=environment(),
                timeout=PATIENCE,
            )
        finally:
            os.close(descriptor)
    assert done.returncode == 2
    assert "--stdio: it is for programs: stdin is a terminal" in done.stderr
