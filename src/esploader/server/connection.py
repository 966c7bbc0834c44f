"""A client's TCP connection in the loop, from its arrival to its end.

It gets the port when it has shown that it is what it should be: one that speaks telnet
with its first answer, a bare one at once. Until then, and when it is sent away, it is only
waited for, for as long as the limits say. One whose first answer begins like telnet and is
none loses the port again when that time is up.

A client that is gone is let go of at once, with all that it had sent, also while it is not
read because its queue is full. Only the end of a bare one that stands behind more than the
system's buffers hold is not seen before there is room. What the system still holds of what it
sent counts up to :data:`MAX_LAST_SIZE`, and no longer.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import socket
from typing import TYPE_CHECKING, Final, cast

from esploader.classes import override
from esploader.errors import ProtocolError
from esploader.server.config import Protocol
from esploader.server.hang_up import has_hung_up
from esploader.server.peers import ComPortPeer, RawPeer
from esploader.server.refused_peer import RefusedPeer
from esploader.server.station import ClientEnd
from esploader.transport.telnet_framing import IAC

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.server.access import Limits
    from esploader.server.journal import Journal
    from esploader.server.peers import Peer
    from esploader.server.station import Station

HIGH_WATER: Final = 64 * 1024
"""How much waits in the connection for the client, in bytes; more waits in its peer."""

READ_SIZE: Final = 16 * 1024
"""How much is taken from a client before everybody else gets a turn, in bytes. It may be
thousands of messages."""

MAX_UNREAD_SIZE: Final = 64 * 1024
"""How much of what a refused client says is taken before hanging up, in bytes."""

MAX_LAST_SIZE: Final = 64 * 1024
"""How much is taken of a client that is gone already, in bytes, and how much before it is looked
whether it is: its last words may release a line, but megabytes of them are the work of seconds,
for which the next client would wait."""

LOOK_PERIOD: Final = 1.0
"""How often it is looked whether a client is still there that is not read, in seconds."""

PAUSE: Final = 0.05
"""How long after it has come a bare client is told that it has no port, in seconds. That of
pyserial throws away what comes before it has opened its end."""

LINGER_TIME: Final = 1.0
"""For how long a refused client may take to read why and to hang up, in seconds. Hanging up
before it has would reset the connection, and lose the text."""

_CLOSED: Final = "it closed the connection"

NO_TELNET: Final = "this is an RFC 2217 port; it needs a client that speaks telnet"


@enum.unique
class _State(enum.Enum):
    ARRIVING = enum.auto()
    """Has not said anything sensible yet."""
    SERVED = enum.auto()
    """Has the port."""
    LEAVING = enum.auto()
    """Has been sent away, or has been let go of."""


class Connection(asyncio.BufferedProtocol, ClientEnd):
    """One client."""

    def __init__(
        self,
        address: str,
        station: Station,
        protocol: Protocol,
        *,
        limits: Limits,
        journal: Journal,
    ) -> None:
        self._address = address
        self._station = station
        self._limits = limits
        self._journal = journal
        self._speaks_telnet = protocol is Protocol.RFC2217
        self._state = _State.ARRIVING
        self._peer: Peer | None = None
        self._refused: RefusedPeer | None = None
        self._last_words = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._look_timer: asyncio.TimerHandle | None = None
        self._is_blocked = False
        self._is_reading = True
        self._written = 0
        self._unread = 0
        self._last_size = 0
        self._unanswered = 0
        self._buffer: memoryview | None = None
        self._is_settled = False
        self.when_settled: Callable[[], None] = _nothing
        """Is called once, when the connection has a port or is gone."""
        self.when_gone: Callable[[], None] = _nothing
        """Is called at its very end."""

    @property
    @override
    def address(self) -> str:
        return self._address

    @property
    @override
    def peer(self) -> Peer:
        if self._peer is None:
            self._peer = (
                ComPortPeer(self._address, self._station.label, self._station.usb_ids)
                if self._speaks_telnet
                else RawPeer(self._address)
            )
        return self._peer

    # What the loop says ----------------------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER)
        reason = self._station.why_not()
        if self._station.is_closing:
            self.abort()
        elif reason is not None:
            self._refuse(reason)
        elif self._speaks_telnet:
            self.flush()
            self._set_timer(self._limits.handshake_time, self._has_waited)
        else:
            self._get_port()

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        if self._buffer is None:
            self._buffer = memoryview(bytearray(READ_SIZE))
        return self._buffer

    @override
    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self.get_buffer(nbytes)[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Take in what the client sent."""
        if self._state is _State.ARRIVING:
            if not data.startswith(IAC):
                self._send_away(NO_TELNET)
                return
            reason = self._station.why_not()
            if reason is not None:
                self._refuse(reason)
                self._explain(data)
                return
            self._get_port()
        if self._state is _State.SERVED:
            if not self._counts(len(data)):
                self._leave(_CLOSED)
                return
            # Now, for the timer is another one when the station has hung up.
            timer = self._timer
            self._station.take_in(data)
            if timer is not None and self.peer.is_introduced:
                timer.cancel()
            return
        self._unread += len(data)
        if self._unread > MAX_UNREAD_SIZE:
            self.abort()
        else:
            self._explain(data)

    @override
    def eof_received(self) -> None:
        # The port is free at once, and not when the last has been sent.
        if self._state is _State.SERVED:
            self._station.let_go(self, _CLOSED)
            self.flush()
            self.hang_up()

    @override
    def pause_writing(self) -> None:
        self._is_blocked = True
        self._watch_for_stall()

    @override
    def resume_writing(self) -> None:
        self._is_blocked = False
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        if self._state is _State.SERVED:
            self._station.wake()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._stall_timer, self._look_timer):
            if timer is not None:
                timer.cancel()
        state, self._state = self._state, _State.LEAVING
        self._transport = None
        if state is _State.SERVED:
            self._station.let_go(self, str(exc) if exc else _CLOSED)
        elif state is _State.ARRIVING:
            self._note_refusal("it left before it said anything")
        self._end()

    def never_came(self) -> None:
        """Take note that there will be no connection, if there is none by now."""
        if self._transport is not None:
            return
        self._state = _State.LEAVING
        self._end()

    # What the station says -------------------------------------------------------------

    @override
    def flush(self) -> None:
        if self._transport is None or self._is_blocked:
            return
        data = self.peer.take_output()
        if data:
            self._written += len(data)
            self._unanswered = 0
            self._transport.write(data)

    @override
    def set_reading(self, wanted: bool) -> None:
        if self._transport is None or wanted == self._is_reading or self._transport.is_closing():
            return
        self._is_reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()
            self._watch_for_end()

    @override
    def hang_up(self) -> None:
        self._state = _State.LEAVING
        if self._transport is not None:
            self.set_reading(wanted=True)
            self._transport.close()
            self._set_timer(LINGER_TIME, self.abort)

    def abort(self) -> None:
        """Hang up whatever has not been sent yet."""
        if self._transport is not None:
            self._transport.abort()

    # Ourselves -------------------------------------------------------------------------

    def _get_port(self) -> None:
        self._state = _State.SERVED
        self._settle()
        self._station.attach(self)

    def _refuse(self, reason: str) -> None:
        """Tell a client that it cannot have the port, when and where it looks."""
        self._part_with(reason)
        if self._transport is None:
            return
        if self._speaks_telnet:
            self._refused = RefusedPeer(self._address, self._last_words)
            self._transport.write(self._last_words)
            self._last_words = b""
            self._set_timer(LINGER_TIME, self.hang_up)
        else:
            self._set_timer(PAUSE, self._say_last)

    def _explain(self, data: bytes) -> None:
        """Go on with a client that has been refused, until it has been told so."""
        refused, transport = self._refused, self._transport
        if refused is None or transport is None:
            return
        was_introduced = refused.is_introduced
        try:
            refused.feed(data)
        except ProtocolError:
            refused.is_told = True
        transport.write(refused.take_output())
        if not refused.is_told:
            if refused.is_introduced and not was_introduced:
                self._set_timer(self._limits.handshake_time, self.abort)
            return
        self._refused = None
        if refused.is_told_late:
            # Not at once: pyserial forgets what has not been read when the connection ends.
            self._set_timer(LINGER_TIME, self.hang_up)
        else:
            self._say_last()

    def _send_away(self, reason: str) -> None:
        self._part_with(reason)
        self._say_last()

    def _part_with(self, reason: str) -> None:
        self._state = _State.LEAVING
        self._note_refusal(reason)
        self._last_words = reason.encode("ascii", "backslashreplace") + b"\r\n"

    def _say_last(self) -> None:
        transport = self._transport
        if transport is None:
            return
        transport.write(self._last_words)
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

    def _counts(self, size: int) -> bool:
        """Tell whether what a client sent still does; of one that is gone the rest does not."""
        if self._transport is None or has_hung_up(self._transport.get_extra_info("socket")):
            self._last_size += size
            return self._last_size <= MAX_LAST_SIZE
        # Its end may stand behind megabytes. What is sent to it has its system say so.
        self._unanswered += size
        if self._unanswered > MAX_LAST_SIZE:
            self._unanswered = 0
            self.peer.nudge()
            self.flush()
        return True

    def _has_waited(self) -> None:
        seconds = f"{self._limits.handshake_time:g} seconds"
        if self._state is _State.SERVED:
            reason = f"no telnet was said for {seconds}"
            self._station.let_go(self, reason)
            self.set_reading(wanted=True)
            self._send_away(reason)
        else:
            self._send_away(f"nothing was said for {seconds}")

    def _note_refusal(self, reason: str) -> None:
        self._journal.note(
            "refused",
            level=logging.WARNING,
            port=self._station.label,
            client=self._address,
            reason=reason,
        )

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

    def _watch_for_stall(self) -> None:
        taken = self._taken()

        def look_again() -> None:
            if self._taken() != taken:
                self._watch_for_stall()
            elif self._state is _State.SERVED:
                self._leave(f"it has read nothing for {self._limits.stall_time:g} seconds")

        self._stall_timer = asyncio.get_running_loop().call_later(
            self._limits.stall_time, look_again
        )

    def _watch_for_end(self) -> None:
        """Look now and then whether a client that is not read is still there."""
        if self._look_timer is not None:
            self._look_timer.cancel()

        def look() -> None:
            self._look_timer = None
            if self._is_reading or self._transport is None or self._state is not _State.SERVED:
                return
            if has_hung_up(self._transport.get_extra_info("socket")):
                self._leave(_CLOSED)
                return
            # The end of a client that is gone does not get through while its bytes do not;
            # what is sent to it has its system say so.
            if not self.peer.output and not self._transport.get_write_buffer_size():
                self.peer.nudge()
                self.flush()
            self._watch_for_end()

        self._look_timer = asyncio.get_running_loop().call_later(LOOK_PERIOD, look)

    def _leave(self, reason: str) -> None:
        """Give the port back, and hang up whatever has not been sent yet."""
        self._state = _State.LEAVING
        self._station.let_go(self, reason)
        self.abort()

    def _taken(self) -> int:
        """Return how much the client's system has taken, in bytes."""
        waiting = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._written - waiting


def _nothing() -> None:
    pass
