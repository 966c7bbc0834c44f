"""A port at the far end of ``ssh``: used, lost, left, and not to be had, and ssh ends each time.

``ssh`` is a script that has a shell do what sshd would have it do. With OpenSSH:
``tests/peer/test_ssh.py``.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
from typing import TYPE_CHECKING

import pytest

from esploader import connect
from esploader.errors import (
    HostUnreachableError,
    NegotiationError,
    PortBusyError,
    PortNotFoundError,
    SshError,
    TransportClosedError,
    TransportError,
)
from esploader.transport.greeting import MAX_PREAMBLE
from esploader.transport.serial_port import SerialPortTransport
from esploader.urls import open_transport
from eventually import eventually
from far_ends import FarEnd, far_end
from loaded_commands import esploader
from programs import PATIENCE
from pseudo_terminal import PseudoTerminal
from served import read_to_the_end
from slow_boards import DATA, BoardFiles, slow_board
from writes import OFFSET, writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIMULATED = "sim://esp32c3"


@pytest.fixture(name="there")
def _there(tmp_path: Path) -> Iterator[FarEnd]:
    with far_end(tmp_path) as there:
        noting = f"echo $$ >> {shlex.quote(str(there.folder))}/pids"
        there.has("esploader", f'{noting}\nexec {shlex.join(esploader())} "$@"')
        yield there


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> BoardFiles:
    return BoardFiles.of_old(tmp_path)


@pytest.fixture(name="slow_url")
def _slow_url(there: FarEnd, files: BoardFiles) -> Iterator[str]:
    """A port there whose device takes its time."""
    with slow_board(files) as url:
        yield there.url(url)


def failure_to_open(there: FarEnd, port: str = SIMULATED, query: str = "") -> TransportError:
    with pytest.raises(TransportError) as caught:
        open_transport(there.url(port, query))
    assert type(caught.value) in {
        *(HostUnreachableError, NegotiationError, PortBusyError, PortNotFoundError),
        *(SshError, TransportError),
    }
    # Nothing waits for the far end of what does not serve, but nothing of it stays either.
    eventually(there.require_end, AssertionError)
    assert caught.value.port == there.url(port, query)
    return caught.value


def test_it_can_do_what_a_port_of_our_own_server_can_and_tells_ssh_how(there: FarEnd) -> None:
    with open_transport(there.url(SIMULATED)) as transport:
        capabilities = transport.capabilities
        assert transport.name == there.url(SIMULATED)
        assert capabilities.gated
        assert capabilities.remote
        assert capabilities.set_lines
        assert capabilities.set_baudrate
        transport.set_baudrate(921600)
        assert 0 < transport.round_trip < PATIENCE
    *options, end, host, command = there.words
    assert (end, host) == ("--", "bench")
    assert command == "esploader serve --stdio -- sim://esp32c3"
    # Nobody is there to be asked.
    assert options[-1] == "BatchMode=yes"


def test_a_write_and_what_it_does_not_touch(there: FarEnd, files: BoardFiles) -> None:
    url = there.url(f"{SIMULATED}%3Ffile={files.flash}")
    with connect(url, stub=False, baudrate=921600) as device:
        device.flash.write([(OFFSET, DATA)])
        assert device.flash.read(OFFSET, len(DATA)) == DATA
    files.assert_written()


SAID = (
    "echo 'Welcome to Debian GNU/Linux'",
    "printf '\\377\\375\\054'; echo telnet",
    "yes | head -c 60000",
    "echo beside >&2",
    "printf 'no end of line'",
)


@pytest.mark.parametrize(
    "says",
    [
        "; ".join(SAID),
        *(pytest.param(said, marks=pytest.mark.slow) for said in SAID),
    ],
)
def test_what_a_shell_says_first_does_no_harm(says: str, there: FarEnd) -> None:
    there.logs_in(says)
    with connect(there.url(SIMULATED), stub=False) as device:
        assert device.chip.name == "ESP32-C3"


def test_a_shell_that_does_not_stop_talking(there: FarEnd) -> None:
    there.logs_in(f"yes | head -c {2 * MAX_PREAMBLE}")
    error = failure_to_open(there)
    assert isinstance(error, SshError)
    assert error.reason.startswith("what ssh runs at the far end does not begin to serve")


@pytest.mark.parametrize(
    ("said", "error_class", "reason"),
    [
        ("ssh: Could not resolve hostname x: no", HostUnreachableError, "ssh does not reach"),
        ("me@x: Permission denied (publickey).", SshError, "the host does not let us in"),
        ("Host key verification failed.", SshError, "ssh does not know the key of the host"),
        ("\x1b[31mred\x1b[0m", SshError, "ssh failed; it says '\\x1b[31mred\\x1b[0m'"),
    ],
)
def test_ssh_that_does_not_get_there(
    said: str, error_class: type[TransportError], reason: str, there: FarEnd
) -> None:
    there.fails(said)
    error = failure_to_open(there)
    assert type(error) is error_class
    assert error.reason.startswith(reason)


def test_without_ssh(there: FarEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(there.programs))
    assert failure_to_open(there).reason == "there is no program 'ssh' on this machine"


def test_what_cannot_be_run_is_no_ssh(there: FarEnd) -> None:
    (there.folder / "ssh").write_bytes(b"\x7fELF")
    assert failure_to_open(there).reason.startswith("ssh cannot be run: ")


def test_where_there_is_no_program_of_that_name_python_may_have_it(there: FarEnd) -> None:
    (there.programs / "esploader").unlink()
    there.has_python()
    open_transport(there.url(SIMULATED)).close()
    assert there.words[-1] == "python3 -m esploader serve --stdio -- sim://esp32c3"
    assert len(there.processes) == 2


@pytest.mark.parametrize("query", ["", "?command=elsewhere/esploader", "?command=/usr/bin/python3"])
def test_without_esploader_at_the_far_end(query: str, there: FarEnd) -> None:
    (there.programs / "esploader").unlink()
    there.has("python3", 'echo "$0: No module named esploader" >&2; exit 1')
    error = failure_to_open(there, query=query)
    assert isinstance(error, SshError)
    assert error.reason.startswith("esploader is not found at the far end; it says ")


def test_an_esploader_that_does_not_know_this_yet(there: FarEnd) -> None:
    there.has("esploader", "echo 'error: there is no option --stdio' >&2; exit 2")
    error = failure_to_open(there)
    assert isinstance(error, SshError)
    assert error.reason.startswith("the esploader at the far end is too old for ssh://")


def test_a_port_that_can_never_be_there(there: FarEnd) -> None:
    error = failure_to_open(there, "sim://nochip")
    assert error.reason.startswith("the far end says \"cannot use 'sim://nochip' as a port")


@pytest.mark.parametrize(
    ("port", "error_class", "reason"),
    [
        ("dev/no-such-port", PortNotFoundError, "the server says 'the port is not there: /dev/no-"),
        ("dev/null", TransportError, "the server says 'the server cannot open the port: /dev/null"),
    ],
)
def test_a_port_that_is_not_to_be_had(
    port: str, error_class: type[TransportError], reason: str, there: FarEnd
) -> None:
    error = failure_to_open(there, port)
    assert type(error) is error_class
    assert error.reason.startswith(reason)


def test_a_port_that_another_program_has(there: FarEnd) -> None:
    with (
        contextlib.closing(PseudoTerminal()) as terminal,
        SerialPortTransport.open(terminal.path),
    ):
        error = failure_to_open(there, terminal.path.removeprefix("/"))
    assert type(error) is PortBusyError
    assert "in use by another program at the server" in error.reason


def test_a_far_end_that_dies_says_why_and_the_port_can_be_opened_again(there: FarEnd) -> None:
    url = there.url(SIMULATED)
    with open_transport(url) as transport:
        os.kill(there.processes[-1], signal.SIGKILL)
        with pytest.raises(TransportClosedError):
            read_to_the_end(transport)
    open_transport(url).close()


def test_what_ssh_says_last_is_in_the_message(there: FarEnd) -> None:
    served = f'{shlex.join(esploader())} "$@" <&3 & echo $! >> {there.folder}/pids'
    there.has("esploader", f"exec 3<&0\n{served}\nwait\necho 'closed by remote host.' >&2")
    with open_transport(there.url(SIMULATED)) as transport:
        os.kill(there.processes[-1], signal.SIGKILL)
        with pytest.raises(TransportClosedError, match=r"; it says 'closed by remote host\.'$"):
            read_to_the_end(transport)


def test_what_ssh_says_can_be_logged(there: FarEnd, caplog: pytest.LogCaptureFixture) -> None:
    there.logs_in("echo beside >&2")
    open_transport(there.url(SIMULATED, "?logging=warning")).close()
    (record,) = (each for each in caplog.records if "ssh says" in each.getMessage())
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(there.url(SIMULATED))
    assert "beside" in record.getMessage()


def test_a_write_outlives_the_far_end(slow_url: str, there: FarEnd, files: BoardFiles) -> None:
    # It begins anew and goes on to the end: at twice the usual rate.
    with writing(slow_url, files.image, "-b", "230400") as process:
        os.kill(there.processes[-1], signal.SIGKILL)
        _, stderr = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, stderr
    assert len(set(there.processes)) > 1
    files.assert_written()


# All of them, without ssh: commands/test_ending.py.
@pytest.mark.parametrize(
    "name",
    [
        "SIGINT",
        pytest.param("SIGTERM", marks=pytest.mark.slow),
        pytest.param("SIGHUP", marks=pytest.mark.slow),
    ],
)
def test_what_ends_all_in_front_spares_ssh_until_the_device_is_left(
    name: str, slow_url: str, there: FarEnd, files: BoardFiles
) -> None:
    number = signal.Signals[name]
    with writing(slow_url, files.image) as process:
        os.killpg(process.pid, number)
        _, stderr = process.communicate(timeout=PATIENCE)
        assert process.returncode == -number, stderr
    assert "is not left as --after says" not in stderr
    # Not in the end of the test: when it has ended nothing of it is there any more.
    there.require_end()
    files.await_its_application()
    files.assert_untouched()


def test_who_is_killed_takes_the_far_end_along(
    slow_url: str, there: FarEnd, files: BoardFiles
) -> None:
    with writing(slow_url, files.image) as process:
        process.kill()
        process.communicate(timeout=PATIENCE)
    eventually(there.require_end, AssertionError)
    # The port is free, and the next one finds the device.
    with connect(slow_url, stub=False) as device:
        assert device.chip.name == "ESP32-C3"
    files.assert_untouched()
