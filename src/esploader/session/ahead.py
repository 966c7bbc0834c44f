"""Commands sent ahead, each burst behind gates that the burst before it opens.

What the gates wait for is what a client next to the chip would wait for. So what comes
of every command is the same as on a plain link; only where the waiting is done differs.
When a gate stays shut, nothing behind it has reached the chip.
"""

from __future__ import annotations

import math
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, frozen
from esploader.errors import NoResponseError, ProtocolError, TransportClosedError, TransportError
from esploader.protocol import slip
from esploader.protocol.connection import Completed, Refused, State, StreamFrame
from esploader.session.exchange import require
from esploader.transport.base import BITS_PER_BYTE
from esploader.transport.gated import (
    SILENCE_TIMEOUT,
    GatedTransport,
    Item,
)
from esploader.transport.gates import (
    MAX_GATE_TIMEOUT,
    Gate,
    GateFailedError,
    Reason,
    ResponseRule,
    SizeRule,
)
from esploader.transport.steps import Wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from esploader.protocol.commands import Command
    from esploader.session.wire import Wire

MAX_AHEAD: Final = 256 * 1024
"""How much is sent ahead, in bytes: what 2 Mbaud take in a second. More would only take
longer to take back."""

GATE_ALLOWANCE: Final = 1.0
"""Added to the timeout of every gate, in seconds: the far end may have a slow adapter."""

OVERDUE: Final = SILENCE_TIMEOUT
"""By how much a gate may be late that should have opened or failed, in seconds: so long the
network, or the server's port, may do nothing at all."""

_MAX_BURST_SIZE: Final = 40_000  # 16 KiB, escaped twice over, and the gates.


@frozen(kw_only=True)
class Burst:
    """Commands that the loader takes without a pause."""

    commands: Sequence[Command[object]]
    items_before: Sequence[Item] = ()
    may_be_refused: bool = False
    """A refusal is an outcome like any other and stops nothing."""


@frozen
class Packet:
    """A frame that a stream brings, and what to say to it."""

    size: int
    reply: bytes = b""


@frozen
class _Sent:
    command: Command[object]
    burst: Burst
    size: int
    """Bytes on the way to the server."""
    seconds: float
    """How long its gate may stay shut, once everything in front of its burst is done."""
    is_last: bool
    """Everything behind it stands behind its gate."""


@define
class CommandsAhead:
    """A sequence of bursts on its way."""

    _wire: Wire
    _gated: GatedTransport
    _bursts: Iterator[Burst]
    _unanswered: deque[_Sent] = attrs.field(factory=deque, init=False)
    _are_gates_open: bool = attrs.field(default=True, init=False)
    """As far as can be known, every gate that an answered command had."""
    _is_exhausted: bool = attrs.field(default=False, init=False)
    _deadline: float = attrs.field(default=math.inf, init=False)
    """When the next answer has to be there, or word that it will not come."""

    def outcomes(self) -> Iterator[object]:
        """Yield what came of each command, in order.

        Bursts are taken as there is room for them. Whoever stops listening has what has
        not reached the chip taken back.

        Raises:
            CommandFailedError: the loader refused; nothing behind it reached the chip.
            NoResponseError: the loader stayed silent.
            ProtocolError: what it said makes no sense.
            TransportError: the port failed.
        """
        is_over = False
        try:
            while True:
                self._send_more()
                if not self._unanswered:
                    break
                yield from self._receive()
            is_over = True
        finally:
            self._finish(is_over=is_over)

    def _send_more(self) -> None:
        room = min(self._gated.queue_size, MAX_AHEAD)
        while not self._is_exhausted and (
            not self._unanswered
            or sum(sent.size for sent in self._unanswered) + _MAX_BURST_SIZE <= room
        ):
            burst = next(self._bursts, None)
            if burst is None:
                self._is_exhausted = True
            elif burst.commands:
                self._send(burst)

    def _send(self, burst: Burst) -> None:
        dialect = self._wire.connection.dialect
        for command in burst.commands:
            require(command, dialect)
        frames = [self._wire.encode(command) for command in burst.commands]
        gates: list[Item] = []
        for command in burst.commands:
            offset = None if burst.may_be_refused else command.data_size(dialect)
            gates.append(
                Gate(rule=ResponseRule(command.opcode, offset), timeout=_patience(command.timeout))
            )
        size = self._gated.send_ahead([*burst.items_before, b"".join(frames), *gates])
        count = len(burst.commands)
        is_first = not self._unanswered
        before = _time_of(burst.items_before) + _time_on_wire(size, self._gated)
        for number, command in enumerate(burst.commands, 1):
            seconds = before + _patience(command.timeout)
            self._unanswered.append(
                _Sent(command, burst, size // count, seconds, is_last=number == count)
            )
        if is_first:
            self._await_next()

    def _await_next(self) -> None:
        """Begin to wait for the next answer: the gate in front of it has just opened."""
        if self._unanswered:
            now = self._gated.clock.now()
            self._deadline = now + self._unanswered[0].seconds + OVERDUE

    def _receive(self) -> Iterator[object]:
        """Yield what came of the commands that are answered next."""
        try:
            events = self._wire.receive_ahead(self._gated, self._deadline)
        except GateFailedError as exc:
            self._are_gates_open = False
            command = self._unanswered[0].command
            raise explain(exc, self._wire, command.opcode.name, command.timeout) from exc
        for event in events:
            match event:
                case Completed(_, result):
                    self._unanswered.popleft()
                    self._await_next()
                    yield result
                case Refused(_, error):
                    # Whether this opened the gate depends on the opcode it came under.
                    self._are_gates_open = False
                    sent = self._unanswered.popleft()
                    self._await_next()
                    if not sent.burst.may_be_refused:
                        if sent.is_last:
                            self._withdraw()
                        raise error
                    yield error
                case StreamFrame() if self._unanswered:
                    # The response in front of it was lost.
                    self._are_gates_open = False
                    self._unanswered.popleft()
                    self._await_next()
                    yield None
                case _:
                    pass
        # Whatever has come: nothing of it was what is waited for.
        if self._unanswered and self._gated.clock.now() >= self._deadline:
            raise self._gated.overdue()

    def _withdraw(self) -> None:
        """Note that none of the commands that are outstanding has reached the loader."""
        self._unanswered.clear()
        self._wire.connection.withdraw()

    def _finish(self, *, is_over: bool) -> None:
        if not is_over and self._wire.connection.outstanding:
            # What went wrong already counts for more.
            with suppress(TransportError):
                self._wire.fail()
        elif not self._are_gates_open:
            with suppress(TransportError):
                self._wire.begin_anew()


def read_packets(
    wire: Wire, gated: GatedTransport, command: Command[None], packets: Sequence[Packet]
) -> Iterator[bytes]:
    """Carry out ``command`` and yield the frames of the stream that it starts.

    The replies are sent ahead, each behind the frame it replies to. Raises as
    :meth:`CommandsAhead.outcomes`.
    """
    items: list[Item] = [
        wire.encode(command),
        Gate(rule=ResponseRule(command.opcode, 0), timeout=_patience(command.timeout)),
    ]
    for packet in packets:
        patience = _patience(packet_timeout(command, packet, gated.baudrate))
        items.append(Gate(rule=SizeRule(packet.size), timeout=patience))
        if packet.reply:
            items.append(slip.encode(packet.reply))
    is_over = False
    try:
        gated.send_ahead(items)
        for packet in packets:
            patience = packet_timeout(command, packet, gated.baudrate) + GATE_ALLOWANCE
            deadline = gated.clock.now() + patience + command.timeout + OVERDUE
            while not wire.frames:
                _await_frame(wire, gated, command, deadline)
            frame = wire.frames.popleft()
            check_size(frame, packet)
            yield frame
        wire.connection.end_stream()
        is_over = True
    finally:
        if not is_over:
            with suppress(TransportError):
                if wire.connection.state is State.IDLE:  # It was refused.
                    wire.begin_anew()
                else:
                    wire.fail()


def _await_frame(
    wire: Wire, gated: GatedTransport, command: Command[None], deadline: float
) -> None:
    try:
        events = wire.receive_ahead(gated, deadline)
    except GateFailedError as exc:
        raise explain(exc, wire, command.opcode.name, command.timeout) from exc
    for event in events:
        if isinstance(event, Refused):
            raise event.error
    if not wire.frames and gated.clock.now() >= deadline:
        raise gated.overdue()


def packet_timeout(command: Command[None], packet: Packet, baudrate: int) -> float:
    """Return how long a frame of a stream may take, in seconds, escapes included."""
    return command.timeout + 2 * packet.size * BITS_PER_BYTE / baudrate


def check_size(frame: bytes, packet: Packet) -> None:
    """Raise :exc:`~esploader.errors.ProtocolError` when a frame is not the expected one."""
    if len(frame) != packet.size:
        raise ProtocolError(
            f"a frame of {len(frame)} bytes came out of turn, in place of {packet.size}"
        )


def explain(
    error: GateFailedError, wire: Wire, what: str, timeout: float
) -> NoResponseError | ProtocolError | TransportError:
    """Return what a gate that stayed shut means for whoever waits for ``what``."""
    match error.failure.reason:
        case Reason.PORT_LOST:
            return TransportClosedError(error.port, error.reason)
        case Reason.MALFORMED:
            return ProtocolError(error.reason)
        case _:
            return wire.no_response(what, timeout)


def _time_of(items: Sequence[Item]) -> float:
    """Return how long items hold up what is behind them, in seconds."""
    return sum(item.seconds for item in items if isinstance(item, Wait))


def _time_on_wire(size: int, gated: GatedTransport) -> float:
    """Return how long bytes may take at the far end, in seconds: twice what they should."""
    return 2 * size * BITS_PER_BYTE / gated.baudrate


def _patience(timeout: float) -> float:
    return min(timeout + GATE_ALLOWANCE, MAX_GATE_TIMEOUT)
