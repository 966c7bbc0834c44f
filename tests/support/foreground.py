"""A terminal whose keys send signals to what runs in the foreground (POSIX)."""

from __future__ import annotations

import os
import select
import subprocess
import termios

from programs import PATIENCE, environment
from pseudo_terminal import PseudoTerminal

CTRL_C = b"\x03"


class Terminal(PseudoTerminal):
    """Keys send signals to whoever is in the foreground, and what is printed can be read."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = b""
        mode = termios.tcgetattr(self.fileno())
        mode[3] |= termios.ISIG
        termios.tcsetattr(self.fileno(), termios.TCSANOW, mode)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Run a program in the foreground."""
        # The leader of a session gets the terminal that it opens first.
        shell = ("sh", "-c", 'exec "$@" <> "$0" >&0 2>&0', self.path, *command)
        return subprocess.Popen(shell, env=environment(), start_new_session=True)

    def look(self) -> bool:
        """Take in what is printed next; tell whether there was anything."""
        if not select.select([self], [], [], PATIENCE)[0]:
            return False
        self.shown += os.read(self.fileno(), 65536)
        return True

    def read_to_the_end(self, process: subprocess.Popen[bytes]) -> None:
        """Take in what is printed until the program has ended: it may wait for that."""
        while process.poll() is None:
            if select.select([self], [], [], 0.1)[0]:
                self.look()

    def look_for_the_last_time(self) -> str:
        """Return all that was printed by programs that have ended."""
        while select.select([self], [], [], 0)[0]:
            self.shown += os.read(self.fileno(), 65536)
        return self.shown.decode(errors="replace")
