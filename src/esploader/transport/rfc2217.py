"""A client for serial ports behind an RFC 2217 server: ``rfc2217[+tls]://host:port``.

It gets on with every server that pyserial's client gets on with, but never sleeps to
poll: what the server says is taken in as it arrives. What it waits for, and for how long:

* The agreement on option 44 when opening: :data:`NEGOTIATION_TIMEOUT`, then
  :exc:`~esploader.errors.NegotiationError`. The settings travel in the same flight as
  the request for it, so opening costs one round trip after the TCP handshake. A server
  that ignores what comes before the agreement gets the settings a second time.
* The acknowledgement of a baud rate, because it says whether the rate was possible, and
  of a purge, because it says where the stale bytes end: :data:`ACK_TIMEOUT`. A server
  that stays silent loses nothing, and is not waited for a second time.
* Never the acknowledgement of a line. TCP keeps the order, so two changes of a line
  reach the port as far apart as they were sent, give or take the jitter of the network;
  waiting for each would add a round trip to every step and a timeout for each of the
  servers that never acknowledge (ser2net in front of a PTY, esp_rfc2217_server).

The same flight asks for the server's SIGNATURE: one that obeys gates (``docs/gates.md``)
says so there, and with it everything can be sent ahead. An acknowledged rate without a
signature says that there are none, so asking costs nothing.

Opening moves no line: esp_rfc2217_server takes the assertion of DTR as the order to
reset the chip. A line is sent whenever it is asked for, even unchanged: on Windows some
drivers pass on a change of RTS only with the next write of DTR, and reset sequences for
them repeat themselves on purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.classes import define, override
from esploader.transport import com_port, gates, turns
from esploader.transport.base import DEFAULT_BAUDRATE, Capabilities
from esploader.transport.clock import Clock, RealClock
from esploader.transport.com_port import Code, Purge, Setting
from esploader.transport.gated import GatedTransport, Item, SetBaudrate
from esploader.transport.gates import Delay, Gate, GateFailedError
from esploader.transport.pipe import Pipe, drain
from esploader.transport.rfc2217_opening import negotiate, wait_for_turn
from esploader.transport.rfc2217_url import NEGOTIATION_TIMEOUT, parse_rfc2217_url
from esploader.transport.rfc2217_wire import ACK_TIMEOUT, ServerWire
from esploader.transport.steps import SetLines, Wait
from esploader.transport.tcp import TcpPipe
from esploader.transport.telnet_framing import escape
from esploader.transport.turn_wish import TurnWish, who_we_are
from esploader.transport.turns import Ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from esploader.transport.network_url import NetworkUrl
    from esploader.transport.rfc2217_url import Rfc2217Options
    from esploader.transport.turns import ServerTurn


@define(eq=False, repr=False)
class Rfc2217Transport(GatedTransport):
    """A serial port behind an RFC 2217 server.

    Not for two threads at once: what the server says of settings and what it sends from
    the port come out of the same stream.
    """

    _wire: ServerWire

    @classmethod
    def open(cls, url: str, *, baudrate: int = DEFAULT_BAUDRATE) -> Rfc2217Transport:
        """Connect and set the port to ``baudrate``, 8N1, no flow control.

        Raises:
            UrlError: the URL is malformed, or wants a token that is none.
            HostUnreachableError: the host did not accept.
            NegotiationError: the host is not an RFC 2217 server.
            PortBusyError: the server says that the port is in use, also when we have waited.
            PortNotFoundError: it says that the port is not there.
            PortPermissionError: it says that it may not open it, or that we may not use it or take
                it over.
            BaudrateError: the server cannot set the rate.
        """
        options = parse_rfc2217_url(url)
        wish = options.wish.with_token(url)

        def open_once(wish: TurnWish) -> Rfc2217Transport:
            address = _look_up(options)
            pipe: Pipe = TcpPipe.connect(address, RealClock())
            if options.tls is not None:
                from esploader.transport.tls import TlsPipe

                pipe = TlsPipe.over(pipe, address, options.tls)
            return cls.over(
                pipe,
                baudrate=baudrate,
                timeout=options.timeout,
                log_level=options.log_level,
                wish=wish,
            )

        return wait_for_turn(open_once, wish, RealClock())

    @classmethod
    def over(
        cls,
        pipe: Pipe,
        *,
        baudrate: int = DEFAULT_BAUDRATE,
        timeout: float = NEGOTIATION_TIMEOUT,
        log_level: int | None = None,
        wish: TurnWish | None = None,
    ) -> Rfc2217Transport:
        """Speak RFC 2217 over ``pipe``, which is closed when that fails.

        ``timeout`` is for how long the host may leave the request for option 44
        unanswered, in seconds; the telnet traffic is logged at ``log_level``; ``wish`` says
        what to do when somebody else has the port. Raises as :meth:`open`.
        """
        wire = ServerWire(pipe, log_level)
        try:
            negotiate(wire, baudrate, timeout, wish or TurnWish())
        except BaseException:
            pipe.close()
            raise
        return cls(wire)

    @property
    @override
    def name(self) -> str:
        return self._wire.pipe.name

    @property
    @override
    def capabilities(self) -> Capabilities:
        usb_vid, usb_pid = self._wire.server.usb_ids or (None, None)
        return Capabilities(
            set_lines=True,
            set_lines_at_once=False,
            set_baudrate=True,
            gated=self._wire.server.queue_size is not None,
            remote=True,
            usb_vid=usb_vid,
            usb_pid=usb_pid,
        )

    @property
    @override
    def clock(self) -> Clock:
        return self._wire.pipe.clock

    @property
    @override
    def baudrate(self) -> int:
        return self._wire.baudrate

    @property
    @override
    def round_trip(self) -> float:
        return self._wire.round_trip

    @property
    @override
    def queue_size(self) -> int:
        return self._wire.server.queue_size or 0

    @property
    @override
    def last_activity(self) -> float:
        return self._wire.last_activity

    @property
    def turn(self) -> ServerTurn | None:
        """What the server said last of whose turn it is; ``None`` when it never did."""
        return self._wire.server.turn

    @property
    def on_turn(self) -> Callable[[ServerTurn], None] | None:
        """Is called when the server says whose turn it is, by whoever reads or waits then."""
        return self._wire.on_turn

    @on_turn.setter
    def on_turn(self, listener: Callable[[ServerTurn], None] | None) -> None:
        self._wire.on_turn = listener

    def give_way(self) -> None:
        """Lend the port from now on to whoever wants it, listen meanwhile, and have it back then.

        Without effect at a server that does not have its clients take turns.

        Raises:
            TransportError: the connection failed.
        """
        if turns.takes_turns(self._wire.server.signature):
            self._wire.send(turns.encode(Ask(who=who_we_are(), gives_way=True)))

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._wire.pipe.fileno()

    @override
    def read(self, deadline: float) -> bytes:
        server = self._wire.server
        while not server.received and server.failure is None:
            if not self._wire.take_in(deadline) or self.clock.now() >= deadline:
                break
        if not server.is_waiting_for(Code.SET_BAUDRATE):
            self._wire.check_rate()
        if server.received or server.failure is None:
            data = bytes(server.received)
            server.received.clear()
            return data
        raise GateFailedError.of(self.name, server.failure)

    @override
    def write(self, data: bytes) -> None:
        self._wire.await_flow()
        self._wire.send(escape(data))

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Assert or release lines, DTR first, both in one write.

        Not acknowledged when it returns. DTR comes first because esp_rfc2217_server
        takes a release of RTS for a plain reset unless DTR was asserted before.
        """
        self._wire.require_turn()
        settings = com_port.line_settings(dtr=dtr, rts=rts)
        if settings:
            self._wire.request(*settings)

    @override
    def send_ahead(self, items: Iterable[Item]) -> int:
        if not self._wire.server.is_armed:
            self.arm()
        self._wire.await_flow()
        flight = b"".join(map(self._encode, items))
        self._wire.send(flight)
        return len(flight)

    def _encode(self, item: Item) -> bytes:
        match item:
            case bytes():
                return escape(item)
            case SetLines(dtr, rts):
                return self._wire.server.request(*com_port.line_settings(dtr=dtr, rts=rts))
            case SetBaudrate(baudrate):
                return self._wire.begin_rate(baudrate)
            case Wait(seconds):
                return gates.encode(Delay(seconds))
            case Gate():
                return gates.encode(item)

    @override
    def arm(self) -> bytes:
        wire, server = self._wire, self._wire.server
        wire.require_turn()
        if not (wire.is_idle and server.is_beginning):
            is_rate_certain = not server.is_waiting_for(Code.SET_BAUDRATE)
            flight = server.begin_anew()
            if not is_rate_certain:
                # Whether the server has come to it or dropped it is on the way to us.
                flight += wire.begin_rate(wire.confirmed_baudrate)
            wire.send(flight)
            wire.is_idle = True
        outdated = bytes(server.outdated)
        server.outdated.clear()
        return outdated

    @override
    def await_settings(self, seconds: float) -> None:
        self._wire.wait_until(
            lambda: not self._wire.server.is_waiting_for(Code.SET_CONTROL),
            self._wire.after(seconds + ACK_TIMEOUT, 4),
        )

    @override
    def set_baudrate(self, baudrate: int) -> None:
        """Set the rate in baud, from the next byte on; nothing is sent when it is set already.

        While the port is lent to somebody else, from when it is back.

        Raises:
            BaudrateError: the server says that it set another rate.
        """
        wire = self._wire
        if baudrate == wire.baudrate:
            return
        if wire.is_lent:
            wire.baudrate = baudrate
            return
        patient = not wire.server.is_waiting_for(Code.SET_BAUDRATE)
        wire.send(wire.begin_rate(baudrate))
        if patient:
            wire.wait_until(lambda: wire.has_rate(baudrate), wire.after(ACK_TIMEOUT, 4))
        wire.check_rate()

    @override
    def discard_input(self) -> bytes:
        """Empty the receive buffers here and in the server; return what was in ours.

        What arrives after the server's acknowledgement stays. While the port is lent to
        somebody else only ours are emptied.
        """
        wire, server = self._wire, self._wire.server
        patient = not server.is_waiting_for(Code.PURGE_DATA) and not wire.is_lent
        server.stale = stale = bytearray()
        try:
            if not wire.is_lent:
                wire.request(Setting(Code.PURGE_DATA, Purge.RECEIVE))
            purged = patient and wire.wait_until(
                lambda: not server.is_waiting_for(Code.PURGE_DATA), wire.after(ACK_TIMEOUT, 4)
            )
            if not purged:
                wire.answer(drain(wire.pipe))
                stale += server.received
                server.received.clear()
        finally:
            server.stale = None
        return bytes(stale)

    @override
    def close(self) -> None:
        self._wire.pipe.close()


def _look_up(options: Rfc2217Options) -> NetworkUrl:
    """Return where the port is now; what has a name may be somewhere else the next time."""
    address = options.address
    if address.name is None:
        return address
    from esploader.transport.directory import DirectoryAddress, find_remote_port

    return find_remote_port(DirectoryAddress(address=address, tls=options.tls), address.name)
