"""A device is watched in a real terminal, with real keys."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from esploader.chips.esp32c3 import ESP32_C3
from esploader.simulator.rom.minimal_image import minimal_image
from programs import LOOPBACK, esploader, free_port, run
from served import server_process
from tcp_host import read_until_closed, tcp_host
from tmux_terminal import tmux

if TYPE_CHECKING:
    import socket
    from pathlib import Path

pytestmark = pytest.mark.peer

SIM = "sim://esp32c3"
BOOTED = "SPI_FAST_FLASH_BOOT"


HOSTILE = b"\x1b]0;owned\x07\x1b]2;owned\x1b\\\x1bkowned\x1b\\\x1b[2J\x1b[?1049hharmless text\r\n"


def test_keys_reset_the_device_and_the_terminal_is_as_it_was(tmp_path: Path) -> None:
    with (
        server_process("--tcp-port", "0", SIM, stderr=subprocess.DEVNULL) as (_, (url,)),
        tmux(tmp_path) as terminal,
    ):
        terminal.run("sh", "-c", f"stty -a > {tmp_path}/before")
        terminal.run(*esploader("monitor", "--port", url))
        terminal.wait_for(BOOTED)
        terminal.press("C-t", "C-r")
        terminal.wait_for(BOOTED, 2)
        terminal.press("C-t", "C-p")
        terminal.wait_for("waiting for download")
        terminal.press("C-]")
        terminal.wait_for("ready$", 3)
        terminal.run("sh", "-c", f"stty -a > {tmp_path}/after; echo gone | tr a-z A-Z")
        terminal.wait_for("GONE")
    before = (tmp_path / "before").read_text(encoding="utf-8")
    assert "icanon" in before
    assert (tmp_path / "after").read_text(encoding="utf-8") == before


def test_what_a_device_prints_changes_neither_title_nor_screen(tmp_path: Path) -> None:
    def say(connection: socket.socket) -> None:
        connection.sendall(HOSTILE)
        read_until_closed(connection)

    with tcp_host(say) as port, tmux(tmp_path) as terminal:
        title = terminal.title()
        url = f"socket://{LOOPBACK}:{port}"
        terminal.run(*esploader("monitor", "--port", url, "--no-reset"))
        shown = terminal.wait_for("harmless text")
        assert "monitor --port" in shown
        assert terminal.title() == title
        terminal.press("C-]")
        terminal.wait_for("ready$", 2)


def test_a_flasher_takes_the_port_and_gives_it_back(tmp_path: Path) -> None:
    image = tmp_path / "app.bin"
    image.write_bytes(minimal_image(ESP32_C3))
    with (
        server_process("--tcp-port", "0", SIM, stderr=subprocess.DEVNULL) as (_, (url,)),
        tmux(tmp_path) as terminal,
    ):
        terminal.run(*esploader("monitor", "--port", url))
        terminal.wait_for("invalid header")
        flash = ("--no-stub", "--port", url, "write-flash", "0", str(image))
        assert run(*esploader(*flash)).exit_code == 0
        shown = terminal.wait_for("the port is back")
        assert "has the port; this goes on showing what the device says" in shown
        assert "Hello from the simulated application" in terminal.wait_for("Hello")
        terminal.press("C-t", "C-r")
        terminal.wait_for("Hello", 2)
        terminal.press("C-]")


@pytest.mark.slow
def test_the_server_is_killed_and_started_again(tmp_path: Path) -> None:
    port = free_port()
    serve = ("--tcp-port", str(port), SIM)
    with tmux(tmp_path) as terminal:
        with server_process(*serve, stderr=subprocess.DEVNULL) as (server, (url,)):
            terminal.run(*esploader("monitor", "--port", url))
            terminal.wait_for("invalid header")
            server.kill()
            terminal.wait_for("the port is lost: ")
        with server_process(*serve, stderr=subprocess.DEVNULL):
            terminal.wait_for("the port is there again")
            terminal.press("C-t", "C-r")
            terminal.wait_for("invalid header", 2)
            terminal.press("C-]")
