"""The one place where protocol bytes meet a transport."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Final, TypeVar, cast

import attrs

from esploader.classes import define, override
from esploader.errors import CommandFailedError, NoResponseError, ProtocolError, TransportError
from esploader.protocol.commands import SYNC_VALUE_OF_STUB, Command, SpiAttach
from esploader.protocol.connection import Connection, State
from esploader.protocol.dialect import STUB
from esploader.protocol.refusals import Refusals
from esploader.session.abilities import Abilities
from esploader.session.exchange import begin_stream, bursts_of, exchange, require
from esploader.session.synchronising import synchronise
from esploader.session.wire import Wire
from esploader.transport.base import BITS_PER_BYTE
from esploader.transport.steps import Wait

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from esploader.protocol.dialect import Dialect
    from esploader.session.ahead import Burst
    from esploader.transport.base import Transport
    from esploader.transport.gated import GatedTransport

_log: Final = logging.getLogger(__name__)

# A library says nothing unless it is asked to.
logging.getLogger("esploader").addHandler(logging.NullHandler())

ResultT = TypeVar("ResultT")

RESYNC_TIMEOUT: Final = 1.0
"""How long an idle loader may take to answer SYNC, in seconds."""

SILENCE: Final = 0.05
"""After how long without a byte nothing is on its way any more, in seconds and besides the
round trip."""

_ATTEMPTS: Final = 3
_MAX_STRAYS: Final = 1.0  # In seconds: several times all answers to the SYNCs of a second.
_RESYNC_ROUND_TRIPS: Final = 6
_SYNC_EXCHANGE_SIZE: Final = 160
"""Bytes of a SYNC and of what is said to it."""

# Espressif's stub waits 5 ms before the change and 5 ms after it.
_RATE_CHANGE_TIME: Final = 0.05
_BUSY_TIMEOUT: Final = 4.0


@define
class Session:
    """One transport in use by one connection to a loader.

    :meth:`execute` and :meth:`execute_all` send commands and return what the loader said
    to them. Every command has one deadline, from the timeout it states and from what is
    known of the link. Repeatable commands that stay without a response are tried again
    after a new SYNC, and what is refused once more
    (:mod:`esploader.protocol.refusals`); with others that is left to the caller, who knows
    what they change.
    """

    wire: Wire
    """What is sent and what comes back; for the modules of this room."""
    _deferred: list[Command[object]] = attrs.field(factory=list, init=False)
    abilities: Abilities = attrs.field(factory=Abilities, init=False)
    """What of what not every loader can this one has not shown to lack."""

    _stray_syncs: bool = attrs.field(default=False, init=False)
    """There may be a SYNC on the way that nobody waits for any more."""

    @override
    def __repr__(self) -> str:
        return f"<Session with the {self.dialect.name} loader on {self.transport.name}>"

    @classmethod
    def start(cls, transport: Transport, dialect: Dialect) -> Session:
        """Return a session with a loader of ``dialect``; nothing is sent yet."""
        return cls(Wire(transport, Connection(dialect)))

    @property
    def transport(self) -> Transport:
        """The way to the loader."""
        return self.wire.transport

    @transport.setter
    def transport(self, transport: Transport) -> None:
        self.wire.transport = transport

    @property
    def dialect(self) -> Dialect:
        """What the loader speaks."""
        return self.wire.connection.dialect

    @dialect.setter
    def dialect(self, dialect: Dialect) -> None:
        self.wire.connection.dialect = dialect

    @property
    def max_write_reg_entries(self) -> int:
        """How many entries one WRITE_REG may have."""
        return self.abilities.max_write_reg_entries(self.dialect)

    @property
    def flash_block_size(self) -> int:
        """Bytes of flash data in one block."""
        return self.abilities.flash_block_size(self.dialect)

    @property
    def is_idle(self) -> bool:
        """Every command has been answered, as far as anybody waits for that."""
        return self.wire.connection.state is State.IDLE

    @property
    def noise(self) -> bytes:
        """The last :data:`~esploader.session.wire.MAX_NOISE_SIZE` bytes that were no response."""
        return bytes(self.wire.noise)

    @property
    def unasked_erasures(self) -> int:
        """How often the loader said that it had erased everything, which nobody had asked for."""
        return self.wire.unasked_erasures

    def forget_noise(self) -> None:
        """Have :attr:`noise` begin anew."""
        self.wire.noise.clear()

    def forget_input(self) -> None:
        """Throw away what has been said so far; costs no round trip where there are gates."""
        gated = self.wire.gated
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
        value, self._stray_syncs = synchronise(self.wire, timeout, busy)
        return value

    def execute(self, command: Command[ResultT]) -> ResultT:
        """Carry out one command and return its result.

        Raises:
            CommandFailedError: the loader refused it, twice if it is repeatable.
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
        refusals = Refusals()
        while True:
            rest = commands[len(results) :]
            done = len(results)
            refusal: CommandFailedError | None = None
            for outcome in self._attempt_all(rest, may_be_refused=False):
                if isinstance(outcome, CommandFailedError):
                    refusal = outcome
                    break
                results.append(outcome)
            if refusal is None:
                return results
            if len(results) > done:
                refusals.clear()
            rest = commands[len(results) :]
            is_repeatable = all(command.is_repeatable for command in rest)
            if not is_repeatable or refusals.is_final(refusal):
                raise refusal
            _log.warning("%s; trying once more", refusal)
            self.resume()

    def attempt_all(
        self, commands: Sequence[Command[ResultT]]
    ) -> list[ResultT | CommandFailedError]:
        """Do as :meth:`execute_all`, with a refusal in the place of a result.

        It is not tried once more.
        """
        return self._attempt_all(commands, may_be_refused=True)

    def execute_ahead(self, commands: Iterable[Command[object]]) -> Generator[object]:
        """Carry out commands in order, and yield their results as they come.

        With gates, commands are taken and sent ahead of the results as far as there is
        room for them; on other links one is taken at a time. What is refused is not tried
        again. The last command may start a stream. Whoever stops listening has everything
        taken back that the loader has not got. Raises as :meth:`execute`; nothing behind the
        command that failed has reached the loader.
        """
        gated = self.wire.gated
        if gated is None:
            for command in commands:
                require(command, self.dialect)
                if command.starts_stream:
                    self.mend()
                    begin_stream(self.wire, command)
                    yield None
                else:
                    # A stub may refuse it because of the one before, and has forgotten that then.
                    (outcome,) = self._attempt_all([command], may_be_refused=True)
                    if isinstance(outcome, CommandFailedError):
                        raise outcome
                    yield outcome
            return
        # Not in bursts: what is behind a refusal must not have reached the loader.
        bursts = _bursts(([command] for command in commands), may_be_refused=False)
        yield from self.after_deferred(gated, bursts)

    def _attempt_all(
        self, commands: Sequence[Command[ResultT]], *, may_be_refused: bool
    ) -> list[ResultT | CommandFailedError]:
        for command in commands:
            require(command, self.dialect)
        self.mend()
        deferred, self._deferred = self._deferred, []
        gated = self.wire.gated
        if gated is None:
            outcomes = self._attempt_all_at_once([*deferred, *commands])
        else:
            outcomes = self._attempt_all_ahead(gated, deferred, commands, may_be_refused)
        return cast("list[ResultT | CommandFailedError]", outcomes[len(deferred) :])

    def mend(self) -> None:
        """Have the loader listen if an exception that is not ours broke off what it was at.

        What was being sent may have got there in part, and its answer may still come.
        """
        if self.wire.connection.state in {State.AWAITING_RESPONSE, State.STREAMING}:
            self.resynchronise(_BUSY_TIMEOUT)
        self._restore_settings()

    def _attempt_all_at_once(self, commands: Sequence[Command[object]]) -> list[object]:
        outcomes: list[object] = []
        for window in self._windows(commands):
            try:
                outcomes += exchange(self.wire, window)
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
                _bursts(self._windows(deferred[done:]), may_be_refused=True),
                _bursts(self._windows(rest), may_be_refused=may_be_refused),
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
                self.resume()
            except CommandFailedError as exc:
                return [*outcomes, exc]
            else:
                return outcomes

    def after_deferred(self, gated: GatedTransport, bursts: Iterator[Burst]) -> Iterator[object]:
        """Return the outcomes of ``bursts``, with what was deferred in front of them."""
        deferred, self._deferred = self._deferred, []
        outcomes = self._carry_out_ahead(
            gated,
            itertools.chain(_bursts(self._windows(deferred), may_be_refused=True), bursts),
        )
        for _ in itertools.islice(outcomes, len(deferred)):
            pass
        return outcomes

    def _carry_out_ahead(self, gated: GatedTransport, bursts: Iterator[Burst]) -> Iterator[object]:
        from esploader.session.ahead import CommandsAhead

        self.prepare_ahead(gated)
        yield from CommandsAhead(self.wire, gated, bursts).outcomes()

    def prepare_ahead(self, gated: GatedTransport) -> None:
        """Have the loader listen, and nothing of old on the way, before anything is sent ahead."""
        if not self.is_idle:
            # Something was given up half-way, and the loader may still be at it.
            self.resynchronise(_BUSY_TIMEOUT)
        self.wire.noise_meanwhile.clear()
        self.wire.frames.clear()
        if self._stray_syncs and self.dialect.receive_ring_size is None:
            # It must be over before anything else comes: a stub has no ring.
            exchange = _SYNC_EXCHANGE_SIZE * BITS_PER_BYTE / self.transport.baudrate
            gated.send_ahead([Wait(0.01 + exchange)])
        self._stray_syncs = False

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
        self.wire.fail()
        round_trips = _RESYNC_ROUND_TRIPS * self.transport.round_trip
        value = self.sync(timeout + self.wire.allowance + round_trips)
        for _ in range(_ATTEMPTS):
            if not self._stray_syncs:
                break
            # An answer to an earlier SYNC says nothing of what came in front of a later one.
            self.await_silence(SILENCE + self.transport.round_trip)
            if not self.dialect.stray_end_inverts_framing:
                break
            # Nor does it of the END that came last: that takes an answer to a first SYNC.
            value = self.sync(timeout + self.wire.allowance + round_trips)
        return value

    def resume(self) -> None:
        """Make sure that the loader listens, and that it is the one that did before.

        Raises:
            ProtocolError: it is another one: the device was reset meanwhile, or the answer to
                an earlier SYNC was damaged.
            NoResponseError: it does not listen.
            TransportError: the port failed.
        """
        value = self.resynchronise()
        if (value == SYNC_VALUE_OF_STUB) != (self.dialect is STUB):
            raise ProtocolError("another loader answers than before")
        self._restore_settings()

    def _restore_settings(self) -> None:
        """Tell the loader once more where its flash is, if it took another request for that."""
        if not self.wire.has_other_settings:
            return
        _log.warning("the loader may look for its flash elsewhere; telling it again where that is")
        # A stub finds it by itself.
        usual = [SpiAttach()] if self.dialect is STUB else []
        for command in [*self.wire.settings.values()] or usual:
            exchange(self.wire, [command])
        self.wire.has_other_settings = False

    def await_silence(self, seconds: float) -> None:
        """Let pass what is still on its way: until nothing has come for so long.

        Raises:
            TransportError: the port failed.
        """
        if self.wire.gated is not None:
            return  # What was said in front of a gate does not get behind it.
        clock = self.transport.clock
        end = clock.now() + _MAX_STRAYS + seconds
        while (now := clock.now()) < end:
            quiet_at = min(now + seconds, end)
            self.wire.receive(quiet_at)
            if clock.now() >= quiet_at:
                return

    def close(self) -> None:
        """Carry out what was deferred, as far as possible, and release the port."""
        try:
            if self._deferred and self.wire.connection.state is not State.FAILED:
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
                self.resume()
                return exchange(self.wire, [command])[0]
            except (NoResponseError, ProtocolError) as exc:
                _log.warning("%s; trying again", exc)
        self.resume()
        return exchange(self.wire, [command])[0]


def _bursts(
    windows: Iterable[Sequence[Command[object]]], *, may_be_refused: bool
) -> Iterator[Burst]:
    from esploader.session.ahead import Burst

    for window in windows:
        yield Burst(commands=window, may_be_refused=may_be_refused)
