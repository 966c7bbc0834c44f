"""A pseudo-terminal whose other end a test holds, in place of a device (POSIX)."""

from __future__ import annotations

import os
import tty


class PseudoTerminal:
    """``path`` is what programs open; the test reads and writes at the device's end."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        # Kept, or the device's end would fail while nobody has the port open.
        self._slave = slave

    def fileno(self) -> int:
        """Return the descriptor of the device's end."""
        return self._master

    def read(self, size: int) -> bytes:
        """Wait for that many bytes from whoever has the port open, and return them."""
        data = b""
        while len(data) < size:
            data += os.read(self._master, size - len(data))
        return data

    def write(self, data: bytes) -> None:
        """Send bytes to whoever has the port open."""
        os.write(self._master, data)

    def unplug(self) -> None:
        """Take the device away."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def close(self) -> None:
        self.unplug()
        os.close(self._slave)
