"""A terminal in tmux, with a shell in it, as a person has one."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import time
from typing import TYPE_CHECKING

from peers import require_program
from programs import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30.0
"""When a test gives up, in seconds."""

_INTERVAL = 0.05
_PROMPT = "ready$ "


class TmuxTerminal:
    """Keys go in, and what is on the screen, and was above it, comes out."""

    def __init__(self, program: str, socket: Path) -> None:
        self._tmux = (program, "-S", str(socket), "-f", os.devnull)

    def command(self, *words: str) -> str:
        """Have tmux do something, and return what it prints."""
        done = subprocess.run(
            (*self._tmux, *words),
            check=True,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=environment(),
        )
        return done.stdout

    def run(self, *words: str) -> None:
        """Type a command, as somebody does."""
        self.type(shlex.join(words) + "\n")

    def type(self, text: str) -> None:
        """Type text as it is."""
        self.command("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys, called as tmux calls them: ``C-t``."""
        self.command("send-keys", *keys)

    def screen(self) -> str:
        """Return all that has been shown."""
        return self.command("capture-pane", "-p", "-J", "-S", "-")

    def title(self) -> str:
        """Return the title that programs may set."""
        return self.command("display-message", "-p", "#{pane_title}").strip()

    def wait_for(self, text: str, count: int = 1) -> str:
        """Wait until ``text`` has been shown that often, and return all that has been shown."""
        deadline = time.monotonic() + PATIENCE
        while (shown := self.screen()).count(text) < count:
            assert time.monotonic() < deadline, shown
            time.sleep(_INTERVAL)
        return shown


@contextlib.contextmanager
def tmux(folder: Path) -> Iterator[TmuxTerminal]:
    """Have a terminal of 120 columns, with a shell, meanwhile."""
    terminal = TmuxTerminal(require_program("tmux"), folder / "tmux")
    shell = f"env PS1={shlex.quote(_PROMPT)} sh"
    terminal.command("new-session", "-d", "-x", "120", "-y", "50", shell)
    try:
        terminal.wait_for(_PROMPT.strip())
        yield terminal
    finally:
        terminal.command("kill-server")
