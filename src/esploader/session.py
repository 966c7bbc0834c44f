"""The one place where protocol bytes meet a transport."""

from __future__ import annotations

import itertools
import logging
from collections import deque
from typing import TYPE_CHECKING, Final, TypeVar, cast

import attrs
from typing_extensions import override

from esploader.errors import (
    CommandFailedError,
    NoResponseError,
    ProtocolError,
    TransportError,
    UnsupportedError,
)
from esploader.protocol import slip
from esploader.protocol.commands import Command, ReadReg, Sync
from esploader.protocol.connection import (
    Completed,
    Connection,
    ConnectionEvent,
    Refused,
    State,
    StreamFrame,
    Unsolicited,
)
from esploader.protocol.slip import Noise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from esploader.protocol.dialect import Dialect
    from esploader.transport.base import Transport

_log: Final = logging.getLogger(__name__)

# A library says nothing unless it is asked to.
logging.getLogger("esploader").addHandler(logging.NullHandler())

ResultT = TypeVar("ResultT")

MAX_NOISE_SIZE: Final = 4096
"""How much noise is kept, in bytes: more than a whole boot log."""

SYNC_INTERVAL: Final = 0.1
"""Between two SYNCs while none has been answered, in seconds."""

RESYNC_TIMEOUT: Final = 1.0
"""How long an idle loader may take to answer SYNC, in seconds."""

REMOTE_ALLOWANCE: Final = 1.0
"""Added to every timeout when a network lies between, in seconds."""

_ERROR_NOISE_SIZE: Final = 1024
_ATTEMPTS: Final = 3
_SYNC_FRAME_SIZE: Final = 46
_MAX_LOGGED_SIZE: Final = 64
BITS_PER_BYTE: Final = 10
"""On the wire: a start bit, eight data bits, a stop bit."""

# A burst must fit the ring with what the loader holds of a half-processed frame.
_RING_MARGIN: Final = 32


@attrs.define
class Session:
    """One transport in use by one connection to a loader.

    :meth:`execute` and :meth:`execute_all` send commands and return what the loader said
    to them. Every command has one deadline, from the timeout it states and from what is
    known of the link. Repeatable commands that stay without a response are tried again
    after a new SYNC; with others that is left to the caller, who knows what they change.
    """

    transport: Transport
    _connection: Connection
    _noise: bytearray = attrs.field(factory=bytearray, init=False)
    _noise_meanwhile: bytearray = attrs.field(factory=bytearray, init=False)
    """What of it came since the last command was sent."""

    _deferred: list[Command[object]] = attrs.field(factory=list, init=False)
    _frames: deque[bytes] = attrs.field(factory=deque, init=False)
    _bursts_work: bool = attrs.field(default=True, init=False)

    @classmethod
    def start(cls, transport: Transport, dialect: Dialect) -> Session:
        """Return a session with a loader of ``dialect``; nothing is sent yet."""
        return cls(transport, Connection(dialect))

    @property
    def dialect(self) -> Dialect:
        """What the loader speaks."""
        return self._connection.dialect

    @dialect.setter
    def dialect(self, dialect: Dialect) -> None:
        self._connection.dialect = dialect

    @property
    def noise(self) -> bytes:
        """The last :data:`MAX_NOISE_SIZE` bytes that arrived and were no response."""
        return bytes(self._noise)

    def sync(self, timeout: float) -> int:
        """Send SYNC until it is answered, and return the value word of the response.

        The loader may be starting up, and the link may be slower than one interval: so
        SYNC is sent again every :data:`SYNC_INTERVAL` whatever has come back. Where a stray
        END may have inverted the framing, every other SYNC comes with one more.

        Raises:
            NoResponseError: not within ``timeout`` seconds.
            TransportError: the port failed.
        """
        clock = self.transport.clock
        start = clock.now()
        command = Sync()
        self._noise_meanwhile.clear()
        interval = SYNC_INTERVAL + _SYNC_FRAME_SIZE * BITS_PER_BYTE / self.transport.baudrate
        for attempt in itertools.count():
            now = clock.now()
            if now >= start + timeout:
                break
            if attempt % 2 and self.dialect.stray_end_inverts_framing:
                self._write(slip.END)
            self._write(self._connection.send(command))
            next_sync = min(now + interval, start + timeout)
            while clock.now() < next_sync:
                try:
                    events = self._receive(next_sync)
                except ProtocolError:
                    break
                for event in events:
                    # A stub may answer with what went wrong before: it listens, then.
                    if isinstance(event, Completed) and event.command is command:
                        return cast("int", event.result)
                if any(isinstance(event, Refused) for event in events):
                    break
        self._fail()
        raise self._no_response(command, timeout)

    def execute(self, command: Command[ResultT]) -> ResultT:
        """Carry out one command and return its result.

        Raises:
            CommandFailedError: the loader refused it.
            NoResponseError: the loader stayed silent.
            ProtocolError: what it said makes no sense.
            UnsupportedError: this loader does not know the command.
            TransportError: the port failed.
        """
        return self.execute_all([command])[0]

    def execute_all(self, commands: Sequence[Command[ResultT]]) -> list[ResultT]:
        """Carry out commands in order and return their results.

        As many are outstanding as the loader can take, which on a remote link makes many
        commands as quick as one. Raises as :meth:`execute`, after all have been answered.
        """
        results: list[ResultT] = []
        for outcome in self.attempt_all(commands):
            if isinstance(outcome, CommandFailedError):
                raise outcome
            results.append(outcome)
        return results

    def attempt_all(
        self, commands: Sequence[Command[ResultT]]
    ) -> list[ResultT | CommandFailedError]:
        """Do as :meth:`execute_all`, with a refusal in the place of a result."""
        for command in commands:
            if command.opcode not in self.dialect.opcodes:
                raise UnsupportedError(
                    command.opcode.name, f"the {self.dialect.name} loader does not know it"
                )
        deferred, self._deferred = self._deferred, []
        outcomes: list[object] = []
        for window in self._windows([*deferred, *commands]):
            try:
                outcomes += self._exchange(window)
            except (NoResponseError, ProtocolError) as exc:
                if not all(command.is_repeatable for command in window):
                    raise
                _log.warning("%s; carrying on one command at a time", exc)
                self._bursts_work = False
                outcomes += [self._exchange_stubbornly(command) for command in window]
        return cast("list[ResultT | CommandFailedError]", outcomes[len(deferred) :])

    def read_words(self, addresses: Iterable[int]) -> dict[int, int]:
        """Read registers whose values do not change, and make sure of them.

        Neither the request nor the response of READ_REG is protected: a byte lost on the
        line can make it the value of another register. So each is read twice, and all
        again until both agree; in a burst that costs no round trip. Where it would, it is
        done once the line has shown itself unreliable.

        Raises:
            ProtocolError: it never agreed.
            EsploaderError: as :meth:`execute`.
        """
        commands = [ReadReg(address) for address in dict.fromkeys(addresses)]
        if not commands:
            return {}
        if self.dialect.receive_ring_size is None and self._bursts_work:
            values = self.execute_all(commands)
            if self._bursts_work:
                return {
                    command.address: value for command, value in zip(commands, values, strict=True)
                }
        for _ in range(_ATTEMPTS):
            values = self.execute_all([*commands, *commands])
            first, second = values[: len(commands)], values[len(commands) :]
            if first == second:
                return {
                    command.address: value for command, value in zip(commands, first, strict=True)
                }
        raise ProtocolError("the same registers read differently every time")

    def start_stream(self, command: Command[None]) -> None:
        """Carry out a command that is followed by frames of its own.

        Returns at its response, or at the first of those frames when that was lost.

        Raises:
            CommandFailedError: the loader refused it.
            NoResponseError: neither came.
            TransportError: the port failed.
        """
        self._frames.clear()
        self._noise_meanwhile.clear()
        _log.debug("> %r", command)
        self._write(self._connection.send(command))
        timeout = command.timeout + self._allowance
        deadline = self.transport.clock.now() + timeout
        while not self._frames:
            if self.transport.clock.now() >= deadline:
                self._fail()
                raise self._no_response(command, timeout)
            for event in self._receive(deadline):
                match event:
                    case Refused(_, error):
                        raise error
                    case Completed():
                        return
                    case _:
                        pass

    def read_frame(self, timeout: float) -> bytes:
        """Return the next frame of a stream.

        Raises:
            NoResponseError: none came within ``timeout`` seconds and what the link takes.
            TransportError: the port failed.
        """
        timeout += self._allowance
        deadline = self.transport.clock.now() + timeout
        while not self._frames:
            if self.transport.clock.now() >= deadline:
                self._fail()
                raise NoResponseError("stream", timeout, bytes(self._noise_meanwhile))
            self._receive(deadline)
        return self._frames.popleft()

    def write_frame(self, payload: bytes) -> None:
        """Send a frame within a stream: an acknowledgement."""
        self._write(slip.encode(payload))

    def end_stream(self) -> None:
        """Go back to commands: the last frame of the stream has been read."""
        self._connection.end_stream()

    def defer(self, command: Command[object]) -> None:
        """Have ``command`` carried out in front of the next ones; nobody needs its result."""
        self._deferred.append(command)

    def resynchronise(self, timeout: float = RESYNC_TIMEOUT) -> int:
        """Give up what is outstanding and make sure that the loader listens.

        Returns the value word of its answer to SYNC.

        ``timeout`` is in seconds, on a line without latency.

        Raises:
            NoResponseError: it does not.
            TransportError: the port failed.
        """
        self._fail()
        return self.sync(timeout + self._allowance)

    def set_baudrate(self, baudrate: int) -> None:
        """Follow the loader to another baud rate, and make sure that it is there.

        Raises:
            NoResponseError: the loader cannot be heard at this rate.
            TransportError: the port failed.
            CapabilityError: the port has no baud rate.
        """
        self.transport.set_baudrate(baudrate)
        # Espressif's stub waits 5 ms before the change and 5 ms after it.
        self.transport.clock.sleep(0.05)
        self._keep_noise(self.transport.discard_input())
        self.resynchronise()

    def close(self) -> None:
        """Carry out what was deferred, as far as possible, and release the port."""
        try:
            if self._deferred and self._connection.state is not State.FAILED:
                self.attempt_all([])
        except (CommandFailedError, NoResponseError, ProtocolError, TransportError) as exc:
            _log.warning("%s; closing all the same", exc)
        finally:
            self.transport.close()

    def forget_deferred(self) -> None:
        """Drop what was deferred: a reset makes it pointless."""
        self._deferred.clear()

    @property
    def _allowance(self) -> float:
        return REMOTE_ALLOWANCE if self.transport.capabilities.remote else 0.0

    def _windows(self, commands: Sequence[Command[object]]) -> Iterator[list[Command[object]]]:
        """Divide commands into bursts that the loader's receive ring can hold."""
        ring = self.dialect.receive_ring_size
        window: list[Command[object]] = []
        window_size = 0
        for command in commands:
            # Both END and the header, and room for a few escapes.
            size = len(command.encode_body(self.dialect)) + 10
            room = 0 if ring is None or not self._bursts_work else ring - _RING_MARGIN
            if window and window_size + size > room:
                yield window
                window, window_size = [], 0
            window.append(command)
            window_size += size
        if window:
            yield window

    def _exchange_stubbornly(self, command: Command[object]) -> object:
        for _ in range(_ATTEMPTS - 1):
            try:
                self.resynchronise()
                return self._exchange([command])[0]
            except (NoResponseError, ProtocolError) as exc:
                _log.warning("%s; trying again", exc)
        self.resynchronise()
        return self._exchange([command])[0]

    def _exchange(self, commands: Sequence[Command[object]]) -> list[object]:
        """Send all commands at once and return what came of each, in order."""
        self._noise_meanwhile.clear()
        frames = [self._connection.send(command) for command in commands]
        for command in commands:
            _log.debug("> %r", command)
        self._write(b"".join(frames))
        wire_time = sum(map(len, frames)) * BITS_PER_BYTE / self.transport.baudrate
        outcomes: list[object] = []
        clock = self.transport.clock
        while len(outcomes) < len(commands):
            # Each command has its own time: it starts when the one before is done.
            awaited = commands[len(outcomes)]
            timeout = awaited.timeout + wire_time + self._allowance
            outcomes += self._await_outcomes(awaited, clock.now() + timeout, timeout)
        return outcomes

    def _await_outcomes(
        self, awaited: Command[object], deadline: float, timeout: float
    ) -> list[object]:
        """Return the outcomes that arrive next, at least one."""
        outcomes: list[object] = []
        while not outcomes:
            if self.transport.clock.now() >= deadline:
                self._fail()
                raise self._no_response(awaited, timeout)
            for event in self._receive(deadline):
                match event:
                    case Completed(_, result):
                        outcomes.append(result)
                    case Refused(_, error):
                        outcomes.append(error)
                    case _:
                        pass
        return outcomes

    def _write(self, data: bytes) -> None:
        _log.debug("> %d bytes: %s", len(data), _Hex(data))
        self.transport.write(data)

    def _receive(self, deadline: float) -> list[ConnectionEvent]:
        data = self.transport.read(deadline)
        if not data:
            return []
        _log.debug("< %d bytes: %s", len(data), _Hex(data))
        events = self._connection.receive(data)
        for event in events:
            self._note(event)
        return events

    def _note(self, event: ConnectionEvent) -> None:
        match event:
            case Noise(data):
                self._keep_noise(data)
            case Unsolicited(response):
                _log.debug("< unsolicited: %r", response)
            case Completed(command, result):
                _log.debug("< %s: %r", command.opcode.name, result)
            case Refused(_, error):
                _log.debug("< %s", error)
            case StreamFrame(payload):
                _log.debug("< frame of %d bytes", len(payload))
                self._frames.append(payload)

    def _fail(self) -> None:
        for event in self._connection.fail():
            self._note(event)

    def _keep_noise(self, data: bytes) -> None:
        if data:
            _log.debug("< noise: %r", data)
        self._noise += data
        del self._noise[:-MAX_NOISE_SIZE]
        self._noise_meanwhile += data
        del self._noise_meanwhile[:-_ERROR_NOISE_SIZE]

    def _no_response(self, command: Command[object], timeout: float) -> NoResponseError:
        return NoResponseError(command.opcode.name, timeout, bytes(self._noise_meanwhile))


@attrs.frozen
class _Hex:
    """Bytes that become text only when a log line is really written."""

    data: bytes

    @override
    def __str__(self) -> str:
        text = self.data[:_MAX_LOGGED_SIZE].hex(" ")
        return text if len(self.data) <= _MAX_LOGGED_SIZE else f"{text} ..."
