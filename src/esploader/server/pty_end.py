"""A pseudo-terminal as the end that bytes of a served port go to (POSIX)."""

from __future__ import annotations

import asyncio
import os
import termios
import tty
from typing import TYPE_CHECKING, Final

from esploader.classes import override
from esploader.server.client_end import ClientEnd
from esploader.server.peers import Peer, RawPeer
from esploader.transport.com_port import Code, Setting

if TYPE_CHECKING:
    from esploader.server.request_queue import Request
    from esploader.server.station import Station

READ_SIZE: Final = 16 * 1024
"""How much is taken from a program at once, in bytes."""

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


class PseudoTerminal:
    """A pseudo-terminal, whichever programs open it, one after the other."""

    def __init__(self) -> None:
        # We keep the other end open, too: without it our end fails whenever no program
        # has the PTY open.
        self.descriptor, self._slave = os.openpty()
        """Our end."""
        try:
            tty.setraw(self._slave)
            os.set_blocking(self.descriptor, False)
            self.path = os.ttyname(self._slave)
            """The name under which programs open it."""
            self.first_speed = self.speed
            """The speed before any program set one."""
        except BaseException:
            self.close()
            raise

    @property
    def speed(self) -> int:
        """What the programs set the speed to, as the system writes it."""
        speed: int = termios.tcgetattr(self.descriptor)[_OSPEED]
        return speed

    def close(self) -> None:
        """Take it away."""
        for descriptor in (self.descriptor, self._slave):
            os.close(descriptor)


class PtyPeer(RawPeer):
    """A program that has a pseudo-terminal open.

    It has no lines. The baud rate that a program sets can be read from our end, and
    counts from the bytes on that arrive after it; a rate without a constant of its own
    (74880) cannot be told, and the last one stays.
    """

    def __init__(self, terminal: PseudoTerminal) -> None:
        super().__init__(terminal.path)
        self._terminal = terminal
        self._speed = terminal.first_speed

    @override
    def feed(self, data: bytes) -> list[Request]:
        return [*self._changed_rate(), *super().feed(data)]

    @override
    def send(self, data: bytes) -> None:
        super().send(data[: max(0, MAX_UNREAD_SIZE - len(self.output))])

    def _changed_rate(self) -> list[Request]:
        speed = self._terminal.speed
        if speed == self._speed:
            return []
        self._speed = speed
        rate = _RATES.get(speed)
        return [] if rate is None else [Setting(Code.SET_BAUDRATE, rate)]


class PtyEnd(ClientEnd):
    """A pseudo-terminal in the loop. It stays open when the port goes to somebody else."""

    def __init__(self, terminal: PseudoTerminal, station: Station) -> None:
        self._terminal = terminal
        self._station = station
        self._peer = PtyPeer(terminal)
        self._loop = asyncio.get_running_loop()
        self._is_reading = False
        self._is_writing = False

    @property
    @override
    def address(self) -> str:
        return self._terminal.path

    @property
    @override
    def peer(self) -> Peer:
        return self._peer

    @override
    def flush(self) -> None:
        output = self._peer.output
        while output:
            try:
                written = os.write(self._terminal.descriptor, output)
            except OSError:  # it takes no more, or nothing any longer
                break
            del output[:written]
        if bool(output) != self._is_writing:
            self._is_writing = bool(output)
            if output:
                self._loop.add_writer(self._terminal.descriptor, self._station.wake)
            else:
                self._loop.remove_writer(self._terminal.descriptor)

    @override
    def set_reading(self, wanted: bool) -> None:
        if wanted == self._is_reading:
            return
        self._is_reading = wanted
        if wanted:
            self._loop.add_reader(self._terminal.descriptor, self._readable)
        else:
            self._loop.remove_reader(self._terminal.descriptor)

    @override
    def hang_up(self) -> None:
        self.set_reading(wanted=False)
        self._peer.output.clear()
        self.flush()

    def _readable(self) -> None:
        try:
            data = os.read(self._terminal.descriptor, READ_SIZE)
            self._station.take_in(data)
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, termios.error) as exc:
            # There is no PTY any more. Trying again would be all that the loop ever does.
            self._station.fallback = None
            self._station.let_go(self, str(exc))
            self.hang_up()
