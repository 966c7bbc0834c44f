"""TLS between a client's TCP connection and its :class:`~.connection.Connection`, in the loop.

asyncio has such a layer, too. It keeps a buffer of 256 KiB for each client, in circles of
references which outlive the client: some hundred clients that come and go in the middle of
their handshakes cost hundreds of megabytes that way. It also drops the alert of a handshake that
failed, by which a client learns why. Here nothing is kept for a client but what OpenSSL needs, and
one that failed may take a while to read the alert and hang up.

Renegotiation is refused by the context (:meth:`~.access.TlsFiles.make_context`): so OpenSSL never
has to read before it can write.
"""

from __future__ import annotations

import asyncio
import enum
import ssl
from typing import TYPE_CHECKING, Final, Protocol, cast

from esploader.classes import override

if TYPE_CHECKING:
    from collections.abc import Callable

READ_SIZE: Final = 16 * 1024
"""How much is taken from a client before everybody else gets a turn, in bytes."""

HANDSHAKE: Final = 22
"""What TLS begins with (RFC 8446, section 5.1). OpenSSL takes telnet for the beginning of a record
and waits for the rest."""

UNEXPECTED_MESSAGE: Final = bytes.fromhex("15 0301 0002 02 0a")
"""An alert of TLS (section 6): fatal (2), unexpected_message (10)."""

MAX_UNREAD_SIZE: Final = 64 * 1024
"""How much a client that failed, or is being hung up on, may go on saying, in bytes."""


@enum.unique
class _State(enum.Enum):
    SHAKING_HANDS = enum.auto()
    OPEN = enum.auto()
    LEAVING = enum.auto()
    """Has failed or been closed, and is waited for shortly."""
    GONE = enum.auto()


class Above(Protocol):
    """What is told what a client says."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is over."""

    def data_received(self, data: bytes) -> None:
        """The client has said something."""

    def eof_received(self) -> None:
        """The client has said its last word."""

    def pause_writing(self) -> None:
        """The client has not taken what was written."""

    def resume_writing(self) -> None:
        """It has taken the most of it."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""


class TlsLayer(asyncio.BufferedProtocol, asyncio.Transport):
    """One client: to the loop a protocol, to the protocol above a transport."""

    def __init__(
        self,
        above: Above,
        context: ssl.SSLContext,
        *,
        buffer: memoryview,
        seconds: float,
        on_failure: Callable[[str], None],
        on_end: Callable[[], None],
    ) -> None:
        """Prepare for a client.

        ``buffer`` may be that of all clients of a loop. The handshake, and the end of the
        connection, may take ``seconds`` each. ``on_failure`` is called with the reason when
        there will be no connection; ``on_end`` at the very end, whatever became of it.
        """
        super().__init__()
        self._above: Above | None = above
        self._buffer = buffer
        self._seconds = seconds
        self._on_failure: Callable[[str], None] | None = on_failure
        self._on_end = on_end
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._state = _State.SHAKING_HANDS
        self._below: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_reading = True
        self._has_begun = False
        self._unread = 0

    # What the loop says ----------------------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = cast("asyncio.Transport", transport)
        self._set_timer(self._is_late)

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    @override
    def buffer_updated(self, nbytes: int) -> None:
        if self._state is _State.SHAKING_HANDS and not self._has_begun:
            self._has_begun = True
            if self._buffer[0] != HANDSHAKE:
                self._turn_away()
                return
        self._incoming.write(self._buffer[:nbytes])
        if self._state is _State.SHAKING_HANDS:
            self._shake_hands()
        if self._state is _State.OPEN:
            self._read()
        if self._state is _State.LEAVING:
            self._discard(nbytes)

    @override
    def eof_received(self) -> None:
        if self._state is _State.SHAKING_HANDS:
            self._fail("no TLS: it hung up during the handshake")
        elif self._state is _State.OPEN:
            self._end()
        if self._below is not None:
            self._below.close()

    @override
    def pause_writing(self) -> None:
        if self._state is _State.OPEN and self._above is not None:
            self._above.pause_writing()

    @override
    def resume_writing(self) -> None:
        if self._state is _State.OPEN and self._above is not None:
            self._above.resume_writing()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._state is _State.SHAKING_HANDS:
            self._fail("no TLS: it hung up during the handshake")
        if self._timer is not None:
            self._timer.cancel()
        was_open = self._on_failure is None
        above, self._above = self._above, None
        self._state = _State.GONE
        self._below = None
        if above is not None and was_open:
            above.connection_lost(exc)
        self._on_failure, on_end, self._on_end = None, self._on_end, _nothing
        on_end()

    # What the protocol above says ------------------------------------------------------

    @override
    def get_extra_info(self, name: str, default: object = None) -> object:
        return default if self._below is None else self._below.get_extra_info(name, default)

    @override
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if self._below is not None:
            self._below.set_write_buffer_limits(high, low)

    @override
    def get_write_buffer_size(self) -> int:
        return 0 if self._below is None else self._below.get_write_buffer_size()

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._state is not _State.OPEN or not data:
            return
        try:
            self._tls.write(data)
        except ssl.SSLError:
            self.abort()
        else:
            self._flush()

    @override
    def can_write_eof(self) -> bool:
        return False

    @override
    def pause_reading(self) -> None:
        self._is_reading = False
        if self._below is not None and self._state is _State.OPEN:
            self._below.pause_reading()

    @override
    def resume_reading(self) -> None:
        if self._is_reading or self._below is None:
            return
        self._is_reading = True
        if not self._below.is_closing():
            self._below.resume_reading()
        # Something may have been taken in that has not been handed on.
        asyncio.get_running_loop().call_soon(self._read)

    @override
    def is_closing(self) -> bool:
        return self._state is not _State.OPEN

    @override
    def close(self) -> None:
        """Say good-bye, and wait shortly for the same."""
        if self._state is _State.OPEN:
            self.resume_reading()
            self._leave()
            try:
                self._tls.unwrap()
            except ssl.SSLWantReadError:
                self._flush()
            except ssl.SSLError:
                self.abort()
            else:
                self._flush()
                self._hang_up()

    @override
    def abort(self) -> None:
        """Hang up whatever has not been sent yet; a client in its handshake is not reported."""
        if self._state is _State.SHAKING_HANDS:
            self._leave()
        if self._below is not None:
            self._below.abort()

    # Ourselves -------------------------------------------------------------------------

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as exc:
            self._fail(_described(exc))
            self._flush()  # the alert
        else:
            if self._timer is not None:
                self._timer.cancel()
            self._state = _State.OPEN
            self._on_failure = None
            self._flush()
            if self._above is not None:
                self._above.connection_made(self)

    def _read(self) -> None:
        """Hand on what has been taken in, as far as it is wanted."""
        while self._state is _State.OPEN and self._is_reading and self._above is not None:
            try:
                data = self._tls.read(READ_SIZE)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError:
                self._flush()  # the alert
                self.abort()
                return
            if not data:
                self._end()
                return
            self._above.data_received(data)
        self._flush()

    def _end(self) -> None:
        """Tell that the client has said its last word, and close."""
        if self._above is not None:
            self._above.eof_received()
        self.close()

    def _discard(self, size: int) -> None:
        """Wait for the end of a client that is of no more interest."""
        self._unread += size
        if self._unread > MAX_UNREAD_SIZE:
            self.abort()
            return
        if self._on_failure is not None or self._above is None:
            self._incoming.read()
            return
        try:
            while self._tls.read(READ_SIZE):
                pass
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError:
            self._incoming.read()
            return
        self._hang_up()

    def _fail(self, reason: str) -> None:
        """Report that there is no connection, and wait shortly for the client to hang up."""
        self._leave()
        if self._on_failure is not None:
            self._on_failure(reason)

    def _turn_away(self) -> None:
        """Tell a client that does not speak TLS that we do, in the one word that may be known."""
        self._fail("no TLS: it speaks something else")
        if self._below is not None:
            self._below.write(UNEXPECTED_MESSAGE)
            self._below.close()

    def _leave(self) -> None:
        self._state = _State.LEAVING
        self._set_timer(self.abort)

    def _is_late(self) -> None:
        self._fail(f"no TLS: the handshake was not over after {self._seconds:g} seconds")
        self.abort()

    def _hang_up(self) -> None:
        if self._below is not None:
            self._below.close()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and self._below is not None:
            self._below.write(data)

    def _set_timer(self, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, callback)


def _nothing() -> None:
    pass


def _described(failure: ssl.SSLError) -> str:
    if isinstance(failure, ssl.SSLCertVerificationError):
        return f"the client's certificate is not trusted: {failure.verify_message}"
    if failure.reason is not None:
        return f"no TLS: {failure.reason.replace('_', ' ').lower()}"
    return f"no TLS: {failure}"
