"""What a service manager is told, by a socket of our own in its place."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from esploader.errors import ConfigError
from esploader.server.service_manager import ServiceManager
from programs import PATIENCE, environment, esploader

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = """
tcp-port = 0
[[port]]
device = "sim://esp32c3"
"""


class Manager:
    """Listens at ``address``; one that begins with ``@`` is abstract."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    def hear(self) -> dict[str, str]:
        """Return the next message."""
        lines = self._socket.recv(65536).decode().split("\n")
        return dict(line.split("=", 1) for line in lines)

    def hear_of(self, name: str) -> dict[str, str]:
        """Return the next message with that name, and pass over others."""
        while name not in (message := self.hear()):
            pass
        return message

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("only Linux has abstract sockets")
    with tempfile.TemporaryDirectory() as folder:
        name = f"@{secrets.token_hex(8)}" if request.param == "abstract" else f"{folder}/notify"
        with contextlib.closing(Manager(name)) as made:
            yield made


@contextlib.contextmanager
def service(
    config: Path, manager: Manager, **variables: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a server as a service; yield it and the first that it says of itself."""
    runtime = Path(tempfile.mkdtemp())
    with subprocess.Popen(
        esploader("serve", "--config", str(config)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={
            **environment(),
            "NOTIFY_SOCKET": manager.address,
            "RUNTIME_DIRECTORY": str(runtime),
            **variables,
        },
    ) as process:
        try:
            yield process, manager.hear_of("READY")["STATUS"]
        finally:
            process.kill()
            process.wait()
            for left in runtime.iterdir():
                left.unlink()
            runtime.rmdir()


def test_a_service_tells_how_it_stands_from_the_beginning_to_the_end(
    manager: Manager, tmp_path: Path
) -> None:
    config = tmp_path / "ports.toml"
    config.write_text(CONFIG, encoding="utf-8")
    with service(config, manager, WATCHDOG_USEC="200000") as (process, status):
        assert status == "ports served: 1"
        assert manager.hear() == {"WATCHDOG": "1"}
        assert manager.hear_of("WATCHDOG") == {"WATCHDOG": "1"}
        before = time.monotonic_ns() // 1000
        config.write_text(f'{CONFIG}[[port]]\ndevice = "sim://esp32"\n', encoding="utf-8")
        process.send_signal(signal.SIGHUP)
        reloading = manager.hear_of("RELOADING")
        assert reloading["RELOADING"] == "1"
        assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        assert manager.hear_of("READY")["STATUS"] == "ports served: 2"
        # What makes no sense is over, too.
        config.write_text("colour = 1\n", encoding="utf-8")
        process.send_signal(signal.SIGHUP)
        manager.hear_of("RELOADING")
        assert manager.hear_of("READY")["STATUS"] == "ports served: 2"
        process.terminate()
        assert manager.hear_of("STOPPING") == {"STOPPING": "1"}
        assert process.wait(PATIENCE) == 0


def test_a_watchdog_of_somebody_else_is_not_fed(manager: Manager) -> None:
    variables = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "3000000"}
    mine = ServiceManager.from_environment({**variables, "WATCHDOG_PID": str(os.getpid())})
    other = ServiceManager.from_environment({**variables, "WATCHDOG_PID": "1"})
    assert mine is not None
    assert other is not None
    assert (mine.watchdog_period, other.watchdog_period) == (3.0, None)


def test_a_status_cannot_say_anything_else(manager: Manager) -> None:
    made = ServiceManager.from_environment({"NOTIFY_SOCKET": manager.address})
    assert made is not None
    made.ready("a\nSTOPPING=1")
    assert manager.hear() == {"READY": "1", "STATUS": "a STOPPING=1"}


def test_without_a_manager_nobody_is_told() -> None:
    assert ServiceManager.from_environment({}) is None
    assert ServiceManager.from_environment({"NOTIFY_SOCKET": ""}) is None


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"NOTIFY_SOCKET": "relative"}, "NOTIFY_SOCKET: neither a path nor an abstract socket"),
        ({"NOTIFY_SOCKET": "/" + "x" * 107}, "NOTIFY_SOCKET: neither a path"),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "often"}, "WATCHDOG_USEC: 'often' is not a"),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "0"}, "WATCHDOG_USEC: 0 is not between"),
    ],
)
def test_variables_that_make_no_sense_are_refused(variables: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        ServiceManager.from_environment(variables)


def test_a_manager_that_is_gone_is_no_reason_to_end(caplog: pytest.LogCaptureFixture) -> None:
    made = ServiceManager.from_environment({"NOTIFY_SOCKET": "/nowhere/notify"})
    assert made is not None
    made.ready("serving")
    assert "the service manager was not told READY=1" in caplog.text
