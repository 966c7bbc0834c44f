"""Programs of others whose port is taken over are told so, as far as they look."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from esploader.transport import reset
from esploader.transport.rfc2217 import Rfc2217Transport
from programs import PATIENCE, environment, esptool
from served import server_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("termios", reason="pseudo-terminals are POSIX")

pytestmark = pytest.mark.peer

ENDING_TIME = 30.0
"""How long it may take esptool to notice, in seconds."""

SECRET = "0123456789abcdef"  # noqa: S105 - of nothing


@pytest.fixture(name="token")
def _token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(SECRET)
    path.chmod(0o600)
    return path


@contextlib.contextmanager
def terminal_program(url: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run pyserial's terminal program on a port; yield it, and what it shows."""
    terminal, keyboard = os.openpty()
    with subprocess.Popen(
        (sys.executable, "-W", "ignore", "-m", "serial.tools.miniterm", url, "115200"),
        stdin=keyboard,
        stdout=keyboard,
        stderr=keyboard,
        env=environment(),
    ) as process:
        os.close(keyboard)
        try:
            yield process, terminal
        finally:
            process.kill()
            os.close(terminal)


def shown_to_the_end(terminal: int) -> bytes:
    text = b""
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 65536):
            text += piece
    return text


def test_a_terminal_program_shows_who_has_taken_its_port(token: Path) -> None:
    options = ("--tcp-port", "0", "--takeover", "--token-file", str(token), "sim://esp32c3")
    with server_process(*options, stderr=subprocess.DEVNULL) as (_, (url,)):
        Rfc2217Transport.open(url).close()
        with terminal_program(url) as (process, terminal):
            shown = b""
            while b"Miniterm on" not in shown:
                shown += os.read(terminal, 65536)
            Rfc2217Transport.open(f"{url}?takeover=force&token-file={token}").close()
            shown += shown_to_the_end(terminal)
            process.wait(PATIENCE)
        assert b"the port was taken over by 127.0.0.1:" in shown


@pytest.mark.slow
def test_esptool_ends_with_an_error_when_its_port_is_taken_over(
    token: Path, tmp_path: Path
) -> None:
    options = ("--tcp-port", "0", "--takeover", "--token-file", str(token), "sim://esp32c3")
    with server_process(*options, stderr=subprocess.DEVNULL) as (_, (url,)):
        reading = ("--port", url, "read-flash", "0", "0x400000", str(tmp_path / "flash.bin"))
        with subprocess.Popen(
            esptool(*reading),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(),
        ) as process:
            try:
                assert process.stdout is not None
                shown = b""
                while b"Connected to" not in shown:
                    shown += os.read(process.stdout.fileno(), 65536)
                with Rfc2217Transport.open(f"{url}?takeover=force&token-file={token}") as taker:
                    began = time.monotonic()
                    shown += process.communicate(timeout=PATIENCE)[0]
                    assert time.monotonic() - began < ENDING_TIME
                    # The taker has it still.
                    reset.play(reset.HARD_RESET, taker)
                    said = b""
                    deadline = taker.clock.now() + ENDING_TIME
                    while b"invalid header" not in said and taker.clock.now() < deadline:
                        said += taker.read(deadline)
            finally:
                process.kill()
        assert process.returncode > 0, shown
        assert b"rst:0x1" in said
        assert not (tmp_path / "flash.bin").exists()
