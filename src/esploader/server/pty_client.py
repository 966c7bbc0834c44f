"""A pseudo-terminal as the end that bytes of a served port go to (POSIX)."""

from __future__ import annotations

import os
import termios
import tty
from typing import Final

from typing_extensions import override

from esploader.server.client_ends import READ_SIZE, ClientEnd
from esploader.server.peers import RawPeer
from esploader.transport.com_port import Code, Setting

MAX_UNREAD_SIZE: Final = 64 * 1024
"""How much waits for a program to open the PTY and read it, in bytes; what comes on top is
lost, as on a line that nobody listens to."""

_OSPEED: Final = 5

# B115200 and so on; what they are is up to the system.
_RATES: Final[dict[int, int]] = {
    getattr(termios, name): int(name[1:])
    for name in dir(termios)
    if name[0] == "B" and name[1:].isdecimal() and name != "B0"
}


class PtyPeer(RawPeer):
    """Programs that open a pseudo-terminal, one after the other, or not at all."""

    @override
    def send(self, data: bytes) -> None:
        super().send(data[: max(0, MAX_UNREAD_SIZE - len(self.output))])


class PseudoTerminal:
    """A pseudo-terminal, whichever programs open it, one after the other.

    It has no lines. The baud rate that a program sets can be read from our end, and
    counts from the bytes on that arrive after it; a rate without a constant of its own
    (74880) cannot be told, and the last one stays.

    Raises:
        OSError: there is no free one.
    """

    def __init__(self) -> None:
        # We keep the other end open, too: without it our end fails whenever no program
        # has the PTY open.
        self._master, self._slave = os.openpty()
        try:
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            self.path = os.ttyname(self._slave)
            """The name under which programs open it."""
        except BaseException:
            self.close()
            raise
        self._speed = termios.tcgetattr(self._master)[_OSPEED]

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._master

    def read(self, size: int) -> bytes:
        """Return what a program has written, ``size`` bytes at most. Raises :exc:`OSError`."""
        return os.read(self._master, size)

    def write(self, data: bytes) -> int:
        """Write what is taken now, return how much that was. Raises :exc:`OSError`."""
        return os.write(self._master, data)

    def changed_rate(self) -> list[Setting]:
        """Return the request that a program made by setting another rate."""
        speed = termios.tcgetattr(self._master)[_OSPEED]
        if speed == self._speed:
            return []
        self._speed = speed
        rate = _RATES.get(speed)
        return [] if rate is None else [Setting(Code.SET_BAUDRATE, rate)]

    def close(self) -> None:
        """Close both ends."""
        for descriptor in (self._master, self._slave):
            os.close(descriptor)


class PtyEnd(ClientEnd):
    """A pseudo-terminal as a client."""

    def __init__(self) -> None:
        self._terminal = PseudoTerminal()
        super().__init__(PtyPeer(self._terminal.path))

    @property
    def path(self) -> str:
        """The name under which programs open it."""
        return self._terminal.path

    @override
    def fileno(self) -> int:
        return self._terminal.fileno()

    @override
    def changed_rate(self) -> list[Setting]:
        return self._terminal.changed_rate()

    @override
    def close(self) -> None:
        self._terminal.close()

    @override
    def _read(self) -> bytes:
        return self._terminal.read(READ_SIZE)

    @override
    def _write(self, data: bytes) -> int:
        return self._terminal.write(data)
