"""A client, a network, our server and a simulated device on one virtual clock, exactly.

What happens at the server happens at its moment, also while the client waits or sleeps:
moving the clock is what runs everything else.
"""

from __future__ import annotations

import contextlib
import random
from collections import deque
from typing import TYPE_CHECKING

import attrs
from typing_extensions import override

from esploader.chips.esp32c3 import ESP32_C3
from esploader.errors import (
    HostUnreachableError,
    PortBusyError,
    TransportClosedError,
    TransportTimeoutError,
)
from esploader.server.peers import ComPortPeer, Peer
from esploader.server.relay import Relay
from esploader.server.served_port import serve_transport
from esploader.simulator.config import InitialState, PortKind
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.line.transport import SimulatedTransport
from esploader.transport.base import DEFAULT_BAUDRATE
from esploader.transport.clock import VirtualClock
from esploader.transport.rfc2217 import Rfc2217Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from esploader.chips.model.chip import Chip
    from esploader.server.recogniser import ResetPolicy
    from esploader.simulator.flash.timings import Timings
    from esploader.transport.base import Transport

WINDOW = 256 * 1024
"""How much may be on its way in one direction, unread bytes included."""

SEGMENT_SIZE = 16 * 1024
"""How much the server takes from a connection at once, in bytes."""

NEVER = float("inf")

MAX_EVENTS_AT_ONCE = 10_000
"""More at one moment means that the server turns in circles."""


@attrs.define
class LinkClock(VirtualClock):
    """A clock that lets the server do what is due before it moves on."""

    server: VirtualServer | None = None

    @override
    def advance_to(self, moment: float) -> None:
        if self.server is not None:
            self.server.run_until(moment)
        self.set_to(moment)

    def set_to(self, moment: float) -> None:
        """Move on without anything happening in between."""
        VirtualClock.advance_to(self, moment)


@attrs.define(kw_only=True)
class Link:
    """What the network does to the bytes."""

    round_trip: float = 0.0
    jitter: float = 0.0
    """What comes on top of the latency of each flight at most; nothing overtakes."""

    seed: int = 0
    stall: tuple[float, float] | None = None
    """Nothing arrives from one moment to the other; it arrives then."""

    cut_at: float = NEVER
    """The connection breaks at that moment, and what is on its way is lost."""

    _chance: random.Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 - tests repeat themselves

    def arrival(self, now: float) -> float:
        """Return when something arrives that leaves now."""
        moment = now + self.round_trip / 2 + self._chance.uniform(0, self.jitter)
        if self.stall is not None and self.stall[0] <= moment < self.stall[1]:
            moment = self.stall[1]
        return moment


@attrs.define
class Direction:
    """Bytes on their way, one behind the other."""

    link: Link
    size: int = 0
    _flights: deque[tuple[float, bytes]] = attrs.field(factory=deque)
    last: float = 0.0

    def send(self, data: bytes, now: float) -> None:
        """Put bytes on the way."""
        self.last = max(self.last, self.link.arrival(now))
        self._flights.append((self.last, data))
        self.size += len(data)

    @property
    def next_arrival(self) -> float:
        """When the next bytes arrive."""
        return self._flights[0][0] if self._flights else NEVER

    def take(self, now: float, limit: int) -> bytes:
        """Return what has arrived, ``limit`` bytes at most."""
        taken = bytearray()
        while self._flights and self._flights[0][0] <= now and len(taken) < limit:
            moment, data = self._flights.popleft()
            room = limit - len(taken)
            taken += data[:room]
            if data[room:]:
                self._flights.appendleft((moment, data[room:]))
        self.size -= len(taken)
        return bytes(taken)


@attrs.define(eq=False)
class VirtualPipe:
    """The client's end of a connection to the server."""

    server: VirtualServer
    link: Link
    peer: Peer
    up: Direction
    down: Direction
    name: str = "rfc2217://virtual"
    write_timeout: float = 10.0
    is_closed: bool = False
    """The client has closed it."""

    closed_at: float = NEVER
    """When the server learns of that."""

    is_open: bool = True
    """The server has it."""

    @property
    def clock(self) -> LinkClock:
        """The one clock."""
        return self.server.clock

    @property
    def connect_time(self) -> float:
        """One round trip."""
        return self.link.round_trip

    def fileno(self) -> int:
        """Return none: there is nothing to wait for."""
        return -1

    def receive(self, deadline: float) -> bytes:
        """Return what has arrived; wait for it until ``deadline``."""
        self._check()
        next_moment = self.server.run_until(self.clock.now())
        while True:
            data = self.down.take(self.clock.now(), 64 * 1024)
            if data:
                return data
            if not self.is_open and self.down.next_arrival == NEVER:
                raise TransportClosedError(self.name, "the other end closed the connection")
            if self.clock.now() >= deadline:
                return b""
            moment = min(deadline, self.down.next_arrival, next_moment)
            if moment == NEVER:
                raise AssertionError("waiting without end for a server that is silent")
            next_moment = self.server.run_to(moment, next_moment)
            self._check()

    def send(self, data: bytes) -> None:
        """Send all of ``data``."""
        self._check()
        deadline = self.clock.now() + self.write_timeout
        while self.up.size + len(data) > max(WINDOW, len(data)):
            if self.clock.now() >= deadline:
                raise TransportTimeoutError(self.name, "no byte was accepted")
            self.clock.advance_to(min(deadline, self.server.next_moment))
            self._check()
        self.up.send(data, self.clock.now())
        self.server.run_until(self.clock.now())

    def close(self) -> None:
        """Let the server know that the client leaves, once it has read everything."""
        if not self.is_closed:
            self.is_closed = True
            self.closed_at = max(self.up.last, self.link.arrival(self.clock.now()))
            self.server.run_until(self.clock.now())

    def _check(self) -> None:
        if self.is_closed:
            raise TransportClosedError(self.name, "closed")
        if self.clock.now() >= self.link.cut_at:
            raise TransportClosedError(self.name, "the connection broke")


@attrs.define(eq=False)
class VirtualServer:
    """Our server with one port, which has one client at a time."""

    port: Transport
    clock: LinkClock
    relay: Relay
    pipe: VirtualPipe | None = None
    outage: tuple[float, float] | None = None
    """The process ends at one moment, whatever it was doing, and another one listens from the
    other moment on."""

    _was_down: bool = attrs.field(default=False, init=False)
    _back_at: float = attrs.field(default=NEVER, init=False)
    """When the port is back that a reset has taken away."""

    @classmethod
    def around(
        cls, port: Transport, clock: LinkClock, policy: ResetPolicy | None = None
    ) -> VirtualServer:
        """Serve ``port``, which has to be on ``clock``."""
        server = cls(port, clock, Relay(serve_transport(port), policy))
        clock.server = server
        return server

    def connect(
        self, link: Link | None = None, make_peer: Callable[[], Peer] | None = None
    ) -> VirtualPipe:
        """Return a connection of a new client; there may be no other."""
        if self.pipe is not None:
            raise AssertionError("the port is in use")
        link = link or Link()
        if self.is_down:
            raise HostUnreachableError("rfc2217://virtual", "connection refused")
        usb_ids = serve_transport(self.port).usb_ids
        peer = make_peer() if make_peer else ComPortPeer("virtual", self.port.name, usb_ids)
        self.clock.sleep(link.round_trip)
        with self._losing():
            self.relay.attach(peer)
        self.pipe = VirtualPipe(self, link, peer, Direction(link), Direction(link))
        return self.pipe

    def open(self, link: Link | None = None) -> Rfc2217Transport:
        """Return our client, connected."""
        return Rfc2217Transport.over(self.connect(link))

    def open_again(self) -> Rfc2217Transport:
        """Return our client on a link without faults, as soon as the server lets it in."""
        if self.pipe is not None:
            raise PortBusyError("rfc2217://virtual", "the port is in use")
        return self.open(Link(round_trip=0.02))

    @property
    def is_down(self) -> bool:
        """There is no process at the moment."""
        return self.outage is not None and self.outage[0] <= self.clock.now() < self.outage[1]

    @property
    def next_moment(self) -> float:
        """When something happens here."""
        now = self.clock.now()
        pipe = self.pipe
        if pipe is not None and pipe.peer.output and pipe.down.size < WINDOW:
            return now
        seconds = self.relay.seconds_to_wait
        moment = NEVER if seconds is None else now + seconds
        moment = min(moment, self._back_at)
        if self.outage is not None and not self._was_down:
            moment = min(moment, self.outage[0])
        if pipe is not None:
            moment = min(moment, pipe.link.cut_at)
            if self.relay.wants_client:
                moment = min(moment, pipe.up.next_arrival, pipe.closed_at)
        return max(moment, now)

    def run_until(self, moment: float, next_moment: float | None = None) -> float:
        """Do what is due up to a moment, at its time; return when the next thing is due.

        Who knows already when the first is due says so.
        """
        next_moment = self.next_moment if next_moment is None else next_moment
        at_once = 0
        while next_moment <= moment:
            at_once = at_once + 1 if next_moment == self.clock.now() else 0
            if at_once > MAX_EVENTS_AT_ONCE:
                raise AssertionError("the server turns in circles")
            self.clock.set_to(next_moment)
            self._step()
            next_moment = self.next_moment
        return next_moment

    def run_to(self, moment: float, next_moment: float) -> float:
        """Do the same, and be at that moment at the end."""
        next_moment = self.run_until(moment, next_moment)
        if self.clock.now() >= moment:
            return next_moment
        self.clock.set_to(moment)
        return self.run_until(moment)

    def _step(self) -> None:
        now = self.clock.now()
        if self.is_down and not self._was_down:
            self._end()
        pipe = self.pipe
        if pipe is not None and now >= pipe.link.cut_at:
            self._hang_up()
            pipe = None
        if now >= self._back_at and isinstance(self.port, SimulatedTransport):
            self._back_at = NEVER
            self.port = attrs.evolve(self.port)
            with self._losing():
                self.relay.port_back(serve_transport(self.port))
        if pipe is not None and self.relay.wants_client:
            data = pipe.up.take(now, SEGMENT_SIZE)
            if data:
                self.relay.take_in(data)
        with self._losing():
            self.relay.pump()
        if pipe is None:
            return
        room = WINDOW - pipe.down.size
        if pipe.peer.output and room > 0:
            pipe.down.send(bytes(pipe.peer.output[:room]), now)
            del pipe.peer.output[:room]
        if now >= pipe.closed_at and pipe.up.next_arrival == NEVER:
            self._hang_up()

    @contextlib.contextmanager
    def _losing(self) -> Iterator[None]:
        """Let a port go that a reset takes away meanwhile, until it is back."""
        try:
            yield
        except TransportClosedError:
            assert isinstance(self.port, SimulatedTransport)
            self._back_at = self.port.device.port.absent_until
            self.relay.port_lost()

    def _end(self) -> None:
        """End as a process does: what was waiting is lost, and nothing is put back."""
        self._was_down = True
        if self.pipe is not None:
            self.pipe.is_open = False
            self.pipe.link.cut_at = self.clock.now()
            self.pipe = None
        # What the next process finds when it opens the port.
        self.port.set_baudrate(DEFAULT_BAUDRATE)
        self.port.set_lines(dtr=False, rts=False)
        self.relay = Relay(serve_transport(self.port))

    def _hang_up(self) -> None:
        if self.pipe is not None:
            self.pipe.is_open = False
            self.pipe = None
            with self._losing():
                self.relay.detach()


def make_server(
    chip: Chip = ESP32_C3,
    *,
    state: InitialState = InitialState.APPLICATION,
    timings: Timings | None = None,
    flash_size: int = 4 * 1024 * 1024,
    policy: ResetPolicy | None = None,
    port: PortKind = PortKind.UART,
) -> VirtualServer:
    """Return a server with a simulated device, by default one that runs its application."""
    clock = LinkClock()
    device = SimulatedDevice(
        chip, state=state, flash_size=flash_size, timings=timings, clock=clock, port=port
    )
    return VirtualServer.around(SimulatedTransport(device), clock, policy)


@attrs.define(eq=False)
class TalkativePipe(VirtualPipe):
    """A connection that from some moment on brings nothing but one thing, again and again."""

    talk: bytes = b""
    from_moment: float = NEVER
    period: float = 1.0

    @override
    def receive(self, deadline: float) -> bytes:
        if self.clock.now() < self.from_moment:
            return super().receive(min(deadline, self.from_moment))
        self._check()
        moment = max(min(self.clock.now() + self.period, deadline), self.clock.now())
        said = moment >= self.clock.now() + self.period
        self.clock.advance_to(moment)
        self.down.take(moment, WINDOW)
        return self.talk if said else b""
