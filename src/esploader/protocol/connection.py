"""What may follow what on the line to a loader, and which response belongs to whom.

No I/O and no clock: commands and received bytes go in, bytes to send and events come
out. :class:`~esploader.session.session.Session` moves the bytes and owns the deadlines.

A response to another opcode than the one awaited is judged, not skipped: the ROM loaders
answer a command they do not know under the opcode of the one *before* it, with status
``01 05`` (recorded answers, ``tests/vectors``). Anything else is an
:class:`Unsolicited` event: seven of the eight responses to SYNC, or what a failed
exchange left behind.
"""

from __future__ import annotations

import collections
import enum
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from esploader.classes import define, frozen
from esploader.errors import CommandFailedError, ProtocolError, UnsupportedCommandError
from esploader.protocol import slip, status
from esploader.protocol.commands import SYNC_RESPONSE_COUNT, Command, Sync
from esploader.protocol.opcodes import Opcode
from esploader.protocol.packet import Request, Response

if TYPE_CHECKING:
    from esploader.protocol.dialect import Dialect


@enum.unique
class State(enum.Enum):
    """What the connection is waiting for."""

    IDLE = "idle"
    AWAITING_RESPONSE = "awaiting response"
    STREAMING = "streaming"
    FAILED = "failed"


@enum.unique
class Trigger(enum.Enum):
    """What moves the connection from one state to the next."""

    COMMAND_SENT = "command sent"
    SYNC_SENT = "SYNC sent"
    LAST_RESPONSE = "response to the last outstanding command"
    STREAM_BEGINS = "response to a command that starts a stream, or the stream itself"
    STREAM_ENDS = "stream complete"
    RESPONSE = "response to an outstanding command, more to come"
    WITHDRAWN = "commands taken back that never reached the device"
    RULE_BROKEN = "rule broken by the device, or no response in time"


TRANSITIONS: Final[dict[State, dict[Trigger, State]]] = {
    State.IDLE: {
        Trigger.COMMAND_SENT: State.AWAITING_RESPONSE,
        Trigger.SYNC_SENT: State.AWAITING_RESPONSE,
        Trigger.WITHDRAWN: State.IDLE,
        Trigger.RULE_BROKEN: State.FAILED,
    },
    State.AWAITING_RESPONSE: {
        Trigger.COMMAND_SENT: State.AWAITING_RESPONSE,
        Trigger.SYNC_SENT: State.AWAITING_RESPONSE,
        Trigger.RESPONSE: State.AWAITING_RESPONSE,
        Trigger.LAST_RESPONSE: State.IDLE,
        Trigger.STREAM_BEGINS: State.STREAMING,
        Trigger.WITHDRAWN: State.IDLE,
        Trigger.RULE_BROKEN: State.FAILED,
    },
    State.STREAMING: {
        Trigger.STREAM_ENDS: State.IDLE,
        Trigger.RULE_BROKEN: State.FAILED,
    },
    State.FAILED: {
        # Only SYNC tells old responses from new ones.
        Trigger.SYNC_SENT: State.AWAITING_RESPONSE,
        Trigger.RULE_BROKEN: State.FAILED,
    },
}


@frozen
class Completed:
    """The oldest outstanding command was carried out."""

    command: Command[object]
    result: object


@frozen
class Refused:
    """The oldest outstanding command was refused."""

    command: Command[object]
    error: CommandFailedError


@frozen
class Unsolicited:
    """A response nobody waits for."""

    response: Response
    is_late: bool = False
    """It may be that to a command that was given up."""


@frozen
class StreamFrame:
    """A frame of a stream: a piece of flash, its digest, the greeting of a stub."""

    payload: bytes


ConnectionEvent: TypeAlias = StreamFrame | Completed | Refused | Unsolicited | slip.Noise


@define
class Connection:
    """The host's end of the conversation with one loader."""

    dialect: Dialect
    state: State = attrs.field(default=State.IDLE, init=False)
    _outstanding: collections.deque[Command[object]] = attrs.field(
        factory=collections.deque, init=False
    )
    _decoder: slip.SlipDecoder = attrs.field(factory=slip.SlipDecoder, init=False)
    _previous_opcode: int | None = attrs.field(default=None, init=False)
    _stale_refusal_count: int = attrs.field(default=0, init=False)
    _given_up: set[int] = attrs.field(factory=set, init=False)
    """The opcodes of commands that nobody waits for any more."""

    @property
    def outstanding(self) -> tuple[Command[object], ...]:
        """The commands not yet answered, oldest first."""
        return tuple(self._outstanding)

    def send(self, command: Command[object]) -> bytes:
        """Return the frame that asks for ``command``, which is outstanding from now on.

        Raises:
            ProtocolError: the connection has failed, and this is no SYNC.
        """
        body = command.encode_body(self.dialect)
        frame = slip.encode(Request(command.opcode, body, command.checksum).encode())
        is_sync = isinstance(command, Sync)
        self._move(Trigger.SYNC_SENT if is_sync else Trigger.COMMAND_SENT)
        if not (is_sync and command in self._outstanding):
            # One response answers any number of SYNCs: the first may have met a loader
            # that was not up yet.
            self._outstanding.append(command)
        return frame

    def receive(self, data: bytes) -> list[ConnectionEvent]:
        """Return what ``data`` says.

        Raises:
            ProtocolError: the response to a command breaks the rules. The connection has
                failed then, and the events of ``data`` are lost.
        """
        events: list[ConnectionEvent] = []
        for event in self._decoder.feed(data):
            if isinstance(event, slip.Noise):
                events.append(event)
            else:
                events.append(self._judge_frame(event))
        return events

    def end_stream(self) -> None:
        """Go back to commands and responses.

        Raises:
            ProtocolError: there is no stream.
        """
        self._move(Trigger.STREAM_ENDS)

    def withdraw(self) -> None:
        """Forget the outstanding commands: none of them has reached the device.

        Raises:
            ProtocolError: the connection has failed, or there is a stream.
        """
        self._move(Trigger.WITHDRAWN)
        self._outstanding.clear()

    def fail(self) -> list[slip.Noise]:
        """Give up all outstanding commands, and return an unfinished frame as noise."""
        self._given_up |= {command.opcode for command in self._outstanding}
        self._outstanding.clear()
        self._stale_refusal_count = 0
        self._move(Trigger.RULE_BROKEN)
        return self._decoder.reset()

    def _judge_frame(self, frame: slip.Frame) -> ConnectionEvent:
        if self.state is State.STREAMING:
            return StreamFrame(frame.payload)
        try:
            response = Response.decode(frame.payload)
        except ProtocolError:
            if self._outstanding and self._outstanding[0].starts_stream:
                # The response before it was lost, or never sent.
                self._outstanding.clear()
                self._move(Trigger.STREAM_BEGINS)
                return StreamFrame(frame.payload)
            # Part of a boot log, or a garbled response; the deadline will tell.
            return slip.Noise(slip.encode(frame.payload))
        if self._outstanding:
            if response.opcode == self._outstanding[0].opcode:
                return self._judge_response(response)
            if self._is_refusal_under_previous_opcode(response):
                return self._refuse(response.body, under_other_opcode=True)
        return Unsolicited(response, is_late=response.opcode in self._given_up)

    def _judge_response(self, response: Response) -> ConnectionEvent:
        command = self._outstanding[0]
        data_size = command.data_size(self.dialect)
        if data_size is None:
            data_size = max(len(response.body) - self.dialect.status_size, 0)
        elif len(response.body) > data_size + self.dialect.status_size:
            # A stub that has gone: the ROM loader behind it has more to say.
            raise self._rule_broken(command, response, data_size)
        refusal = response.body[: status.STATUS_SIZE]
        trailer = response.body[data_size : data_size + status.STATUS_SIZE]
        if len(trailer) == status.STATUS_SIZE:
            if trailer[0] == 0:
                body = response.body[:data_size]
                return self._complete(Response(response.opcode, response.value, body))
            return self._refuse(trailer)
        if len(refusal) == status.STATUS_SIZE and refusal[0] != 0:
            # A refusal carries no data, only the status.
            return self._refuse(refusal)
        raise self._rule_broken(command, response, data_size)

    def _rule_broken(
        self, command: Command[object], response: Response, data_size: int
    ) -> ProtocolError:
        self.fail()
        return ProtocolError(
            f"{command.opcode.name}: the response has {len(response.body)} bytes, "
            f"expected {data_size} and a status"
        )

    def _complete(self, response: Response) -> Completed:
        command = self._outstanding[0]
        try:
            result = command.decode_result(response, self.dialect)
        except ProtocolError:
            self.fail()
            raise
        self._previous_opcode = command.opcode
        if command.starts_stream:
            self._outstanding.clear()
            self._move(Trigger.STREAM_BEGINS)
        else:
            self._pop()
        return Completed(command, result)

    def _refuse(self, status_bytes: bytes, *, under_other_opcode: bool = False) -> Refused:
        command = self._outstanding[0]
        self._pop()
        if self.dialect.reason_in_first_byte:
            code, meanings = status_bytes[0], status.STUB_MEANINGS
            is_unknown = code in (status.STUB_INVALID_COMMAND, status.STUB_NOT_IMPLEMENTED)
        else:
            code, meanings = status_bytes[1], status.ROM_MEANINGS
            # A ROM that has another way to say so means a bad argument by this code.
            is_unknown = under_other_opcode or (
                code == status.ROM_INVALID_MESSAGE
                and not self.dialect.refuses_under_previous_opcode
            )
        error_class = UnsupportedCommandError if is_unknown else CommandFailedError
        meaning = meanings.get(code, "the loader gave a reason that is not documented")
        return Refused(command, error_class(command.opcode.name, code, meaning))

    def _is_refusal_under_previous_opcode(self, response: Response) -> bool:
        if (
            not self.dialect.refuses_under_previous_opcode
            or response.opcode != self._previous_opcode
            or response.body[: status.STATUS_SIZE] != bytes((1, status.ROM_INVALID_MESSAGE))
        ):
            return False
        if self._stale_refusal_count:
            self._stale_refusal_count -= 1
            return False
        if response.opcode == Opcode.SYNC:
            # As SYNC itself, its stand-in for a refusal comes eight times.
            self._stale_refusal_count = SYNC_RESPONSE_COUNT - 1
        return True

    def _pop(self) -> None:
        self._outstanding.popleft()
        self._move(Trigger.RESPONSE if self._outstanding else Trigger.LAST_RESPONSE)

    def _move(self, trigger: Trigger) -> None:
        try:
            self.state = TRANSITIONS[self.state][trigger]
        except KeyError:
            raise ProtocolError(
                f"{trigger.value!r} is not possible while the connection is {self.state.value}"
            ) from None
