"""A pseudo-terminal as the end that bytes of a served port go to (POSIX)."""

from __future__ import annotations

import os
import termios
import tty
from typing import Final

from typing_extensions import override

from esploader.server.clients import READ_SIZE, Client, ClientGoneError, Request
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


class PtyClient(Client):
    """A pseudo-terminal, whichever programs open it, one after the other.

    It has no lines. The baud rate that a program sets can be read from our end, and
    counts from the bytes on that arrive after it; a rate without a constant of its own
    (74880) cannot be told, and the last one stays.
    """

    def __init__(self) -> None:
        super().__init__()
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

    @override
    def fileno(self) -> int:
        return self._master

    @override
    def receive(self) -> list[Request]:
        try:
            return [os.read(self._master, READ_SIZE)]
        except (BlockingIOError, InterruptedError):
            return []
        except OSError as exc:
            raise ClientGoneError(str(exc)) from exc

    @override
    def send(self, data: bytes) -> None:
        self._send(data[: max(0, MAX_UNREAD_SIZE - len(self._backlog))])

    @override
    def changed_rate(self) -> list[Setting]:
        speed = termios.tcgetattr(self._master)[_OSPEED]
        if speed == self._speed:
            return []
        self._speed = speed
        rate = _RATES.get(speed)
        return [] if rate is None else [Setting(Code.SET_BAUDRATE, rate)]

    @override
    def close(self) -> None:
        for descriptor in (self._master, self._slave):
            os.close(descriptor)

    @override
    def _write(self, data: memoryview) -> int:
        return os.write(self._master, data)
