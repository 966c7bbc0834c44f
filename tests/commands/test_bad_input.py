"""Whatever is wrong with the port: one clear sentence, its own exit code, the port free."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from esploader import errors
from esploader.cli import main
from esploader.commands.exit_codes import EXPLANATIONS
from esploader.server.serve import Server
from esploader.simulator.url import open_served, parse
from esploader.transport.serial_port import SerialPortTransport
from tcp_host import read_until_closed, receive, tcp_host

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534


def outcome(*arguments: str) -> int:
    """Return the exit code of ``flash_id``, one per class of error."""
    options = ("--exit-codes", "detailed", "--connect-attempts", "1")
    return main([*options, *arguments, "flash_id"])


def code_of(error: type[errors.EsploaderError]) -> int:
    return EXPLANATIONS[error].code


@pytest.fixture(name="terminal")
def _terminal() -> Iterator[str]:
    """A serial port with nobody at the other end."""
    master, slave = os.openpty()
    try:
        yield os.ttyname(slave)
    finally:
        os.close(master)
        os.close(slave)


def assert_free(port: str) -> None:
    SerialPortTransport.open(port).close()


def test_a_busy_port(terminal: str, capsys: pytest.CaptureFixture[str]) -> None:
    with SerialPortTransport.open(terminal):
        assert outcome("--port", terminal) == code_of(errors.PortBusyError)
    assert "HINT: Close the other program" in capsys.readouterr().err
    assert_free(terminal)


def test_a_port_of_somebody_else(terminal: str) -> None:
    if os.geteuid() != 0:
        os.chmod(terminal, 0)  # noqa: PTH101 - a path from the system
    # Root may open everything, so it becomes nobody; first it does the same once, because
    # the code may lie where only root can read.
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                "import os, sys\n"
                "from esploader.cli import main\n"
                "main(['--port', '/dev/does-not-exist', 'flash_id'])\n"
                "print('and now:', file=sys.stderr)\n"
                f"os.geteuid() or os.setuid({NOBODY})\n"
                "sys.exit(main(sys.argv[1:]))"
            ),
            *("--exit-codes", "detailed", "--port", terminal, "flash_id"),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code_of(errors.PortPermissionError)
    assert "dialout" in done.stderr.partition("and now:")[2]
    assert "Traceback" not in done.stderr


def test_a_device_that_is_silent_leaves_the_port_free(terminal: str) -> None:
    assert outcome("--port", terminal) == code_of(errors.SilentDeviceError)
    assert_free(terminal)


def test_an_unknown_chip_leaves_the_port_free(terminal: str) -> None:
    assert outcome("--port", terminal, "--chip", "esp33") == code_of(errors.UnsupportedError)
    assert_free(terminal)


@pytest.mark.parametrize("scheme", ["rfc2217", "socket"])
def test_a_host_that_refuses(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert outcome("--port", f"{scheme}://127.0.0.1:{port}") == code_of(errors.HostUnreachableError)


def test_a_port_server_that_says_nothing() -> None:
    with tcp_host(read_until_closed) as port:
        url = f"rfc2217://127.0.0.1:{port}?timeout=0.2"
        assert outcome("--port", url) == code_of(errors.NegotiationError)


def test_a_raw_port_that_says_nothing() -> None:
    with tcp_host(read_until_closed) as port:
        assert outcome("--port", f"socket://127.0.0.1:{port}") == code_of(errors.SilentDeviceError)


def test_a_server_that_closes_in_mid_command() -> None:
    with tcp_host(lambda connection: receive(connection, b"\x55")) as port:
        assert outcome("--port", f"socket://127.0.0.1:{port}") == code_of(
            errors.TransportClosedError
        )


def test_a_line_that_sends_noise_for_ever() -> None:
    def babble(connection: socket.socket) -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            connection.sendall(bytes(range(128, 192)))

    with tcp_host(babble) as port:
        assert outcome("--port", f"socket://127.0.0.1:{port}") == code_of(errors.NoisyLineError)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("nonsense://host:1", errors.UnknownSchemeError),
        ("socket://", errors.UrlError),
        ("socket://host", errors.UrlError),
        ("socket://host:0", errors.UrlError),
        ("socket://host:65536", errors.UrlError),
        ("socket://host:port", errors.UrlError),
        ("socket://host:1?speed=fast", errors.UrlError),
        ("rfc2217://:1", errors.UrlError),
        ("rfc2217://host:1?timeout=soon", errors.UrlError),
        ("rfc2217://host:1?ign_set_control=maybe", errors.UrlError),
        ("sim://", errors.UrlError),
        ("sim://esp32c3?flash=3MB", errors.UrlError),
        ("sim://esp32c3?flash", errors.UrlError),
        ("sim://esp32c3?colour=blue", errors.UrlError),
        ("sim://esp32c3?mac=1:2:3", errors.UrlError),
        ("sim://esp32c3/path", errors.UrlError),
        ("sim://esp32c3?state=asleep", errors.UrlError),
        ("sim://esp32c3?file=/does/not/exist", errors.UrlError),
        ("sim://esp32c3?file=/dev", errors.UrlError),
        ("sim://esp32c3?file=/dev/null", errors.UrlError),
    ],
)
def test_urls_that_make_no_sense(
    url: str, error: type[errors.EsploaderError], capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome("--port", url) == code_of(error)
    complaint = capsys.readouterr().err
    assert url in complaint
    assert "HINT: " in complaint


def test_a_chip_that_shows_its_boot_log(capsys: pytest.CaptureFixture[str]) -> None:
    log = b"rst:0x1 (POWERON),boot:0xd (SPI_FAST_FLASH_BOOT)\r\n"

    def boot(connection: socket.socket) -> None:
        receive(connection, b"\x55")  # A SYNC: what comes before it does not count.
        connection.sendall(log)
        read_until_closed(connection)

    with tcp_host(boot) as port:
        assert outcome("--port", f"socket://127.0.0.1:{port}") == code_of(errors.WrongBootModeError)
    assert "boot mode 0xd" in capsys.readouterr().err


def test_another_chip_leaves_the_port_free() -> None:
    transport = open_served(parse("sim://esp32c3?state=download"))
    with transport, Server(transport) as server:
        port = server.open_pty()
        server.start()
        assert outcome("--port", port, "--chip", "esp32") == code_of(errors.WrongChipError)
        assert_free(port)


def test_a_chip_that_runs_its_application(capsys: pytest.CaptureFixture[str]) -> None:
    # Without the lines there is no way into download mode.
    url = "sim://esp32c3?state=app"
    assert outcome("--port", url, "--before", "no-reset") == code_of(errors.SilentDeviceError)
    assert "hold BOOT, press RESET" in capsys.readouterr().err
