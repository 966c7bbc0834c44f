"""Clients of a port server in virtual time, each over a connection of its own.

What the server's side of it does is the real thing, down to :class:`~esploader.server.connection`.
A client here is our own one without the waiting: what the server says is taken in by the same
:class:`~esploader.transport.server_view.ServerView`.
"""

from __future__ import annotations

import asyncio
import enum
import os
from collections import deque
from typing import TYPE_CHECKING

import attrs
from typing_extensions import override

from esploader.server.access import Limits
from esploader.server.config import Protocol
from esploader.server.connection import Connection
from esploader.transport import com_port, turns
from esploader.transport.com_port import Code, Setting, Signature
from esploader.transport.refusal import parting
from esploader.transport.server_view import ServerView
from esploader.transport.telnet_framing import Option, escape
from esploader.transport.turn_wish import TurnWish
from esploader.transport.turns import (
    Accept,
    Ask,
    Denied,
    Lent,
    Offered,
    Released,
    TakenOver,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.server.guest import Guest
    from esploader.server.journal import Journal
    from esploader.server.station import Station
    from esploader.transport.turns import ServerTurn

LATENCY = 0.02
"""Of the network, one way, in seconds."""


_DESCRIPTOR = os.open(os.devnull, os.O_RDONLY)
"""Of something that nobody hangs up on."""


class OpenSocket:
    """What a connection asks of its socket."""

    def __init__(self, shut_down: Callable[[], None]) -> None:
        self._shut_down = shut_down

    def fileno(self) -> int:
        return _DESCRIPTOR

    def shutdown(self, _: int) -> None:
        self._shut_down()


class Link(asyncio.Transport):
    """A TCP connection whose other end is a :class:`Client`, or whoever else takes it in."""

    def __init__(
        self, guest: Guest, on_data: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._guest = guest
        self._on_data = on_data
        self._on_end = on_end
        self._socket = OpenSocket(lambda: self._later(self._to_client, self._on_end))
        self._is_closing = False
        self._is_open = True
        self._to_client: deque[Callable[[], None]] = deque()
        self._to_server: deque[Callable[[], None]] = deque()
        guest.connection_made(self)

    def say(self, data: bytes) -> None:
        """Have the client say something, which arrives in a moment."""
        self._later(self._to_server, lambda: self._arrive(data))

    def leave(self, exc: Exception | None = None) -> None:
        """Have the client hang up; with ``exc`` without a good-bye."""
        self._later(self._to_server, lambda: self._end(exc))

    @property
    def is_quiet(self) -> bool:
        """Nothing is on its way, in either direction."""
        return not self._to_client and not self._to_server

    def _later(self, queue: deque[Callable[[], None]], happen: Callable[[], None]) -> None:
        def happen_next() -> None:
            queue.popleft()()

        # The loop does not promise to keep the order of what is due at the same moment.
        queue.append(happen)
        self._loop.call_later(LATENCY, happen_next)

    def _arrive(self, data: bytes) -> None:
        if self._is_open:
            self._guest.data_received(data)

    def _end(self, exc: Exception | None) -> None:
        if not self._is_open:
            return
        if exc is None:
            self._guest.eof_received()
        self._lose(exc)

    def _lose(self, exc: Exception | None) -> None:
        if self._is_open:
            self._is_open = False
            self._is_closing = True
            self._guest.connection_lost(exc)
            self._later(self._to_client, self._on_end)

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_open:
            said = bytes(data)
            self._later(self._to_client, lambda: self._on_data(said))

    @override
    def is_closing(self) -> bool:
        return self._is_closing

    @override
    def close(self) -> None:
        self._is_closing = True
        self._loop.call_soon(self._lose, None)

    @override
    def abort(self) -> None:
        self.close()

    @override
    def pause_reading(self) -> None:
        """Nothing here sends so much."""

    @override
    def resume_reading(self) -> None:
        """Nothing here sends so much."""

    @override
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing here sends so much."""

    @override
    def get_write_buffer_size(self) -> int:
        return 0

    @override
    def can_write_eof(self) -> bool:
        return True

    @override
    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._socket if name == "socket" else default


@enum.unique
class Belief(enum.Enum):
    """What a client takes to be the case."""

    COMING = enum.auto()
    HAS_IT = enum.auto()
    WAITS = enum.auto()
    LISTENS = enum.auto()
    LOST_IT = enum.auto()
    REFUSED = enum.auto()


class Client:
    """One that comes to a station with a wish."""

    def __init__(
        self,
        name: str,
        station: Station,
        journal: Journal,
        *,
        wish: TurnWish | None = None,
        baudrate: int = 115200,
        number: int = 1,
    ) -> None:
        self.name = name
        self.address = f"10.0.0.{ord(name[0])}:{number}"
        self.baudrate = baudrate
        self.belief = Belief.COMING
        self.turn: ServerTurn | None = None
        self.heard = bytearray()
        self.is_alive = True
        """It takes notice of what the server says."""
        self._wish = wish or TurnWish()
        self._view = ServerView()
        self._written = 0
        connection = Connection(
            self.address, station, Protocol.RFC2217, limits=Limits(), journal=journal
        )
        self._link = Link(connection, self._take_in, self._gone)
        sides = (self._view.options.ours, self._view.options.theirs)
        options = b"".join(side.request(option) for option in Option for side in sides)
        signature = com_port.encode(Signature(), from_server=False)
        self._link.say(options + signature + self._settings())

    @property
    def is_here(self) -> bool:
        """It has not been sent away, and has not left."""
        return self.belief in {Belief.COMING, Belief.HAS_IT, Belief.WAITS, Belief.LISTENS}

    @property
    def is_told(self) -> bool:
        """Nothing that was said to it, or by it, is on its way."""
        return self._link.is_quiet

    def write(self, data: bytes) -> None:
        """Send bytes for the port."""
        self._link.say(escape(data))

    def send(self, message: bytes) -> None:
        """Send a message."""
        self._link.say(message)

    def leave(self, exc: Exception | None = None) -> None:
        """Hang up, with ``exc`` without a good-bye."""
        self._link.leave(exc)
        self.belief = Belief.LOST_IT

    def _settings(self) -> bytes:
        self._view.unanswered.clear()
        return self._view.request(Setting(Code.SET_BAUDRATE, self.baudrate))

    def _take_in(self, data: bytes) -> None:
        if not self.is_alive or not self.is_here:
            return
        answers = self._view.take_in(data, lambda *_: None)
        if answers:
            self._link.say(answers)
        for turn in self._view.take_news():
            self._take_turn(turn)
        if self.belief is Belief.COMING and parting(self.address, bytes(self._view.received)):
            # It has not said that it knows of turns, so it is told in words.
            self.belief = Belief.LOST_IT
        if self.belief is Belief.COMING and self._view.signature:
            if turns.is_in_use(self._view.signature):
                self._ask()
            elif not self._view.is_waiting_for(Code.SET_BAUDRATE):
                self.belief = Belief.HAS_IT
                ask = Ask(who=self.name, gives_way=self._wish.gives_way)
                self._link.say(turns.encode(ask))
        self.heard += self._view.received
        self._view.received.clear()

    def _ask(self) -> None:
        if self._wish.is_patient:
            self.belief = Belief.WAITS
            self.heard.clear()
            ask = attrs.evolve(self._wish.ask(self._view.signature), who=self.name)
            self._link.say(turns.encode(ask))
        else:
            self.belief = Belief.REFUSED
            self._link.leave()

    def _take_turn(self, turn: ServerTurn) -> None:
        self.turn = turn
        match turn:
            case Offered(number):
                self._link.say(turns.encode(Accept(number)) + self._settings())
                self.belief = Belief.HAS_IT
            case Waiting():
                self.belief = Belief.WAITS
            case Lent():
                self.belief = Belief.LISTENS
            case TakenOver() | Released():
                self.belief = Belief.LOST_IT
            case Denied():
                self.belief = Belief.REFUSED

    def _gone(self) -> None:
        if self.is_alive:
            if self.is_here:
                self.belief = Belief.LOST_IT
            self._link.leave()
