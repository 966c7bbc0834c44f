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

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, override
from esploader.errors import (
    BaudrateError,
    NegotiationError,
    TransportClosedError,
    TransportError,
    TransportTimeoutError,
)
from esploader.transport import com_port, gates
from esploader.transport.base import DEFAULT_BAUDRATE, Capabilities
from esploader.transport.clock import Clock, RealClock
from esploader.transport.com_port import Code, Control, Purge, Setting, Signature
from esploader.transport.gated import GatedTransport, Item, SetBaudrate
from esploader.transport.gates import Delay, Gate, GateFailedError
from esploader.transport.pipe import DISCARD_LIMIT, Pipe, drain
from esploader.transport.refusal import hang_up, no_server
from esploader.transport.rfc2217_url import NEGOTIATION_TIMEOUT, parse_rfc2217_url
from esploader.transport.server_view import ServerView
from esploader.transport.steps import SetLines, Wait
from esploader.transport.tcp import TcpPipe
from esploader.transport.telnet_framing import Option, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ACK_TIMEOUT: Final = 1.0
"""For how long an acknowledgement is worth waiting for, in seconds; four round trips come
on top."""

SETTINGS_TIMEOUT: Final = 0.5
"""After how long without acknowledgement the settings are sent once more, in seconds; four
round trips come on top."""

BAUDRATE_TOLERANCE: Final = 0.02
"""A server may say which rate its divider really makes. A UART takes a deviation of about
4 % between both ends; half of that is left to the other one."""

MAX_BAUDRATE: Final = 2**32 - 1
"""The highest rate that SET_BAUDRATE can express, in baud."""

_FIXED_SETTINGS: Final = (
    Setting(Code.SET_DATASIZE, com_port.DATASIZE_8),
    Setting(Code.SET_PARITY, com_port.PARITY_NONE),
    Setting(Code.SET_STOPSIZE, com_port.STOPSIZE_1),
)

_logger = logging.getLogger(__name__)


@define(eq=False, repr=False)
class Rfc2217Transport(GatedTransport):
    """A serial port behind an RFC 2217 server.

    Not for two threads at once: what the server says of settings and what it sends from
    the port come out of the same stream.
    """

    _pipe: Pipe
    _timeout: float
    """For how long the host may leave the request for option 44 unanswered, in seconds."""
    _log_level: int | None
    _baudrate: int = attrs.field(default=DEFAULT_BAUDRATE, init=False)
    _round_trip: float = attrs.field(default=0.0, init=False)
    _queue_size: int | None = attrs.field(default=None, init=False)
    _last_activity: float = attrs.field(default=0.0, init=False)
    _confirmed_baudrate: int = attrs.field(default=DEFAULT_BAUDRATE, init=False)
    """The rate that is set, whatever becomes of what was sent ahead."""
    _is_idle: bool = attrs.field(default=False, init=False)
    """Nothing has been sent since the server was told to begin anew."""
    _server: ServerView = attrs.field(factory=ServerView, init=False)

    @classmethod
    def open(cls, url: str, *, baudrate: int = DEFAULT_BAUDRATE) -> Rfc2217Transport:
        """Connect and set the port to ``baudrate``, 8N1, no flow control.

        Raises:
            UrlError: the URL is malformed.
            HostUnreachableError: the host did not accept.
            NegotiationError: the host is not an RFC 2217 server.
            PortBusyError: the server says that the port is in use.
            PortNotFoundError: it says that the port is not there.
            PortPermissionError: it says that it may not open it, or that we may not use it.
            BaudrateError: the server cannot set the rate.
        """
        options = parse_rfc2217_url(url)
        pipe: Pipe = TcpPipe.connect(options.address, RealClock())
        if options.tls is not None:
            from esploader.transport.tls import TlsPipe

            pipe = TlsPipe.over(pipe, options.address, options.tls)
        return cls.over(
            pipe, baudrate=baudrate, timeout=options.timeout, log_level=options.log_level
        )

    @classmethod
    def over(
        cls,
        pipe: Pipe,
        *,
        baudrate: int = DEFAULT_BAUDRATE,
        timeout: float = NEGOTIATION_TIMEOUT,
        log_level: int | None = None,
    ) -> Rfc2217Transport:
        """Speak RFC 2217 over ``pipe``, which is closed when that fails.

        ``timeout`` is for how long the host may leave the request for option 44
        unanswered, in seconds; the telnet traffic is logged at ``log_level``. Raises as
        :meth:`open`.
        """
        transport = cls(pipe, timeout, log_level)
        try:
            transport._negotiate(baudrate)
        except BaseException:
            transport.close()
            raise
        return transport

    @property
    @override
    def name(self) -> str:
        return self._pipe.name

    @property
    @override
    def capabilities(self) -> Capabilities:
        usb_vid, usb_pid = self._server.usb_ids or (None, None)
        return Capabilities(
            set_lines=True,
            set_lines_at_once=False,
            set_baudrate=True,
            gated=self._queue_size is not None,
            remote=True,
            usb_vid=usb_vid,
            usb_pid=usb_pid,
        )

    @property
    @override
    def clock(self) -> Clock:
        return self._pipe.clock

    @property
    @override
    def baudrate(self) -> int:
        return self._baudrate

    @property
    @override
    def round_trip(self) -> float:
        return self._round_trip

    @property
    @override
    def queue_size(self) -> int:
        return self._queue_size or 0

    @property
    @override
    def last_activity(self) -> float:
        return self._last_activity

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._pipe.fileno()

    @override
    def read(self, deadline: float) -> bytes:
        server = self._server
        while not server.received and server.failure is None:
            if not self._take_in(deadline) or self.clock.now() >= deadline:
                break
        if not server.is_waiting_for(Code.SET_BAUDRATE):
            self._check_rate()
        if server.received or server.failure is None:
            data = bytes(server.received)
            server.received.clear()
            return data
        raise GateFailedError.of(self.name, server.failure)

    @override
    def write(self, data: bytes) -> None:
        self._await_flow()
        self._send(escape(data))

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Assert or release lines, DTR first, both in one write.

        Not acknowledged when it returns. DTR comes first because esp_rfc2217_server
        takes a release of RTS for a plain reset unless DTR was asserted before.
        """
        settings = com_port.line_settings(dtr=dtr, rts=rts)
        if settings:
            self._request(*settings)

    @override
    def send_ahead(self, items: Iterable[Item]) -> int:
        if not self._server.is_armed:
            self.arm()
        self._await_flow()
        flight = b"".join(map(self._encode, items))
        self._send(flight)
        return len(flight)

    def _encode(self, item: Item) -> bytes:
        match item:
            case bytes():
                return escape(item)
            case SetLines(dtr, rts):
                return self._server.request(*com_port.line_settings(dtr=dtr, rts=rts))
            case SetBaudrate(baudrate):
                return self._begin_rate(baudrate)
            case Wait(seconds):
                return gates.encode(Delay(seconds))
            case Gate():
                return gates.encode(item)

    @override
    def arm(self) -> bytes:
        server = self._server
        if not (self._is_idle and server.is_beginning):
            is_rate_certain = not server.is_waiting_for(Code.SET_BAUDRATE)
            flight = server.begin_anew()
            if not is_rate_certain:
                # Whether the server has come to it or dropped it is on the way to us.
                flight += self._begin_rate(self._confirmed_baudrate)
            self._send(flight)
            self._is_idle = True
        outdated = bytes(server.outdated)
        server.outdated.clear()
        return outdated

    @override
    def await_settings(self, seconds: float) -> None:
        self._wait_until(
            lambda: not self._server.is_waiting_for(Code.SET_CONTROL),
            self._after(seconds + ACK_TIMEOUT, 4),
        )

    @override
    def set_baudrate(self, baudrate: int) -> None:
        """Set the rate in baud, from the next byte on; nothing is sent when it is set already.

        Raises:
            BaudrateError: the server says that it set another rate.
        """
        if baudrate == self._baudrate:
            return
        patient = not self._server.is_waiting_for(Code.SET_BAUDRATE)
        self._send(self._begin_rate(baudrate))
        if patient:
            self._wait_until(lambda: self._has_rate(baudrate), self._after(ACK_TIMEOUT, 4))
        self._check_rate()

    @override
    def discard_input(self) -> bytes:
        """Empty the receive buffers here and in the server; return what was in ours.

        What arrives after the server's acknowledgement stays.
        """
        patient = not self._server.is_waiting_for(Code.PURGE_DATA)
        self._server.stale = stale = bytearray()
        try:
            self._request(Setting(Code.PURGE_DATA, Purge.RECEIVE))
            purged = patient and self._wait_until(
                lambda: not self._server.is_waiting_for(Code.PURGE_DATA),
                self._after(ACK_TIMEOUT, 4),
            )
            if not purged:
                self._answer(drain(self._pipe))
                stale += self._server.received
                self._server.received.clear()
        finally:
            self._server.stale = None
        return bytes(stale)

    @override
    def close(self) -> None:
        self._pipe.close()

    def _negotiate(self, baudrate: int) -> None:
        """Agree on RFC 2217 and make the settings, all in one flight."""
        server = self._server
        started = self.clock.now()
        self._round_trip = self._pipe.connect_time
        sides = (server.options.ours, server.options.theirs)
        settings = (self._baudrate_setting(baudrate), *_FIXED_SETTINGS)
        flight = b"".join(side.request(option) for option in Option for side in sides)
        flight += com_port.encode(Signature(), from_server=False)
        flight += server.request(*settings, Setting(Code.SET_CONTROL, Control.NO_FLOW_CONTROL))
        self._baudrate = baudrate
        try:
            self._send(flight)
            self._wait_until(
                lambda: server.agreed or server.refused, self._after(self._timeout, 10)
            )
            if not server.agreed:
                raise no_server(self.name, bytes(server.received), refused=server.refused)
            if not self._settled(settings):
                # A server that threw them away never answers the first copy.
                unsettled = [each for each in settings if server.is_waiting_for(each.code)]
                server.unanswered.clear()
                self._send(com_port.encode(Signature(), from_server=False))
                self._request(*unsettled)
                self._settled(unsettled)
        except TransportClosedError as exc:
            raise self._hang_up_error() from exc
        self._queue_size = server.queue_size
        if Code.SET_BAUDRATE in server.values:
            self._round_trip = self.clock.now() - started
        self._check_rate()

    def _settled(self, settings: Iterable[Setting]) -> bool:
        """Wait shortly until all the settings are acknowledged; tell whether they are."""
        return self._wait_until(
            lambda: not any(self._server.is_waiting_for(each.code) for each in settings),
            self._after(SETTINGS_TIMEOUT, 4),
        )

    def _hang_up_error(self) -> TransportError:
        """Return the error for a host that closed the connection instead of agreeing."""
        # Learning of it by a write that failed leaves its last words unread.
        try:
            while data := self._pipe.receive(self.clock.now()):
                self._server.take_in(data, self._log)
        except NegotiationError as exc:
            # With TLS 1.3 that may be about our certificate.
            return exc
        except TransportError:
            pass
        return hang_up(self.name, bytes(self._server.received), agreed=self._server.agreed)

    def _baudrate_setting(self, baudrate: int) -> Setting:
        if not 0 < baudrate <= MAX_BAUDRATE:
            raise TransportError(self.name, f"{baudrate} is no baud rate")
        return Setting(Code.SET_BAUDRATE, baudrate)

    def _begin_rate(self, baudrate: int) -> bytes:
        """Return the request for a rate, and expect it to be acknowledged."""
        request = self._server.request(self._baudrate_setting(baudrate))
        self._server.values.pop(Code.SET_BAUDRATE, None)
        self._baudrate = baudrate
        return request

    def _has_rate(self, baudrate: int) -> bool:
        rate = self._server.values.get(Code.SET_BAUDRATE)
        if rate == com_port.ASK:
            # It acknowledges, and does not know or tell which rate it is.
            return True
        return rate is not None and abs(rate - baudrate) <= BAUDRATE_TOLERANCE * baudrate

    def _check_rate(self) -> None:
        """Raise when the server's last word is another rate than the one asked for."""
        asked = self._baudrate
        rate = self._server.values.get(Code.SET_BAUDRATE)
        if rate is not None and not self._has_rate(asked):
            self._baudrate = rate
            raise BaudrateError(self.name, f"the server set {rate} baud instead of {asked}")

    def _request(self, *settings: Setting) -> None:
        self._log("sending", settings)
        self._send(self._server.request(*settings))

    def _await_flow(self) -> None:
        """Wait while the server wants no bytes for the port."""
        if self._server.suspended:
            deadline = self.clock.now() + self._pipe.write_timeout
            if not self._wait_until(lambda: not self._server.suspended, deadline):
                reason = f"the server suspended the flow for {self._pipe.write_timeout:g} s"
                raise TransportTimeoutError(self.name, reason)

    def _send(self, data: bytes) -> None:
        self._pipe.send(data)
        self._last_activity = self.clock.now()
        self._is_idle = False

    def _after(self, seconds: float, round_trips: int) -> float:
        return self.clock.now() + seconds + round_trips * self._round_trip

    def _wait_until(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Take in what comes until ``condition`` holds; tell whether it does."""
        while not condition():
            if not self._take_in(deadline) or self.clock.now() >= deadline:
                return condition()
            if len(self._server.received) > DISCARD_LIMIT:
                raise NegotiationError(self.name, "the server sends without end")
        return True

    def _take_in(self, deadline: float) -> bool:
        """Take in what came, waiting until ``deadline``; tell whether anything did."""
        data = self._pipe.receive(deadline)
        if data:
            self._last_activity = self.clock.now()
            self._answer(data)
            if not self._server.is_waiting_for(Code.SET_BAUDRATE):
                self._confirmed_baudrate = self._baudrate
        return bool(data)

    def _answer(self, data: bytes) -> None:
        answers = self._server.take_in(data, self._log)
        if answers:
            self._pipe.send(answers)

    def _log(self, what: str, which: object) -> None:
        if self._log_level is not None:
            _logger.log(self._log_level, "%s: %s %s", self.name, what, which)
