"""Carry bytes and settings between one port and one client at a time, in order.

Nothing here waits: :meth:`Relay.pump` does what can be done at this moment, and
:attr:`Relay.seconds_to_wait` tells when there will be more to do.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from esploader.errors import TransportTimeoutError
from esploader.server.gatekeeper import Gatekeeper
from esploader.server.port_settings import PortSettings
from esploader.server.purges import PendingPurges, is_purge
from esploader.server.recogniser import ResetPolicy
from esploader.server.request_queue import Malformed, Request, RequestQueue, is_question
from esploader.server.traffic import Traffic
from esploader.server.turn_rules import QUIET_TIME
from esploader.transport.com_port import Code, Purge, Setting
from esploader.transport.gates import Arm, Delay, Gate, GateFailed, Reason

if TYPE_CHECKING:
    from esploader.server.peers import Peer
    from esploader.server.served_port import ServedPort

WRITE_BUDGET: Final = 16 * 1024
"""How much is handed to the port before anything else gets its turn, in bytes."""

MAX_STEPS: Final = 64
"""How many requests are carried out before anything else gets its turn."""

MAX_DISCARDS: Final = 1024
"""How many requests behind a failure are thrown away before anything else gets its turn."""

MAX_READS: Final = 64
"""How often a port is read in a row, at most, to get at what has arrived."""

WRITE_TIMEOUT: Final = 10.0
"""For how long a port may take not a single byte, in seconds."""

RETRY_PERIOD: Final = 0.005
"""When a port that took nothing is tried again, in seconds."""

SILENCE: Final = 1.5
"""For how long a client that sends ahead may hear nothing while it waits, in seconds. Two
are promised."""

_SETTINGS_OF_THE_WIRE: Final = frozenset(
    {Code.SET_BAUDRATE, Code.SET_DATASIZE, Code.SET_PARITY, Code.SET_STOPSIZE}
)


class Relay:
    """The traffic between a port and whichever client is attached.

    Bytes and settings of the client reach the port in the order in which they were sent; a
    purge of the transmit buffer alone overtakes, and takes the bytes with it. A client that
    uses gates gets what ``docs/gates.md`` promises.

    Every method that touches the port raises :exc:`~esploader.errors.TransportError` when
    that fails: then :meth:`port_lost` is to be called, or :meth:`detach`.
    """

    def __init__(self, port: ServedPort, policy: ResetPolicy | None = None) -> None:
        self._port: ServedPort | None = port
        self._clock = port.transport.clock
        self._policy = policy or ResetPolicy()
        self._settings = PortSettings(port, self._policy)
        self._queue = RequestQueue()
        self._keeper = Gatekeeper()
        self._is_gated = False  # it has sent an ARM
        self._is_skipping = False  # what comes, up to the next ARM
        self._purges = PendingPurges()
        self._delay_until: float | None = None
        self._look_at = math.inf  # when the head of the queue is to be looked at again
        self._stuck_since: float | None = None
        self._stalled_since: float | None = None
        self._spoke_at = 0.0
        self._worked_at = 0.0
        self._resets_before = 0
        self.peer: Peer | None = None
        """The attached client."""
        self.traffic = Traffic()
        """Of the client that is attached, or was last."""

    @property
    def wants_client(self) -> bool:
        """More may be taken from the client."""
        return self.peer is not None and self.peer.can_be_read and not self._queue.is_full

    @property
    def wants_port(self) -> bool:
        """More may be taken from the port."""
        return self._port is not None and self.peer is not None and self.peer.can_take

    @property
    def queue_size(self) -> int:
        """How much of what the client wants waits, in bytes."""
        return self._queue.size

    @property
    def is_busy(self) -> bool:
        """A reset is being played, with or without the client that asked for it."""
        return self._settings.lines.is_playing

    @property
    def work_left(self) -> float:
        """For how long the client still counts as one that works, in seconds.

        Infinity while it waits for something. What the device says by itself is no work of the
        client.
        """
        if self._queue.head is not None or self.is_busy:
            return math.inf
        return max(0.0, self._worked_at + QUIET_TIME - self._clock.now())

    @property
    def seconds_to_wait(self) -> float | None:
        """After how long :meth:`pump` has something to do by itself; ``None`` for never.

        Bytes of the client (:meth:`take_in`), of the port, and output that is taken may
        give it something to do before.
        """
        if self._has_waste or (self._purges.is_pending and self._port is not None):
            return 0.0
        moments = [self._nudge_at()]
        of_port = None
        if self._port is not None:
            moments += [self._look_at, self._settings.next_at]
            of_port = self._port.seconds_to_wait() if self.wants_port else None
        seconds = max(0.0, min(moments) - self._clock.now())
        seconds = seconds if of_port is None else min(seconds, of_port)
        return None if seconds == math.inf else seconds

    def attach(self, peer: Peer) -> None:
        """Relay between the port and ``peer`` from now on.

        What the port said while nobody listened is not for it, unless it has listened itself.
        """
        now = self._clock.now()
        self.peer = peer
        self.traffic = Traffic()
        self._resets_before = self._settings.lines.reset_count
        self._spoke_at = self._worked_at = now
        self._stalled_since = None
        # Last: when it fails the client waits for the port.
        if self._port is not None:
            if peer.ask is None or not peer.ask.gives_way:
                self._port.discard_input()
            self._settings.watch(now)

    def detach(self) -> None:
        """Let the client go, with what it still wanted, and restore the port.

        A reset that is being played is played to its end: :meth:`pump` has to be called as
        long as :attr:`is_busy`.
        """
        self.peer = None
        self._queue.clear()
        self._keeper = Gatekeeper()
        self._is_gated = self._is_skipping = False
        self._delay_until = self._stuck_since = self._stalled_since = None
        self._look_at = math.inf
        self._purges.forget()
        if self._port is None:
            self._settings = self._settings.fresh()
        else:
            self._port.discard_stuck_output(self._clock.now())
            self._settings.restore()

    def take_in(self, data: bytes) -> None:
        """Take in what the connection of the client brought.

        Raises:
            ProtocolError: the client does not speak its protocol at all.
        """
        if self.peer is not None:
            self.request(*self.peer.feed(data))

    def request(self, *requests: Request) -> None:
        """Take over what the client wants."""
        for request in requests:
            if isinstance(request, Arm):
                self._is_gated = True
                self._is_skipping = False
            elif isinstance(request, Malformed) and request.is_arm:
                self._is_gated = True
            elif is_purge(request, Purge.TRANSMIT):
                if self._is_gated:
                    self._abort(request)
                    continue
                self._queue.drop_bytes()
                self._purges.ask(Purge.TRANSMIT)
            if not self._is_skipping or is_purge(request, Purge.RECEIVE):
                self._queue.append(request)
        if requests:
            now = self._clock.now()
            self._look_at = min(self._look_at, now)
            if not all(map(is_question, requests)):
                self._worked_at = now

    def pump(self) -> None:
        """Do what can be done now, in both directions."""
        now = self._clock.now()
        if self._has_waste:
            self._queue.discard(MAX_DISCARDS)
        if self._port is not None:
            self._purges.carry_out(self._port)
            self._pump_port(self._port, now)
        if self.peer is not None and now >= self._nudge_at():
            self.peer.nudge()
            self._spoke_at = now

    def restart(self) -> None:
        """Reset the device into its application, whoever is attached: :meth:`pump` goes on."""
        self._settings.lines.restart(self._clock.now())

    def port_lost(self) -> None:
        """The port failed: hold everything until :meth:`port_back`.

        A client that uses gates is told. For others, and in front of a first ARM that
        waits, what was set is set when the port is back, and bytes are lost.
        """
        if self._port is None:
            return
        self._port = None
        self._delay_until = self._stuck_since = None
        self._look_at = math.inf
        self._purges.forget()
        if self._keeper.is_armed:
            self._fail(self._keeper.fail(Reason.PORT_LOST))
        else:
            self.traffic.failures += 1
            self._queue.drop_bytes()

    def port_back(self, port: ServedPort) -> None:
        """Go on with a port that has come back, set as it was."""
        self._port = port
        self._clock = port.transport.clock
        self._settings.reopen(port)
        self._look_at = self._clock.now()

    def _pump_port(self, port: ServedPort, now: float) -> None:
        if self.wants_port:
            self._end_stall(now)
            self._read_port(port)
        elif self._stalled_since is None:
            self._stalled_since = now
        self._settings.lines.pump(now)
        self._look_at = self._advance(port, now)
        if self.peer is not None:
            self.traffic.resets = self._settings.lines.reset_count - self._resets_before
            for setting in self._settings.changes(now):
                self._answer(setting)

    # From the port to the client.

    def _read_port(self, port: ServedPort, reads: int = 1) -> None:
        if self.peer is None:
            return
        for _ in range(reads):
            data = port.read()
            if not data:
                return
            self.peer.send(data)
            self._spoke_at = self._clock.now()
            self.traffic.to_client += len(data)
            self._keeper.receive(data)

    def _answer(self, setting: Setting) -> None:
        if self.peer is not None:
            self.peer.answer(setting)
            self._spoke_at = self._clock.now()

    def _nudge_at(self) -> float:
        """Return when a client that waits should hear something."""
        waits = self._is_gated and self._queue.head is not None
        return self._spoke_at + SILENCE if waits else math.inf

    # From the client to the port.

    def _advance(self, port: ServedPort, now: float) -> float:
        """Carry out what can be carried out; return when to look again."""
        budget = WRITE_BUDGET
        for _ in range(MAX_STEPS):
            head = self._queue.head
            # A client that does not take what the chip says gets no further either.
            is_stalled = self._is_gated and not self.wants_port
            if head is None or is_stalled or self._settings.lines.is_playing:
                return math.inf
            if self._has_waste:
                break
            if isinstance(head, bytes):
                written, moment = self._write(port, head, now)
                budget -= written
            else:
                moment = self._carry_out(port, head, now)
            if moment is not None:
                return moment
            if budget <= 0:
                break
        return now

    def _write(self, port: ServedPort, data: bytes, now: float) -> tuple[int, float | None]:
        """Write what there is room for; return how much that was, and when there is more."""
        self._settings.lines.settle(now)
        if self._settings.lines.is_playing:
            return 0, math.inf
        room = port.room(now)
        if not room:
            return 0, port.room_at()
        written = port.write_some(data[:room], now)
        if not written:
            return 0, self._wait_for_room(port, now)
        self._stuck_since = None
        self._queue.consume(written)
        self._worked_at = now
        self.traffic.to_port += written
        return written, None

    def _wait_for_room(self, port: ServedPort, now: float) -> float:
        if self._stuck_since is None:
            self._stuck_since = now
        if now - self._stuck_since >= WRITE_TIMEOUT:
            self._stuck_since = None
            raise TransportTimeoutError(port.transport.name, "the port accepts no bytes")
        return now + RETRY_PERIOD

    def _carry_out(self, port: ServedPort, request: Request, now: float) -> float | None:
        """Carry out the head of the queue; return when to look again if it has to wait."""
        match request:
            case Setting():
                return self._set(port, request, now)
            case Arm():
                return self._arm(port, request, now)
            case Malformed(is_arm=True):
                self._fail(self._keeper.fail(Reason.MALFORMED))
            case _ if not self._keeper.is_armed:
                self._queue.pop()
            case Gate():
                return self._open(port, request, now)
            case Delay(seconds):
                return self._delay(port, seconds, now)
            case Malformed(gate_id):
                self._fail(self._keeper.fail(Reason.MALFORMED, gate_id=gate_id))
            case _:
                pass
        return None

    def _set(self, port: ServedPort, request: Setting, now: float) -> float | None:
        if request.code in _SETTINGS_OF_THE_WIRE and port.drained_at > now:
            return port.drained_at
        if request.code in _SETTINGS_OF_THE_WIRE and port.holds_output():
            return self._wait_for_room(port, now)
        self._stuck_since = None
        if self._is_gated and (
            request.code in {Code.SET_BAUDRATE, Code.SET_CONTROL}
            or is_purge(request, Purge.RECEIVE)
        ):
            self._read_port(port, MAX_READS)
            self._keeper.forget()
        # A port that fails at this is back some time, and is then set as it was to be.
        answer = self._settings.apply(request)
        self._queue.pop()
        self._answer(answer)
        return None

    def _arm(self, port: ServedPort, request: Arm, now: float) -> float | None:
        lines = self._settings.lines
        if not lines.is_transparent:
            lines.settle(now)
            lines.is_transparent = True
            if lines.is_playing:
                return math.inf
        self._read_port(port, MAX_READS)
        self._queue.pop()
        armed = self._keeper.arm(request.epoch)
        if self.peer is not None:
            self.peer.notify(armed)
            self._spoke_at = now
        return None

    def _open(self, port: ServedPort, gate: Gate, now: float) -> float | None:
        keeper = self._keeper
        if keeper.deadline is None:
            keeper.close(gate, max(now, port.drained_at) + gate.timeout)
        verdict = keeper.check(now)
        if isinstance(verdict, GateFailed):
            self._fail(verdict)
        elif verdict:
            self.traffic.gates += 1
            self._queue.pop()
        else:
            return keeper.deadline
        return None

    def _delay(self, port: ServedPort, seconds: float, now: float) -> float | None:
        if self._delay_until is None:
            self._delay_until = max(now, port.drained_at) + seconds
        if now < self._delay_until:
            return self._delay_until
        self._delay_until = None
        self._queue.pop()
        return None

    # When something goes wrong.

    def _fail(self, failed: GateFailed) -> None:
        """Tell the client, and throw away what it sent up to the next ARM."""
        self.traffic.failures += 1
        self._delay_until = None
        self._is_skipping = not self._queue.arm_count
        if self.peer is not None:
            self.peer.notify(failed)
            self._spoke_at = self._clock.now()

    def _abort(self, request: Request) -> None:
        """Throw away all that the client sent, out of turn."""
        self._queue.clear()
        self._delay_until = None
        self._look_at = math.inf
        self._keeper.discard()
        self._is_skipping = True
        is_both = is_purge(request, Purge.RECEIVE)
        self._purges.ask(Purge.BOTH if is_both else Purge.TRANSMIT)
        if isinstance(request, Setting):
            self._answer(request)

    @property
    def _has_waste(self) -> bool:
        """Something at the head of the queue is to be thrown away."""
        return self._keeper.is_discarding and self._queue.begins_with_waste

    def _end_stall(self, now: float) -> None:
        """Give a gate the time back in which the client took nothing."""
        if self._stalled_since is not None:
            self._keeper.postpone(now - self._stalled_since)
            self._stalled_since = None
