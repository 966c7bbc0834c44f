"""What a protocol over the network needs below it: a stream of bytes that keeps deadlines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from esploader.classes import define
from esploader.errors import TransportClosedError

if TYPE_CHECKING:
    from esploader.transport.clock import Clock

WRITE_TIMEOUT: Final = 10.0
"""For how long the other end may accept not a single byte, in seconds."""

DISCARD_LIMIT: Final = 4 * 1024 * 1024
"""More than this is never waiting: the other end is sending for ever. In bytes."""


class Pipe(Protocol):
    """A connected stream of bytes, there and back.

    A deadline is a moment of :attr:`clock`.
    """

    @property
    def name(self) -> str:
        """What error messages call it."""

    @property
    def clock(self) -> Clock:
        """The clock of the deadlines."""

    @property
    def connect_time(self) -> float:
        """How long the handshake took, in seconds: one round trip, or more."""

    @property
    def write_timeout(self) -> float:
        """For how long the other end may accept not a single byte, in seconds."""

    def fileno(self) -> int:
        """Return the descriptor to wait for."""

    def receive(self, deadline: float) -> bytes:
        """Return what has arrived, at once; wait for it until ``deadline``.

        Returns ``b""`` when nothing has arrived by then. A deadline in the past polls.

        Raises:
            TransportClosedError: the other end closed the connection, or we did.
        """

    def send(self, data: bytes) -> None:
        """Send all of ``data``.

        Raises:
            TransportTimeoutError: not a byte was accepted for :attr:`write_timeout`.
            TransportClosedError: the other end closed the connection, or we did.
        """

    def close(self) -> None:
        """Say good-bye and release what is held. Never raises; closing twice is allowed."""


@define(eq=False)
class OuterPipe:
    """What a pipe through another one has in common with that."""

    _inner: Pipe

    @property
    def name(self) -> str:
        """What error messages call it."""
        return self._inner.name

    @property
    def clock(self) -> Clock:
        """The clock of the deadlines."""
        return self._inner.clock

    @property
    def connect_time(self) -> float:
        """How long the handshake took, in seconds."""
        return self._inner.connect_time

    @property
    def write_timeout(self) -> float:
        """For how long the other end may accept not a single byte, in seconds."""
        return self._inner.write_timeout

    def fileno(self) -> int:
        """Return the descriptor to wait for: bytes on it may turn out to be none."""
        return self._inner.fileno()


def drain(pipe: Pipe) -> bytes:
    """Return what has arrived, at most :data:`DISCARD_LIMIT` and a bit, without waiting.

    Raises:
        TransportClosedError: the connection is closed, and nothing had arrived before.
    """
    drained = bytearray()
    try:
        while len(drained) < DISCARD_LIMIT and (data := pipe.receive(pipe.clock.now())):
            drained += data
    except TransportClosedError:
        # Who reads on is told; these bytes would be lost with it.
        if not drained:
            raise
    return bytes(drained)
