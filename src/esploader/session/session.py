"""The one place where protocol bytes meet a transport."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Final, TypeVar, cast

import attrs

from esploader.errors import (
    CommandFailedError,
    NoResponseError,
    ProtocolError,
    TransportError,
)
from esploader.protocol import slip
from esploader.protocol.commands import ChangeBaudrate, Command, ReadReg, Sync
from esploader.protocol.connection import (
    Completed,
    Connection,
    Refused,
    State,
)
from esploader.session.abilities import Abilities
from esploader.session.ahead import (
    Burst,
    CommandsAhead,
    Packet,
    check_size,
    packet_timeout,
    read_packets,
)
from esploader.session.exchange import bursts_of, exchange, require
from esploader.session.synchronising import synchronise
from esploader.session.wire import Wire
from esploader.transport.base import BITS_PER_BYTE
from esploader.transport.gated import GatedTransport, SetBaudrate
from esploader.transport.gates import Delay

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from esploader.protocol.dialect import Dialect
    from esploader.transport.base import Transport

_log: Final = logging.getLogger(__name__)

# A library says nothing unless it is asked to.
logging.getLogger("esploader").addHandler(logging.NullHandler())

ResultT = TypeVar("ResultT")

RESYNC_TIMEOUT: Final = 1.0
"""How long an idle loader may take to answer SYNC, in seconds."""

_ATTEMPTS: Final = 3
_RESYNC_ROUND_TRIPS: Final = 6
_SYNC_EXCHANGE_SIZE: Final = 160
"""Bytes of a SYNC and of what is said to it."""

# Espressif's stub waits 5 ms before the change and 5 ms after it.
_RATE_CHANGE_TIME: Final = 0.05
_BUSY_TIMEOUT: Final = 4.0


@attrs.define
class Session:
    """One transport in use by one connection to a loader.

    :meth:`execute` and :meth:`execute_all` send commands and return what the loader said
    to them. Every command has one deadline, from the timeout it states and from what is
    known of the link. Repeatable commands that stay without a response are tried again
    after a new SYNC; with others that is left to the caller, who knows what they change.
    """

    _wire: Wire
    _deferred: list[Command[object]] = attrs.field(factory=list, init=False)
    abilities: Abilities = attrs.field(factory=Abilities, init=False)
    """What of what not every loader can this one has not shown to lack."""

    _stray_syncs: bool = attrs.field(default=False, init=False)
    """There may be a SYNC on the way that nobody waits for any more."""

    _rate_confirmation: Iterator[object] | None = attrs.field(default=None, init=False)

    @classmethod
    def start(cls, transport: Transport, dialect: Dialect) -> Session:
        """Return a session with a loader of ``dialect``; nothing is sent yet."""
        return cls(Wire(transport, Connection(dialect)))

    @property
    def transport(self) -> Transport:
        """The way to the loader."""
        return self._wire.transport

    @transport.setter
    def transport(self, transport: Transport) -> None:
        self._wire.transport = transport

    @property
    def dialect(self) -> Dialect:
        """What the loader speaks."""
        return self._wire.connection.dialect

    @dialect.setter
    def dialect(self, dialect: Dialect) -> None:
        self._wire.connection.dialect = dialect

    @property
    def max_write_reg_entries(self) -> int:
        """How many entries one WRITE_REG may have."""
        return self.abilities.max_write_reg_entries(self.dialect)

    @property
    def flash_block_size(self) -> int:
        """Bytes of flash data in one block."""
        return self.abilities.flash_block_size(self.dialect)

    @property
    def noise(self) -> bytes:
        """The last :data:`~esploader.session.wire.MAX_NOISE_SIZE` bytes that were no response."""
        return bytes(self._wire.noise)

    def forget_noise(self) -> None:
        """Have :attr:`noise` begin anew."""
        self._wire.noise.clear()

    def forget_input(self) -> None:
        """Throw away what has been said so far; costs no round trip where there are gates."""
        gated = self._wire.gated
        if gated is not None:
            gated.arm()
        else:
            self.transport.discard_input()

    def sync(self, timeout: float, *, busy: float = 0.0) -> int:
        """Send SYNC until it is answered, and return the value word of the response.

        The loader may be starting up, and the link may be slower than one interval: so
        SYNC is sent again and again, whatever has come back. Where a stray END may have
        inverted the framing, every other SYNC comes with one more.

        ``busy`` is for how long the far end has still to do with what was sent ahead, in
        seconds.

        Raises:
            NoResponseError: not within ``timeout`` seconds after that.
            TransportError: the port failed.
        """
        value, self._stray_syncs = synchronise(self._wire, timeout, busy)
        return value

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

        As many are outstanding as the loader can take, or the server in front of it, which
        on a remote link makes many commands as quick as one. Raises as :meth:`execute`;
        what was behind the refused command may have been carried out.
        """
        results: list[ResultT] = []
        for outcome in self._attempt_all(commands, may_be_refused=False):
            if isinstance(outcome, CommandFailedError):
                raise outcome
            results.append(outcome)
        return results

    def attempt_all(
        self, commands: Sequence[Command[ResultT]]
    ) -> list[ResultT | CommandFailedError]:
        """Do as :meth:`execute_all`, with a refusal in the place of a result."""
        return self._attempt_all(commands, may_be_refused=True)

    def execute_ahead(self, commands: Iterable[Command[object]]) -> Generator[object]:
        """Carry out commands in order, and yield their results as they come.

        With gates, commands are taken and sent ahead of the results as far as there is
        room for them; on other links one is taken at a time. Nothing is tried again. The
        last command may start a stream. Whoever stops listening has everything taken back
        that the loader has not got. Raises as :meth:`execute`; nothing behind the command
        that failed has reached the loader.
        """
        gated = self._wire.gated
        if gated is None:
            for command in commands:
                require(command, self.dialect)
                if command.starts_stream:
                    self.start_stream(command)
                    yield None
                else:
                    yield self.execute(command)
            return
        # Not in bursts: what is behind a refusal must not have reached the loader.
        bursts = (Burst(commands=[command]) for command in commands)
        yield from self._after_deferred(gated, bursts)

    def _attempt_all(
        self, commands: Sequence[Command[ResultT]], *, may_be_refused: bool
    ) -> list[ResultT | CommandFailedError]:
        for command in commands:
            require(command, self.dialect)
        deferred, self._deferred = self._deferred, []
        gated = self._wire.gated
        if gated is None:
            outcomes = self._attempt_all_at_once([*deferred, *commands])
        else:
            outcomes = self._attempt_all_ahead(gated, deferred, commands, may_be_refused)
        return cast("list[ResultT | CommandFailedError]", outcomes[len(deferred) :])

    def _attempt_all_at_once(self, commands: Sequence[Command[object]]) -> list[object]:
        outcomes: list[object] = []
        for window in self._windows(commands):
            try:
                outcomes += exchange(self._wire, window)
            except (NoResponseError, ProtocolError) as exc:
                if not all(command.is_repeatable for command in window):
                    raise
                _log.warning("%s; carrying on one command at a time", exc)
                self.abilities.bursts_work = False
                outcomes += [self._exchange_stubbornly(command) for command in window]
        return outcomes

    def _attempt_all_ahead(
        self,
        gated: GatedTransport,
        deferred: Sequence[Command[object]],
        commands: Sequence[Command[object]],
        may_be_refused: bool,  # noqa: FBT001 - private
    ) -> list[object]:
        outcomes: list[object] = []
        failures = 0
        while True:
            done = len(outcomes)
            rest = commands[max(done - len(deferred), 0) :]
            bursts = itertools.chain(
                self._bursts(deferred[done:], may_be_refused=True),
                self._bursts(rest, may_be_refused=may_be_refused),
            )
            try:
                for outcome in self._carry_out_ahead(gated, bursts):
                    outcomes.append(outcome)  # noqa: PERF402 - these stay when the next fails
            except (NoResponseError, ProtocolError) as exc:
                failures = 1 if len(outcomes) > done else failures + 1
                if failures > _ATTEMPTS or not all(command.is_repeatable for command in rest):
                    raise
                _log.warning("%s; carrying on one command at a time", exc)
                self.abilities.bursts_work = False
                self.resynchronise()
            else:
                return outcomes

    def _bursts(
        self, commands: Iterable[Command[object]], *, may_be_refused: bool
    ) -> Iterator[Burst]:
        for window in self._windows(commands):
            yield Burst(commands=window, may_be_refused=may_be_refused)

    def _after_deferred(self, gated: GatedTransport, bursts: Iterator[Burst]) -> Iterator[object]:
        """Return the outcomes of ``bursts``, with what was deferred in front of them."""
        deferred, self._deferred = self._deferred, []
        outcomes = self._carry_out_ahead(
            gated, itertools.chain(self._bursts(deferred, may_be_refused=True), bursts)
        )
        for _ in itertools.islice(outcomes, len(deferred)):
            pass
        return outcomes

    def _carry_out_ahead(self, gated: GatedTransport, bursts: Iterator[Burst]) -> Iterator[object]:
        self._prepare_ahead(gated)
        yield from CommandsAhead(self._wire, gated, bursts).outcomes()

    def _prepare_ahead(self, gated: GatedTransport) -> None:
        if self._wire.connection.state is State.FAILED:
            # Something was given up half-way, and the loader may still be at it.
            self.resynchronise(_BUSY_TIMEOUT)
        self._wire.noise_meanwhile.clear()
        self._wire.frames.clear()
        if self._stray_syncs and self.dialect.receive_ring_size is None:
            # It must be over before anything else comes: a stub has no ring.
            exchange = _SYNC_EXCHANGE_SIZE * BITS_PER_BYTE / self.transport.baudrate
            gated.send_ahead([Delay(0.01 + exchange)])
        self._stray_syncs = False

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
        if self.dialect.receive_ring_size is None and self.abilities.bursts_work:
            values = self.execute_all(commands)
            if self.abilities.bursts_work:
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

    def start_stream(self, command: Command[object]) -> None:
        """Carry out a command that is followed by frames of its own.

        Returns at its response, or at the first of those frames when that was lost.

        Raises:
            CommandFailedError: the loader refused it.
            NoResponseError: neither came.
            TransportError: the port failed.
        """
        if self._wire.gated is not None:
            for _ in self.execute_ahead([command]):
                pass
            return
        self._wire.frames.clear()
        self._wire.noise_meanwhile.clear()
        self._wire.write(self._wire.encode(command))
        timeout = command.timeout + self._wire.allowance
        deadline = self.transport.clock.now() + timeout
        while not self._wire.frames:
            if self.transport.clock.now() >= deadline:
                self._wire.fail()
                raise self._wire.no_response(command.opcode.name, timeout)
            for event in self._wire.receive(deadline):
                match event:
                    case Refused(_, error):
                        raise error
                    case Completed():
                        return
                    case _:
                        pass

    def read_stream(self, command: Command[None], packets: Sequence[Packet]) -> Generator[bytes]:
        """Carry out ``command`` and yield the frames that follow, replying to each.

        With gates the replies are sent ahead.

        Raises:
            CommandFailedError: the loader refused it.
            NoResponseError: a frame did not come in time.
            ProtocolError: a frame has not the size it should have.
            TransportError: the port failed.
        """
        gated = self._wire.gated
        if gated is None:
            self.start_stream(command)
            for packet in packets:
                frame = self.read_frame(packet_timeout(command, packet, self.transport.baudrate))
                check_size(frame, packet)
                if packet.reply:
                    self._wire.write(slip.encode(packet.reply))
                yield frame
            self.end_stream()
        else:
            self._prepare_ahead(gated)
            yield from read_packets(self._wire, gated, command, packets)

    def read_frame(self, timeout: float) -> bytes:
        """Return the next frame of a stream.

        Raises:
            NoResponseError: none came within ``timeout`` seconds and what the link takes.
            TransportError: the port failed.
        """
        timeout += self._wire.allowance
        deadline = self.transport.clock.now() + timeout
        while not self._wire.frames:
            if self.transport.clock.now() >= deadline:
                self._wire.fail()
                raise self._wire.no_response("stream", timeout)
            self._wire.receive(deadline)
        return self._wire.frames.popleft()

    def end_stream(self) -> None:
        """Go back to commands: the last frame of the stream has been read."""
        self._wire.connection.end_stream()

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
        self._wire.fail()
        round_trips = _RESYNC_ROUND_TRIPS * self.transport.round_trip
        return self.sync(timeout + self._wire.allowance + round_trips)

    def change_baudrate(self, command: ChangeBaudrate, baudrate: int) -> None:
        """Have the loader change its baud rate; :meth:`confirm_baudrate` has to follow.

        ``baudrate`` is the rate that comes of it, which the port follows.

        Raises:
            CommandError: it did not agree.
            TransportError: the port failed.
        """
        gated = self._wire.gated
        if gated is None:
            self.execute(command)
            return
        confirmation = Burst(
            commands=[Sync()], items_before=[SetBaudrate(baudrate), Delay(_RATE_CHANGE_TIME)]
        )
        bursts = iter([Burst(commands=[command]), confirmation])
        self._rate_confirmation = self._after_deferred(gated, bursts)
        next(self._rate_confirmation)

    def confirm_baudrate(self, baudrate: int) -> None:
        """Follow the loader to its new baud rate, and make sure that it is there.

        Raises:
            NoResponseError: the loader cannot be heard at this rate.
            TransportError: the port failed.
            CapabilityError: the port has no baud rate.
        """
        confirmation, self._rate_confirmation = self._rate_confirmation, None
        if confirmation is not None:
            try:
                next(confirmation)
            except (NoResponseError, ProtocolError):
                # A single SYNC is soon lost, and a repetition decides.
                self.resynchronise()
            return
        self.transport.set_baudrate(baudrate)
        self.transport.clock.sleep(_RATE_CHANGE_TIME)
        self._wire.keep_noise(self.transport.discard_input())
        self.resynchronise()

    def close(self) -> None:
        """Carry out what was deferred, as far as possible, and release the port."""
        try:
            if self._deferred and self._wire.connection.state is not State.FAILED:
                self.attempt_all([])
        except (CommandFailedError, NoResponseError, ProtocolError, TransportError) as exc:
            _log.warning("%s; closing all the same", exc)
        finally:
            self.transport.close()

    def forget_deferred(self) -> None:
        """Drop what was deferred: a reset makes it pointless."""
        self._deferred.clear()

    def _windows(self, commands: Iterable[Command[object]]) -> Iterator[list[Command[object]]]:
        return bursts_of(commands, self.dialect, one_by_one=not self.abilities.bursts_work)

    def _exchange_stubbornly(self, command: Command[object]) -> object:
        for _ in range(_ATTEMPTS - 1):
            try:
                self.resynchronise()
                return exchange(self._wire, [command])[0]
            except (NoResponseError, ProtocolError) as exc:
                _log.warning("%s; trying again", exc)
        self.resynchronise()
        return exchange(self._wire, [command])[0]
