"""A client's TCP connection in the loop, from its arrival to its end.

It gets the port when it has shown that it is what it should be: one that speaks telnet
with its first answer, a bare one at once. Until then, and when it is sent away, it is only
waited for, for as long as the limits say. One whose first answer begins like telnet and is
none loses the port again when that time is up. One that has to wait may ask for its turn.

A client that is gone is let go of at once, with all that it had sent, also while it is not
read because its queue is full. Only the end of a bare one that stands behind more than the
system's buffers hold is not seen before there is room. What the system still holds of what it
sent counts up to :data:`MAX_LAST_SIZE`, and no longer.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import secrets
from typing import TYPE_CHECKING, Final

from esploader.classes import override
from esploader.errors import ProtocolError
from esploader.server.audience import Audience
from esploader.server.client_end import ClientEnd
from esploader.server.config import Protocol
from esploader.server.guest import LINGER_TIME, Guest
from esploader.server.hang_up import has_hung_up
from esploader.server.peers import ComPortPeer, RawPeer
from esploader.server.refused_peer import RefusedPeer
from esploader.transport.telnet_framing import IAC
from esploader.transport.turns import NONCE_SIZE, Denial, Denied, Lent, Waiting

if TYPE_CHECKING:
    from esploader.server.access import Limits
    from esploader.server.journal import Journal
    from esploader.server.peers import Peer
    from esploader.server.station import Station
    from esploader.transport.turns import Ask, Parting

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

ASK_TIME: Final = 3.0
"""For how long a refused client that may ask for its turn may think about it, in seconds: for ours
it is a round trip."""

_CLOSED: Final = "it closed the connection"

NO_TELNET: Final = "this is an RFC 2217 port; it needs a client that speaks telnet"


@enum.unique
class _State(enum.Enum):
    ARRIVING = enum.auto()
    """Has not said anything sensible yet."""
    SERVED = enum.auto()
    """Has the port."""
    WAITING = enum.auto()
    """Stands in line."""
    LISTENING = enum.auto()
    """Has lent the port, or will have it when nobody else wants it."""
    LEAVING = enum.auto()
    """Has been sent away, or has been let go of."""


_HERE: Final = frozenset({_State.SERVED, _State.WAITING, _State.LISTENING})
"""The station knows it."""


class Connection(Guest, ClientEnd):
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
        super().__init__(address)
        self._station = station
        self._limits = limits
        self._journal = journal
        self._speaks_telnet = protocol is Protocol.RFC2217
        self._state = _State.ARRIVING
        self._raw_peer = RawPeer(address)
        self._telnet_peer: ComPortPeer | None = None
        self._refused: RefusedPeer | None = None
        self._last_words = b""
        self._unnoted = ""
        self._audience: Audience | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._look_timer: asyncio.TimerHandle | None = None
        self._is_reading = True
        self._unread = 0
        self._last_size = 0
        self._unanswered = 0

    @property
    @override
    def peer(self) -> Peer:
        return self.telnet_peer if self._speaks_telnet else self._raw_peer

    @property
    def telnet_peer(self) -> ComPortPeer:
        """The same of a client that speaks telnet."""
        if self._telnet_peer is None:
            station = self._station
            self._telnet_peer = ComPortPeer(self._address, station.label, station.usb_ids)
        return self._telnet_peer

    # What the loop says ----------------------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
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
    def data_received(self, data: bytes) -> None:
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
            if timer is not None and self.peer.is_introduced and self.peer.has_accepted:
                timer.cancel()
            return
        if self._state is _State.LISTENING:
            self.peer.feed(data)
            return
        self._unread += len(data)
        if self._unread > MAX_UNREAD_SIZE:
            self.abort()
        elif self._state is _State.LEAVING:
            self._explain(data)

    @override
    def eof_received(self) -> None:
        # The port is free at once, and not when the last has been sent.
        if self._state in _HERE:
            self._station.let_go(self, _CLOSED)
            self.flush()
            self.hang_up()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_for_stall()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        if self._state is _State.SERVED:
            self._station.wake()
        elif self._audience is not None:
            self.flush()
            self._audience.go_on()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._stall_timer, self._look_timer):
            if timer is not None:
                timer.cancel()
        self._stop_listening()
        state, self._state = self._state, _State.LEAVING
        self._transport = None
        if state in _HERE:
            self._station.let_go(self, str(exc) if exc else _CLOSED)
        elif state is _State.ARRIVING:
            self._note_refusal("it left before it said anything")
        elif self._unnoted:
            self._note_refusal(self._unnoted)
        super().connection_lost(exc)

    # What the station says -------------------------------------------------------------

    @override
    def flush(self) -> None:
        written = self._written
        super().flush()
        if self._written != written:
            self._unanswered = 0

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
    def offer(self) -> None:
        self._stop_listening()
        self._state = _State.SERVED
        self._settle()
        self.telnet_peer.offer(self._station.usb_ids)
        self._set_timer(self._limits.handshake_time, self._has_waited)

    @override
    def listen(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._state = _State.LISTENING
        self._settle()
        self.set_reading(wanted=True)
        self.telnet_peer.lend()
        self._audience = Audience(self._station.tap, self.peer, self.flush)
        self._audience.begin(with_history=False)

    @override
    def say_holder(self, holder: str) -> None:
        self.telnet_peer.mention(Lent(holder))
        self.flush()

    @override
    def say_place(self, place: int, holder: str) -> None:
        self.telnet_peer.mention(Waiting(place, holder))
        self.flush()

    @override
    def part(self, parting: Parting) -> None:
        self._stop_listening()
        self._state = _State.LEAVING
        self.set_reading(wanted=True)
        self.peer.part(parting)
        if self.peer.ask is not None:
            self._say_last(self.peer.take_output())
        elif self._transport is not None:
            # Not at once: pyserial forgets what has not been read when the connection ends.
            self._transport.write(self.peer.take_output())
            self._set_timer(LINGER_TIME, self.hang_up)

    @override
    def hang_up(self) -> None:
        self._stop_listening()
        self._state = _State.LEAVING
        self.set_reading(wanted=True)
        super().hang_up()

    # Ourselves -------------------------------------------------------------------------

    def _get_port(self) -> None:
        self._state = _State.SERVED
        self._settle()
        self._station.attach(self)

    def _refuse(self, reason: str) -> None:
        """Tell a client that it cannot have the port, when and where it looks."""
        # It may ask for its turn, and is not refused then.
        self._unnoted = reason
        self._set_last_words(reason)
        if self._transport is not None and self._speaks_telnet:
            nonce = secrets.token_bytes(NONCE_SIZE) if self._station.is_in_use else None
            label = self._station.label
            self._refused = RefusedPeer(self._address, self._last_words, label, nonce)
            self._transport.write(self._last_words)
            self._last_words = b""
            self._set_timer(LINGER_TIME, self.hang_up)
        else:
            self._set_timer(PAUSE, self._say_why)

    def _explain(self, data: bytes) -> None:
        """Go on with a client that has been refused, until it has been told so."""
        refused, transport = self._refused, self._transport
        if refused is None or transport is None:
            return
        was_introduced, could_ask = refused.is_introduced, refused.may_ask
        try:
            refused.feed(data)
        except ProtocolError:
            refused.is_told = True
        transport.write(refused.take_output())
        if refused.may_ask and refused.ask is not None:
            self._take_turn(refused, refused.ask)
            return
        if not refused.is_told:
            if refused.may_ask and not could_ask:
                self._set_timer(ASK_TIME, self._say_why)
            elif refused.is_introduced and not was_introduced:
                self._set_timer(self._limits.handshake_time, self.abort)
            return
        self._refused = None
        if refused.is_told_late:
            # Not at once: pyserial forgets what has not been read when the connection ends.
            self._set_timer(LINGER_TIME, self.hang_up)
        else:
            self._say_why()

    def _take_turn(self, refused: RefusedPeer, ask: Ask) -> None:
        """Ask for the turn of a client that has been refused."""
        self._refused, self._telnet_peer, self._unnoted = None, refused, ""
        self._state = _State.WAITING
        denial = self._station.ask(self, ask, refused.signature.text)
        if denial is not None:
            self._deny(denial)
        elif self._state is _State.WAITING:
            self._set_timer(ask.wait, self._has_waited_in_vain)

    def _has_waited_in_vain(self) -> None:
        self._station.let_go(self, "its time in line is over")
        self._deny(Denial.TIME)

    def _deny(self, denial: Denial) -> None:
        self._part_with(f"its turn is denied: {denial.value}")
        self.telnet_peer.say(Denied(denial))
        self._say_last(self.peer.take_output())

    def _stop_listening(self) -> None:
        if self._audience is not None:
            self._audience.end()
            self._audience = None

    def _send_away(self, reason: str) -> None:
        self._part_with(reason)
        self._say_why()

    def _say_why(self) -> None:
        self._say_last(self._last_words)

    def _part_with(self, reason: str) -> None:
        self._note_refusal(reason)
        self._set_last_words(reason)

    def _set_last_words(self, reason: str) -> None:
        self._state = _State.LEAVING
        self._last_words = reason.encode("ascii", "backslashreplace") + b"\r\n"

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
        if not self.peer.has_accepted:
            self._leave(f"it has not taken the port that it was offered for {seconds}")
        elif self._state is _State.SERVED:
            reason = f"no telnet was said for {seconds}"
            self._station.let_go(self, reason)
            self.set_reading(wanted=True)
            self._send_away(reason)
        else:
            self._send_away(f"nothing was said for {seconds}")

    def _note_refusal(self, reason: str) -> None:
        self._station.totals.refusals += 1
        self._journal.note(
            "refused",
            level=logging.WARNING,
            port=self._station.label,
            client=self._address,
            reason=reason,
        )

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
