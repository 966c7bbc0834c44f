"""The conversation with an RFC 2217 server: what is sent, and what is taken in meanwhile."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import (
    BaudrateError,
    NegotiationError,
    PortBusyError,
    PortTakenOverError,
    TransportClosedError,
    TransportError,
    TransportTimeoutError,
)
from esploader.transport import com_port, turns
from esploader.transport.base import DEFAULT_BAUDRATE
from esploader.transport.com_port import Code, Control, Setting, Signature
from esploader.transport.pipe import DISCARD_LIMIT
from esploader.transport.server_view import ServerView
from esploader.transport.turns import Accept, Lent, Offered, Released, TakenOver

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.transport.pipe import Pipe
    from esploader.transport.turns import ServerTurn

ACK_TIMEOUT: Final = 1.0
"""For how long an acknowledgement is worth waiting for, in seconds; four round trips come
on top."""

BAUDRATE_TOLERANCE: Final = 0.02
"""A server may say which rate its divider really makes. A UART takes a deviation of about
4 % between both ends; half of that is left to the other one."""

MAX_BAUDRATE: Final = 2**32 - 1
"""The highest rate that SET_BAUDRATE can express, in baud."""

_FORMAT: Final = (
    Setting(Code.SET_DATASIZE, com_port.DATASIZE_8),
    Setting(Code.SET_PARITY, com_port.PARITY_NONE),
    Setting(Code.SET_STOPSIZE, com_port.STOPSIZE_1),
)
_NO_FLOW_CONTROL: Final = Setting(Code.SET_CONTROL, Control.NO_FLOW_CONTROL)

_logger = logging.getLogger(__name__)


@define(eq=False)
class ServerWire:
    """What goes to a server and comes from it, and the rate that was asked for last.

    All that waits takes in what comes, whatever it is. A port that is lent to somebody else and
    comes back is taken, and set as it was, in passing.
    """

    pipe: Pipe
    log_level: int | None
    """At which the telnet traffic is logged; ``None`` for not at all."""

    server: ServerView = attrs.field(factory=ServerView, init=False)
    baudrate: int = attrs.field(default=DEFAULT_BAUDRATE, init=False)
    confirmed_baudrate: int = attrs.field(default=DEFAULT_BAUDRATE, init=False)
    """The rate that is set, whatever becomes of what was sent ahead."""

    round_trip: float = attrs.field(default=0.0, init=False)
    last_activity: float = attrs.field(default=0.0, init=False)
    is_idle: bool = attrs.field(default=False, init=False)
    """Nothing has been sent since the server was told to begin anew."""

    on_turn: Callable[[ServerTurn], None] | None = attrs.field(default=None, init=False)
    """Is called when the server says whose turn it is, by whoever takes that in."""

    @property
    def name(self) -> str:
        """What error messages call the port."""
        return self.pipe.name

    def after(self, seconds: float, round_trips: int) -> float:
        """Return the moment after that time."""
        return self.pipe.clock.now() + seconds + round_trips * self.round_trip

    # What is sent ----------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send something.

        Raises:
            PortTakenOverError: the server has given the port to somebody else.
            TransportError: the connection failed.
        """
        # Once it has said so the server listens no longer, and may not have hung up yet.
        self._require_port(None)
        try:
            self.pipe.send(data)
        except TransportClosedError as exc:
            if turns.takes_turns(self.server.signature):
                with suppress(TransportError):
                    self.take_in_the_rest()
            self._require_port(exc)
            raise
        self.last_activity = self.pipe.clock.now()
        self.is_idle = False

    def request(self, *settings: Setting) -> None:
        """Ask for settings."""
        self._log("sending", settings)
        self.send(self.server.request(*settings))

    def begin_rate(self, baudrate: int) -> bytes:
        """Return the request for a rate, and expect it to be acknowledged."""
        request = self.server.request(self._rate_setting(baudrate))
        self.server.values.pop(Code.SET_BAUDRATE, None)
        self.baudrate = baudrate
        return request

    def begin_settings(self) -> bytes:
        """Return the requests for the rate, 8N1 and no flow control, as they travel."""
        self.server.unanswered.clear()
        rate = self.begin_rate(self.baudrate)
        return rate + self.server.request(*_FORMAT, _NO_FLOW_CONTROL)

    def ask_again(self) -> None:
        """Send once more what has not been acknowledged of the first settings."""
        server = self.server
        rate = self._rate_setting(self.baudrate)
        unsettled = [each for each in (rate, *_FORMAT) if server.is_waiting_for(each.code)]
        server.unanswered.clear()
        self.send(com_port.encode(Signature(), from_server=False))
        self.request(*unsettled)

    @property
    def is_settled(self) -> bool:
        """The settings are acknowledged."""
        codes = (Code.SET_BAUDRATE, *(each.code for each in _FORMAT))
        return not any(map(self.server.is_waiting_for, codes))

    # What comes ------------------------------------------------------------------------

    def wait_until(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Take in what comes until ``condition`` holds; tell whether it does.

        Raises:
            NegotiationError: the server sends without end.
            TransportError: as :meth:`take_in`.
        """
        while not condition():
            if not self.take_in(deadline) or self.pipe.clock.now() >= deadline:
                return condition()
            if len(self.server.received) > DISCARD_LIMIT:
                raise NegotiationError(self.name, "the server sends without end")
        return True

    def take_in(self, deadline: float) -> bool:
        """Take in what came, waiting until ``deadline``; tell whether anything did.

        Raises:
            PortTakenOverError: the server has given the port to somebody else.
            TransportError: the connection failed.
        """
        try:
            data = self.pipe.receive(deadline)
            if data:
                self.last_activity = self.pipe.clock.now()
                self.answer(data)
        except TransportClosedError as exc:
            self._require_port(exc)
            raise
        return bool(data)

    def answer(self, data: bytes) -> None:
        """Take in ``data``, and send back what has to be."""
        answers = self.server.take_in(data, self._log)
        for turn in self.server.take_news():
            if isinstance(turn, Offered):
                accept = turns.encode(Accept(turn.number))
                signature = com_port.encode(Signature(), from_server=False)
                answers += accept + signature + self.begin_settings()
            if self.on_turn is not None:
                self.on_turn(turn)
        if answers:
            self.pipe.send(answers)
        if not self.server.is_waiting_for(Code.SET_BAUDRATE):
            self.confirmed_baudrate = self.baudrate

    def await_flow(self) -> None:
        """Wait while the server wants no bytes for the port.

        Raises:
            PortBusyError: somebody else has the port, which was lent.
            TransportTimeoutError: it takes too long.
        """
        self.require_turn()
        if self.server.suspended:
            deadline = self.pipe.clock.now() + self.pipe.write_timeout
            if not self.wait_until(lambda: not self.server.suspended, deadline):
                reason = f"the server suspended the flow for {self.pipe.write_timeout:g} s"
                raise TransportTimeoutError(self.name, reason)

    @property
    def is_lent(self) -> bool:
        """Somebody else has the port for a while."""
        return isinstance(self.server.turn, Lent)

    def require_turn(self) -> None:
        """Raise :exc:`~esploader.errors.PortBusyError` while somebody else has the port."""
        if isinstance(self.server.turn, Lent):
            raise PortBusyError(self.name, f"{self.server.turn.to} has the port for now")

    def has_rate(self, baudrate: int) -> bool:
        """Tell whether the server's last word is this rate."""
        rate = self.server.values.get(Code.SET_BAUDRATE)
        if rate == com_port.ASK:
            # It acknowledges, and does not know or tell which rate it is.
            return True
        return rate is not None and abs(rate - baudrate) <= BAUDRATE_TOLERANCE * baudrate

    def check_rate(self) -> None:
        """Raise :exc:`~esploader.errors.BaudrateError` if the server has set another rate."""
        asked = self.baudrate
        rate = self.server.values.get(Code.SET_BAUDRATE)
        if rate is not None and not self.has_rate(asked):
            self.baudrate = rate
            raise BaudrateError(self.name, f"the server set {rate} baud instead of {asked}")

    def _rate_setting(self, baudrate: int) -> Setting:
        if not 0 < baudrate <= MAX_BAUDRATE:
            raise TransportError(self.name, f"{baudrate} is no baud rate")
        return Setting(Code.SET_BAUDRATE, baudrate)

    def take_in_the_rest(self) -> None:
        """Take in what came before the connection ended: a write that fails leaves it unread.

        Raises:
            TransportError: how it ended.
        """
        while data := self.pipe.receive(self.pipe.clock.now()):
            self.server.take_in(data, self._log)

    def _require_port(self, exc: TransportClosedError | None) -> None:
        """Raise what the server has said of the end of the connection, if it has."""
        match self.server.turn:
            case TakenOver(by):
                raise PortTakenOverError(self.name, f"{by} took the port over") from exc
            case Released(reason):
                reason = f"the server took the port away: {reason}"
                raise PortTakenOverError(self.name, reason) from exc
            case _:
                pass

    def _log(self, what: str, which: object) -> None:
        if self.log_level is not None:
            _logger.log(self.log_level, "%s: %s %s", self.name, what, which)
