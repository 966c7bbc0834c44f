"""What came in by a TCP port, in the loop, from its arrival to its end."""

from __future__ import annotations

import abc
import asyncio
import socket
from typing import TYPE_CHECKING, Final, cast

from esploader.classes import override
from esploader.server.peers import RawPeer

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.server.peers import Peer

HIGH_WATER: Final = 64 * 1024
"""How much waits in the connection for the client, in bytes; more waits in its peer."""

READ_SIZE: Final = 16 * 1024
"""How much is taken from a client before everybody else gets a turn, in bytes. It may be
thousands of messages."""

LINGER_TIME: Final = 1.0
"""For how long a refused client may take to read why and to hang up, in seconds. Hanging up
before it has would reset the connection, and lose the text."""


class Guest(asyncio.BufferedProtocol, abc.ABC):
    """One connection, whatever it is for."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_blocked = False
        self._written = 0
        self._buffer: memoryview | None = None
        self._is_settled = False
        self.when_settled: Callable[[], None] = _nothing
        """Is called once, when the connection has what it came for or is gone."""
        self.when_gone: Callable[[], None] = _nothing
        """Is called at its very end."""

    @property
    def address(self) -> str:
        """Who it is."""
        return self._address

    @property
    @abc.abstractmethod
    def peer(self) -> Peer:
        """What it speaks."""

    @abc.abstractmethod
    def data_received(self, data: bytes) -> None:
        """Take in what the client sent."""

    # What the loop says ----------------------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER)

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        if self._buffer is None:
            self._buffer = memoryview(bytearray(READ_SIZE))
        return self._buffer

    @override
    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self.get_buffer(nbytes)[:nbytes]))

    @override
    def eof_received(self) -> None:
        """Take note that the client says no more; the loop hangs up then."""

    @override
    def pause_writing(self) -> None:
        self._is_blocked = True

    @override
    def resume_writing(self) -> None:
        self._is_blocked = False

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        self._end()

    def never_came(self) -> None:
        """Take note that there will be no connection, if there is none by now."""
        if self._transport is None:
            self._end()

    # What we say -----------------------------------------------------------------------

    def flush(self) -> None:
        """Hand over what the peer has to say, as much as is taken at once."""
        if self._transport is None or self._is_blocked:
            return
        data = self.peer.take_output()
        if data:
            self._written += len(data)
            self._transport.write(data)

    def abort(self) -> None:
        """Hang up whatever has not been sent yet."""
        if self._transport is not None:
            self._transport.abort()

    def hang_up(self) -> None:
        """Hang up once everything has been sent, or a moment later."""
        if self._transport is not None:
            self._transport.close()
            self._set_timer(LINGER_TIME, self.abort)

    def _say_last(self, words: bytes = b"") -> None:
        """Say ``words``, and wait a moment for the client to read them and to hang up."""
        transport = self._transport
        if transport is None:
            return
        transport.write(words)
        if self._ends_output(transport):
            self._set_timer(LINGER_TIME, self.abort)
        else:
            self.hang_up()

    def _ends_output(self, transport: asyncio.Transport) -> bool:
        """Say that this was all, and go on listening; tell whether that can be done.

        Not by ``write_eof``: it raises when the client is gone, now or in the loop later on.
        """
        if not transport.can_write_eof() or transport.get_write_buffer_size():
            return False
        try:
            transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    def _settle(self) -> None:
        if not self._is_settled:
            self._is_settled = True
            when_settled, self.when_settled = self.when_settled, _nothing
            when_settled()

    def _end(self) -> None:
        self._settle()
        # Whoever is told holds us: without letting go of it we would stay in memory.
        when_gone, self.when_gone = self.when_gone, _nothing
        when_gone()

    def _set_timer(self, seconds: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, callback)


class RawGuest(Guest):
    """A connection that has no protocol of its own."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._peer = RawPeer(address)

    @property
    @override
    def peer(self) -> RawPeer:
        return self._peer


def _nothing() -> None:
    pass
