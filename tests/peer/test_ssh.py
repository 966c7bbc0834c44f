"""OpenSSH at both ends: a board is written through it, and whatever ends leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest

from esploader import connect
from esploader.cli import main
from esploader.errors import (
    HostUnreachableError,
    PortNotFoundError,
    SshError,
    TransportClosedError,
    TransportError,
)
from esploader.urls import open_transport
from eventually import eventually
from programs import PATIENCE, esploader, free_port
from served import read_to_the_end
from slow_boards import DATA, BoardFiles, slow_board
from ssh_servers import SshServer, ssh_server
from writes import OFFSET, writing

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("termios", reason="pseudo-terminals are POSIX")

from foreground import CTRL_C, Terminal

pytestmark = [pytest.mark.peer, pytest.mark.slow]

SIMULATED = "sim://esp32c3"
TYPED = "open sesame"


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[SshServer]:
    with ssh_server(tmp_path) as server:
        yield server


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> BoardFiles:
    return BoardFiles.of_old(tmp_path)


@pytest.fixture(name="slow_url")
def _slow_url(server: SshServer, files: BoardFiles) -> Iterator[str]:
    """A port there whose device takes its time."""
    with slow_board(files) as url:
        yield server.url(url)


def failure_to_open(server: SshServer, port: str = SIMULATED) -> TransportError:
    with pytest.raises(TransportError) as caught:
        open_transport(server.url(port))
    eventually(server.there.require_end, AssertionError)
    return caught.value


def test_a_device_is_watched(server: SshServer, capsys: pytest.CaptureFixture[str]) -> None:
    url = server.url(SIMULATED)
    assert main(["monitor", "--port", url, "--until", "invalid header", "--timeout", "60"]) == 0
    assert capsys.readouterr().out.startswith("ESP-ROM:esp32c3")


def test_a_write_and_what_it_does_not_touch(server: SshServer, files: BoardFiles) -> None:
    with connect(
        server.url(f"{SIMULATED}%3Ffile={files.flash}"), stub=False, baudrate=921600
    ) as device:
        assert device.session.transport.capabilities.gated
        device.flash.write([(OFFSET, DATA)])
        assert device.flash.read(OFFSET, len(DATA)) == DATA
    # Closing has waited for all of it.
    server.there.require_end()
    files.assert_written()


def test_a_login_for_one_port_alone(server: SshServer) -> None:
    program = f"{server.there.programs}/esploader"
    restriction = f'restrict,command="{program} serve --stdio sim://esp32s3" '
    server.authorize(server.make_key("key"), restriction)
    with connect(server.url("dev/something-else"), stub=False) as device:
        assert device.chip.name == "ESP32-S3"


def test_blanks_and_quotes_in_names_get_there_as_they_are(server: SshServer) -> None:
    error = failure_to_open(server, "dev/it's%20%22here%22%20$(x);%20&%20%60y%60")
    assert type(error) is PortNotFoundError
    assert "$(x); & `y`" in error.reason


def test_a_host_that_is_not_there(server: SshServer, tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace(f"Port {server.port}", f"Port {free_port()}"), encoding="utf-8")
    error = failure_to_open(server)
    assert type(error) is HostUnreachableError
    assert error.reason.startswith("ssh does not reach the host: 'ssh: connect to host 127.0.0.1")


def test_a_name_that_nobody_knows(server: SshServer, tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("HostName 127.0.0.1", "HostName no.invalid"), encoding="utf-8")
    assert type(failure_to_open(server)) is HostUnreachableError


def test_a_key_that_is_not_authorized(server: SshServer) -> None:
    server.authorize(server.make_key("another"))
    error = failure_to_open(server)
    assert type(error) is SshError
    assert error.reason.startswith("the host does not let us in: ")
    assert "Permission denied (publickey)" in error.reason


def test_a_host_that_is_not_known(server: SshServer, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").unlink()
    error = failure_to_open(server)
    assert type(error) is SshError
    assert error.reason.startswith("ssh does not know the key of the host")


def test_a_host_with_another_key(server: SshServer) -> None:
    server.make_known(server.make_key("another"))
    error = failure_to_open(server)
    assert type(error) is SshError
    assert error.reason.startswith("the key of the host is not the one that ssh knows")


def test_without_esploader_at_the_far_end(server: SshServer) -> None:
    (server.there.programs / "esploader").unlink()
    error = failure_to_open(server)
    assert type(error) is SshError
    assert error.reason.startswith("esploader is not found at the far end")


def test_a_port_that_is_not_there(server: SshServer) -> None:
    assert type(failure_to_open(server, "dev/no-such-port")) is PortNotFoundError


@pytest.mark.parametrize("which", ["ssh", "the far end"])
def test_what_is_killed_takes_the_other_end_along(which: str, server: SshServer) -> None:
    with open_transport(server.url(SIMULATED)) as transport:
        ssh, far = server.there.processes
        os.kill(ssh if which == "ssh" else far, signal.SIGKILL)
        with pytest.raises(TransportClosedError):
            read_to_the_end(transport)
        if which == "ssh":
            eventually(lambda: require_end_of(far), AssertionError)
    server.there.require_end()


def require_end_of(number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, 0)
        raise AssertionError(f"the process {number} is still there")


@pytest.mark.parametrize("which", ["ssh", "the far end"])
def test_a_write_outlives_what_is_killed(
    which: str, slow_url: str, server: SshServer, files: BoardFiles
) -> None:
    with writing(slow_url, files.image) as process:
        ssh, far = server.there.processes
        os.kill(ssh if which == "ssh" else far, signal.SIGKILL)
        _, stderr = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, stderr
    assert len(server.there.processes) > 2
    files.assert_written()


def test_ctrl_c_at_a_terminal_spares_ssh_until_the_device_is_left(
    slow_url: str, server: SshServer, files: BoardFiles
) -> None:
    options = ("--port", slow_url, "--no-stub", "--trace")
    command = esploader(*options, "write-flash", "-u", "--no-skip", hex(OFFSET), str(files.image))
    with contextlib.closing(Terminal()) as terminal:
        with terminal.start(*command) as process:
            while b"FlashData" not in terminal.shown:
                assert terminal.look()
            # In front of the terminal, as we are: it is the signals that ssh leaves blocked.
            ssh = server.there.processes[0]
            assert "BatchMode=yes" not in server.there.words
            assert os.getpgid(ssh) == process.pid
            terminal.write(CTRL_C)
            terminal.read_to_the_end(process)
        shown = terminal.look_for_the_last_time()
    assert process.returncode == -signal.SIGINT, shown
    server.there.require_end()
    files.await_its_application()
    files.assert_untouched()


def flash_id_in(terminal: Terminal, server: SshServer) -> subprocess.Popen[bytes]:
    """Start a command in the foreground that has to be asked for a passphrase."""
    server.authorize(server.make_key("key", TYPED))
    words = ("--port", server.url(SIMULATED), "--no-stub", "flash-id")
    process = terminal.start(*esploader(*words))
    while b"passphrase" not in terminal.shown:
        assert terminal.look()
    return process


def test_at_a_terminal_a_passphrase_can_be_typed(server: SshServer) -> None:
    with contextlib.closing(Terminal()) as terminal:
        with flash_id_in(terminal, server) as process:
            terminal.write(f"{TYPED}\n".encode())
            terminal.read_to_the_end(process)
        shown = terminal.look_for_the_last_time()
    assert process.returncode == 0, shown
    assert "Detected flash size: 4MB" in shown
    assert TYPED not in shown


def test_ctrl_c_in_place_of_a_passphrase(server: SshServer) -> None:
    with contextlib.closing(Terminal()) as terminal:
        with flash_id_in(terminal, server) as process:
            terminal.write(CTRL_C)
            terminal.read_to_the_end(process)
        shown = terminal.look_for_the_last_time()
    assert process.returncode == -signal.SIGINT, shown
    server.there.require_end()


def test_where_nobody_can_be_asked_a_passphrase_is_a_failure(server: SshServer) -> None:
    server.authorize(server.make_key("key", TYPED))
    assert type(failure_to_open(server)) is SshError
