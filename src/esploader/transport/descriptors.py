"""Two descriptors as a socket: what reads and writes sockets alone can have pipes, too.

A thread for each direction carries bytes on. Not every system can wait for a pipe together with
other things, and to make one not block would do so to all who share it: a shell, a terminal.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

READ_SIZE: Final = 64 * 1024
"""How much is carried on at once, in bytes."""


@define(eq=False)
class Descriptors:
    """A socket that is as good as two descriptors.

    The end of what is read is the end of what the socket says. What is written to the socket goes
    on until that ends; when nobody takes it any more the socket is closed in both directions.
    """

    socket: socket.socket
    """The end to talk to, which is the caller's, and never blocks."""

    _writing: threading.Thread = attrs.field(repr=False)

    @classmethod
    def joined(
        cls, source: IO[bytes], sink: IO[bytes], on_end: Callable[[], None] | None = None
    ) -> Descriptors:
        """Return a socket for ``source`` and ``sink``, which are its own from now on.

        Neither may have a buffer, or return before it is ready. ``on_end`` is called, in a thread,
        when nothing more will be written.
        """
        outer, inner = socket.socketpair()
        outer.settimeout(0)
        reading = threading.Thread(target=_read, args=(source, inner), daemon=True)
        writing = threading.Thread(target=_write, args=(inner.dup(), sink, on_end), daemon=True)
        reading.start()
        writing.start()
        return cls(outer, writing)

    def finish(self, seconds: float) -> None:
        """Wait until everything is written, if the socket has been closed, but not for ever."""
        self._writing.join(seconds)


def _read(source: IO[bytes], inner: socket.socket) -> None:
    with source, inner:
        # Whoever has closed the other end wants no more.
        with suppress(OSError):
            while data := source.read(READ_SIZE):
                inner.sendall(data)
        with suppress(OSError):
            inner.shutdown(socket.SHUT_WR)


def _write(inner: socket.socket, sink: IO[bytes], on_end: Callable[[], None] | None) -> None:
    with inner, suppress(OSError), sink:
        try:
            while data := inner.recv(READ_SIZE):
                unwritten = memoryview(data)
                while unwritten:
                    unwritten = unwritten[sink.write(unwritten) :]
        except OSError:
            inner.shutdown(socket.SHUT_RDWR)
    if on_end is not None:
        on_end()
