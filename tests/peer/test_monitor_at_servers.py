"""A device is watched through the port servers of others, and through what watches ours."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import pytest

from esploader.cli import main
from esploader.server.config import PortConfig, ServerConfig
from esploader.transport import reset
from esploader.transport.rfc2217 import Rfc2217Transport
from foreign_servers import (
    RESET_BY_PROPERTIES,
    TELNET,
    esp_rfc2217_server,
    port_manager_server,
    ser2net,
    serial_device,
)
from programs import LOOPBACK
from pseudo_terminal import PseudoTerminal
from served import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("termios", reason="pseudo-terminals are POSIX")

pytestmark = pytest.mark.peer

SIM = "sim://esp32c3"


def monitor(url: str, *options: str) -> int:
    """Watch a port until what the device says is there; the server may still be starting."""
    patience = ("--timeout", "20", "--quiet")
    return main(["monitor", "--port", url, *patience, *options])


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPTOOL_OPEN_PORT_ATTEMPTS", "100")


@pytest.mark.slow
def test_pyserials_server_passes_the_reset_on(capsys: pytest.CaptureFixture[str]) -> None:
    with port_manager_server(SIM) as url:
        assert monitor(url, "--until", "invalid header") == 0
    assert capsys.readouterr().out.startswith("ESP-ROM:esp32c3")


@pytest.mark.slow
def test_espressifs_server_resets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configuration = tmp_path / "esptool.cfg"
    configuration.write_text(RESET_BY_PROPERTIES, encoding="utf-8")
    with esp_rfc2217_server(SIM, configuration) as url:
        assert monitor(url, "--until", "invalid header") == 0
    assert "SPI_FAST_FLASH_BOOT" in capsys.readouterr().out


@contextlib.contextmanager
def talking(terminal: PseudoTerminal) -> Iterator[None]:
    """Have the device say the same again and again meanwhile."""
    ended = threading.Event()

    def talk() -> None:
        while not ended.wait(0.05):
            terminal.write(b"I (31) app: ready\r\n")

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_ser2net_is_listened_to(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        contextlib.closing(PseudoTerminal()) as terminal,
        ser2net([TELNET], serial_device(terminal.path)) as port,
        talking(terminal),
    ):
        assert monitor(f"rfc2217://{LOOPBACK}:{port}", "--until", "app: ready") == 0
    assert "I (31) app: ready" in capsys.readouterr().out


def test_whoever_watches_sees_what_another_ones_reset_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = ServerConfig(ports=(PortConfig(source=SIM, watch_port=0),), tcp_port=0)
    with serving(config) as places:
        place = places.wait(1)[0]
        assert place.watch_url is not None
        with Rfc2217Transport.open(place.url) as holder:
            reset.play(reset.HARD_RESET, holder)
            assert monitor(place.watch_url, "--no-reset", "--until", "invalid header") == 0
    assert "SPI_FAST_FLASH_BOOT" in capsys.readouterr().out
