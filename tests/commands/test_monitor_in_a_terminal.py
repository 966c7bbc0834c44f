"""Somebody watches a device in a terminal, types, and gets the terminal back."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import pytest

from eventually import eventually
from foreground import Terminal
from programs import PATIENCE, esploader, served_chip
from served import server_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIM = "sim://esp32c3"
LEAVE = b"\x1d"
RESET = b"\x14\x12"
DOWNLOAD_MODE = b"\x14\x10"
SHORT = 20.0
"""When to give up waiting for what is shown, in seconds."""


class Watched(Terminal):
    """A terminal in which ``monitor`` runs."""

    def __init__(self) -> None:
        super().__init__()
        self.mode = termios.tcgetattr(self.fileno())

    def wait_for(self, text: bytes, count: int = 1) -> None:
        """Take in what is shown until ``text`` is there that often."""
        deadline = time.monotonic() + SHORT
        while self.shown.count(text) < count:
            assert time.monotonic() < deadline, self.shown.decode(errors="replace")
            assert self.look(), self.shown.decode(errors="replace")

    def is_as_before(self) -> bool:
        """Tell whether the terminal is in the mode that it was in."""
        return termios.tcgetattr(self.fileno()) == self.mode


@contextlib.contextmanager
def monitor(*options: str) -> Iterator[tuple[Watched, subprocess.Popen[bytes]]]:
    """Run ``monitor`` in a terminal, and wait until keys mean something."""
    terminal = Watched()
    try:
        with terminal.start(*esploader("monitor", *options)) as process:
            try:
                terminal.wait_for(b"Ctrl-] leaves")
                yield terminal, process
            finally:
                process.kill()
    finally:
        terminal.close()


def end_of(terminal: Watched, process: subprocess.Popen[bytes]) -> int:
    """Take in the rest, and return how the program ended."""
    terminal.read_to_the_end(process)
    return process.wait(PATIENCE)


def test_keys_reset_the_device_and_leave() -> None:
    with (
        served_chip("esp32c3", "--realtime", "--rfc2217", "0") as urls,
        monitor("--port", urls["rfc2217"]) as (terminal, process),
    ):
        terminal.wait_for(b"boot:0xd (SPI_FAST_FLASH_BOOT)")
        assert not terminal.is_as_before()
        terminal.write(RESET)
        terminal.wait_for(b"boot:0xd (SPI_FAST_FLASH_BOOT)", 2)
        terminal.write(DOWNLOAD_MODE)
        terminal.wait_for(b"waiting for download")
        terminal.write(b"\x14?")
        terminal.wait_for(b"--- Ctrl-]          leave")
        terminal.write(b"\x14q")
        terminal.wait_for(b"no such key in the menu")
        terminal.write(LEAVE)
        assert end_of(terminal, process) == 0
        assert terminal.is_as_before()


def test_what_is_typed_reaches_the_device() -> None:
    # The ROM loader of a chip in download mode answers a SYNC, typed or not.
    sync = b"\xc0\x00\x08\x24\x00\x00\x00\x00\x00\x07\x07\x12\x20" + b"\x55" * 32 + b"\xc0"
    with monitor("--port", f"{SIM}?state=download", "--no-reset", "--raw") as (terminal, process):
        terminal.write(sync)
        terminal.wait_for(b"\xc0\x01\x08")
        terminal.write(LEAVE)
        assert end_of(terminal, process) == 0


def test_output_and_timestamps_are_switched_by_keys(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def require_three_boots() -> None:
        assert log.read_bytes().count(b"rst:0x1") == 3

    with monitor("--port", SIM, "--log", str(log)) as (terminal, process):
        terminal.wait_for(b"invalid header")
        terminal.write(b"\x14i")
        terminal.wait_for(b"timestamps: absolute")
        terminal.write(RESET)
        terminal.wait_for(b"] ESP-ROM")
        terminal.wait_for(b"] invalid header")
        terminal.write(b"\x14\x19")
        terminal.wait_for(b"is not shown")
        terminal.write(RESET)
        eventually(require_three_boots, AssertionError)
        terminal.write(b"\x14\x19")
        terminal.wait_for(b"is shown again")
        terminal.write(LEAVE)
        assert end_of(terminal, process) == 0
        assert terminal.shown.count(b"rst:0x1") == 2


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)]
)
def test_a_signal_gives_the_terminal_back(number: signal.Signals) -> None:
    with monitor("--port", SIM) as (terminal, process):
        process.send_signal(number)
        assert end_of(terminal, process) == -number
        assert terminal.is_as_before()


def test_who_is_stopped_gives_the_terminal_back_meanwhile() -> None:
    with monitor("--port", SIM) as (terminal, process):
        process.send_signal(signal.SIGTSTP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert terminal.is_as_before()
        process.send_signal(signal.SIGCONT)
        terminal.write(b"\x14?")
        terminal.wait_for(b"--- Ctrl-]          leave")
        terminal.write(LEAVE)
        assert end_of(terminal, process) == 0
        assert terminal.is_as_before()


def test_one_can_leave_while_the_port_is_lost() -> None:
    with (
        server_process("--tcp-port", "0", SIM, stderr=subprocess.DEVNULL) as (server, (url,)),
        monitor("--port", url) as (terminal, process),
    ):
        terminal.wait_for(b"invalid header")
        server.terminate()
        terminal.wait_for(b"the port is lost: ")
        terminal.write(LEAVE)
        assert end_of(terminal, process) == 0
        assert terminal.is_as_before()


def test_in_the_background_no_key_is_looked_for() -> None:
    terminal = Watched()
    try:
        script = 'set -m; "$@" & wait'
        words = esploader("monitor", "--port", SIM, "--until", "invalid header")
        with terminal.start("bash", "-c", script, "bash", *words) as process:
            assert end_of(terminal, process) == 0
        assert b"invalid header" in terminal.shown
        assert b"Ctrl-]" not in terminal.shown
        assert terminal.is_as_before()
    finally:
        terminal.close()
