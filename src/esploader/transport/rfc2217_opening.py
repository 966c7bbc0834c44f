"""Come to an agreement with an RFC 2217 server, and get our turn if somebody else has the port."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.errors import (
    NegotiationError,
    PortBusyError,
    PortPermissionError,
    TransportClosedError,
    TransportError,
    TransportTimeoutError,
)
from esploader.transport import com_port, turns
from esploader.transport.com_port import Code, Signature
from esploader.transport.refusal import hang_up, no_server, quoted
from esploader.transport.telnet_framing import Option
from esploader.transport.turn_wish import who_we_are
from esploader.transport.turns import Ask, Denial, Denied, Offered, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from esploader.transport.clock import Clock
    from esploader.transport.rfc2217_wire import ServerWire
    from esploader.transport.turn_wish import TurnWish
    from esploader.transport.turns import ServerTurn

    OpenedT = TypeVar("OpenedT")

SETTINGS_TIMEOUT: Final = 0.5
"""After how long without acknowledgement the settings are sent once more, in seconds; four
round trips come on top."""

TURN_TIMEOUT: Final = 15.0
"""For how long a server may say nothing of our turn, in seconds; four round trips come on top."""

RETRY_PERIOD: Final = 1.0
"""How often a server that knows of no turns is asked for its port, in seconds."""

_EXPLANATIONS: Final[Mapping[Denial | None, tuple[type[TransportError], str]]] = {
    Denial.NOT_ALLOWED: (PortPermissionError, "it does not let this port be taken over"),
    Denial.AT_WORK: (PortBusyError, "whoever has it works with it, so it is not taken over"),
    Denial.TOKEN: (PortPermissionError, "it does not accept our token"),
    Denial.LINE_FULL: (PortBusyError, "too many wait for it already"),
    Denial.TIME: (PortBusyError, "our time in line is over"),
    None: (PortBusyError, "it does not give it to us"),
}

_logger = logging.getLogger(__name__)


def wait_for_turn(
    open_once: Callable[[TurnWish], OpenedT], wish: TurnWish, clock: Clock
) -> OpenedT:
    """Return what ``open_once`` returns, which is tried for as long as ``wish`` is to wait.

    A server that has its clients take turns keeps us meanwhile; others are asked again and again.

    Raises:
        EsploaderError: that of the last attempt.
    """
    deadline = clock.now() + wish.wait
    while True:
        try:
            return open_once(wish)
        except PortBusyError as exc:
            left = deadline - clock.now()
            if left <= 0:
                raise
            _logger.warning("%s; waiting for that to change", exc)
        clock.sleep(min(RETRY_PERIOD, left))
        wish = attrs.evolve(wish, wait=max(0.0, deadline - clock.now()))


def negotiate(wire: ServerWire, baudrate: int, timeout: float, wish: TurnWish) -> None:
    """Agree on RFC 2217, make the settings and have our turn; all in one flight if it can be.

    ``timeout`` is for how long the host may leave the request for option 44 unanswered, in
    seconds. Raises as :meth:`~esploader.transport.rfc2217.Rfc2217Transport.open`.
    """
    server = wire.server
    started = wire.pipe.clock.now()
    wire.round_trip = wire.pipe.connect_time
    wire.baudrate = baudrate
    sides = (server.options.ours, server.options.theirs)
    flight = b"".join(side.request(option) for option in Option for side in sides)
    flight += com_port.encode(Signature(), from_server=False) + wire.begin_settings()
    try:
        wire.send(flight)
        _agree(wire, timeout, wish)
        if not _settled(wire):
            # A server that threw them away never answers the first copy.
            wire.ask_again()
            _settled(wire)
    except TransportClosedError as exc:
        raise _hang_up_error(wire) from exc
    if turns.is_in_use(server.signature):
        _take_turn(wire, wish)
    else:
        if Code.SET_BAUDRATE in server.values:
            wire.round_trip = wire.pipe.clock.now() - started
        if turns.takes_turns(server.signature):
            wire.send(turns.encode(Ask(who=who_we_are(), gives_way=wish.gives_way)))
    wire.check_rate()


def _agree(wire: ServerWire, timeout: float, wish: TurnWish) -> None:
    server = wire.server

    def is_decided() -> bool:
        return server.agreed or server.refused

    if not wire.wait_until(is_decided, wire.after(timeout, 10)) and not server.received:
        # A server on pyserial keeps us waiting without a word while it serves somebody else.
        wire.wait_until(is_decided, wire.after(wish.wait, 0))
    if not server.agreed:
        raise no_server(wire.name, bytes(server.received), refused=server.refused)


def _settled(wire: ServerWire) -> bool:
    """Wait shortly until all the settings are acknowledged, or will not be; tell whether."""
    return wire.wait_until(
        lambda: wire.is_settled or turns.is_in_use(wire.server.signature),
        wire.after(SETTINGS_TIMEOUT, 4),
    )


def _hang_up_error(wire: ServerWire) -> TransportError:
    """Return the error for a host that closed the connection instead of agreeing."""
    try:
        wire.take_in_the_rest()
    except NegotiationError as exc:
        # With TLS 1.3 that may be about our certificate.
        return exc
    except TransportError:
        pass
    return hang_up(wire.name, bytes(wire.server.received), agreed=wire.server.agreed)


def _take_turn(wire: ServerWire, wish: TurnWish) -> None:
    """Have the server give us the port that somebody else has, as we wish."""
    server = wire.server
    words = bytes(server.received)
    if not wish.is_patient:
        raise hang_up(wire.name, words, agreed=True)
    server.received.clear()
    wire.send(turns.encode(wish.ask(server.signature)))
    turn, before = _next_turn(wire, None), None
    while isinstance(turn, Waiting):
        if turn != before:
            who = turn.holder or "nobody"
            _logger.warning(
                "%s: %s has the port; our place in line is %d", wire.name, who, turn.place
            )
        turn, before = _next_turn(wire, turn), turn
    match turn:
        case Denied(denial):
            error_class, reason = _EXPLANATIONS[denial]
            raise error_class(wire.name, f"the server says {quoted(words)}, and {reason}")
        case Offered():
            _settled(wire)
        case _:
            pass


def _next_turn(wire: ServerWire, told: ServerTurn | None) -> ServerTurn:
    """Return what the server says next of our turn."""
    server = wire.server
    wire.wait_until(lambda: server.turn is not told, wire.after(TURN_TIMEOUT, 4))
    if server.turn is None or server.turn is told:
        raise TransportTimeoutError(wire.name, "the server does not say whose turn it is")
    return server.turn
