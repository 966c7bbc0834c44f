"""What an RFC 2217 client may set, and how a transport takes it."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import CapabilityError, TransportClosedError, TransportError
from esploader.server.lines import Lines
from esploader.server.port_abilities import HasInputLines, HasLineFormat
from esploader.server.recogniser import ResetPolicy
from esploader.transport import com_port
from esploader.transport.com_port import Code, Control, Purge, Setting
from esploader.transport.line_format import EIGHT_N_ONE, FlowControl, LineFormat, Parity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.server.served_port import ServedPort
    from esploader.transport.line_format import InputLines

MODEM_STATE: Final = 0xB0
"""CTS, DSR and DCD asserted: what is said of a transport that cannot read them, so that a
client that waits for one of them goes on."""

MODEM_PERIOD: Final = 0.25
"""How often the input lines are looked at while a client is there, in seconds."""

_ALL: Final = 0xFF
_DELTA_BITS: Final = 4  # the changes stand below the lines, but for RI in the same order
_RI_BIT: Final = 0x40
_RI_TRAILING_EDGE: Final = 0x04

_logger = logging.getLogger(__name__)

# The numbers of RFC 2217.
_PARITIES: Final = {
    1: Parity.NONE,
    2: Parity.ODD,
    3: Parity.EVEN,
    4: Parity.MARK,
    5: Parity.SPACE,
}
_STOP_SIZES: Final = {1: 1.0, 2: 2.0, 3: 1.5}
_DATA_SIZES: Final = frozenset({5, 6, 7, 8})
_FLOW_CONTROLS: Final = {
    Control.NO_FLOW_CONTROL: FlowControl.NONE,
    Control.XON_XOFF: FlowControl.XON_XOFF,
    Control.RTS_CTS: FlowControl.RTS_CTS,
    Control.DSR: FlowControl.DTR_DSR,
}
# What pyserial asks for when it opens a port, and its own server always acknowledges.
_ACKNOWLEDGED: Final[Mapping[int, str]] = {Control.XON_XOFF: "XON/XOFF", Control.RTS_CTS: "RTS/CTS"}
# Of the other direction there is what pyserial and the systems switch on with it.
_INBOUND: Final = {
    Control.NO_INBOUND_FLOW_CONTROL: FlowControl.NONE,
    Control.INBOUND_XON_XOFF: FlowControl.XON_XOFF,
    Control.INBOUND_RTS: FlowControl.RTS_CTS,
    Control.INBOUND_DTR: FlowControl.DTR_DSR,
}


@define
class PortSettings:
    """Apply requests to a port and say what came of them.

    Every request has an answer. A port that can do nothing but 8N1, without BREAK, says so in
    its answers. Lines of a port that has none are answered as asked, and flow control of one
    that cannot do it: clients set them when they open a port and give up on any other answer.
    The log says then what the port does not do.
    """

    _port: ServedPort
    _policy: ResetPolicy = attrs.field(factory=ResetPolicy)
    lines: Lines = attrs.field(init=False)
    _first_baudrate: int | None = attrs.field(default=None, init=False)
    """The rate before the client set one; ``None`` as long as it has not."""

    _first_format: LineFormat | None = attrs.field(default=None, init=False)
    """The same for the format."""

    _told_of: set[int] = attrs.field(factory=set, init=False)
    """The flow control that the log says is not done."""

    _sends_break: bool = attrs.field(default=False, init=False)
    _modem_mask: int = attrs.field(default=_ALL, init=False)
    _modem_lines: int | None = attrs.field(default=None, init=False)
    """What the client was last told of the input lines; ``None`` where there are none."""

    _look_at: float = attrs.field(default=math.inf, init=False)

    def __attrs_post_init__(self) -> None:
        self.lines = Lines(self._port.transport, self._policy)

    @property
    def next_at(self) -> float:
        """When something is to be done by itself; infinity for never."""
        next_at = self.lines.next_at
        return self._look_at if next_at is None else min(next_at, self._look_at)

    def watch(self, now: float) -> None:
        """Watch the input lines for a new client."""
        self._modem_mask = _ALL
        self._modem_lines = self._read_modem_lines()
        self._look_at = math.inf if self._modem_lines is None else now + MODEM_PERIOD

    def changes(self, now: float) -> list[Setting]:
        """Return what a client has to be told of the input lines, when it is time to look."""
        if now < self._look_at:
            return []
        self._look_at = now + MODEM_PERIOD
        lines, told = self._read_modem_lines(), self._modem_lines
        if lines is None or told is None:
            return []
        self._modem_lines = lines
        state = lines | _changes(told, lines)
        # The mask is about lines and changes alike (RFC 2217, NOTIFY-MODEMSTATE).
        is_news = lines != told and bool(_interesting(told ^ lines) & self._modem_mask)
        return [Setting(Code.NOTIFY_MODEMSTATE, state & self._modem_mask)] if is_news else []

    def apply(self, request: Setting) -> Setting:
        """Make the setting and return how the port is set now.

        Raises:
            TransportClosedError: the port is gone.
        """
        match request.code:
            case Code.SET_BAUDRATE:
                return Setting(Code.SET_BAUDRATE, self.set_baudrate(request.value))
            case Code.SET_CONTROL:
                return Setting(Code.SET_CONTROL, self._control(request.value))
            case Code.SET_DATASIZE | Code.SET_PARITY | Code.SET_STOPSIZE as code:
                return Setting(code, self._format(code, request.value))
            case Code.NOTIFY_MODEMSTATE:
                lines = self._read_modem_lines()
                return Setting(Code.NOTIFY_MODEMSTATE, MODEM_STATE if lines is None else lines)
            case Code.NOTIFY_LINESTATE:
                return Setting(Code.NOTIFY_LINESTATE, 0)
            case Code.SET_MODEMSTATE_MASK:
                self._modem_mask = request.value
            case Code.PURGE_DATA:
                if request.value in {Purge.RECEIVE, Purge.BOTH}:
                    self._port.discard_input()
        return request

    def set_baudrate(self, baudrate: int) -> int:
        """Set the rate unless it is 0, which asks; return the rate that is set."""
        transport = self._port.transport
        if baudrate != com_port.ASK:
            if self._first_baudrate is None:
                self._first_baudrate = transport.baudrate
            try:
                transport.set_baudrate(baudrate)
            except TransportClosedError:
                raise
            except (CapabilityError, TransportError) as exc:
                _logger.warning("%s", exc)
        return transport.baudrate

    def restore(self) -> None:
        """Release the lines and set everything else as it was in the beginning; no reset."""
        self._look_at = math.inf
        self.lines.release(self._now())
        self._set_break(asserted=False)
        if self._first_baudrate is not None:
            if self._port.transport.baudrate != self._first_baudrate:
                self.set_baudrate(self._first_baudrate)
            self._first_baudrate = None
        if self._first_format is not None:
            self._set_format(self._first_format)
            self._first_format = None

    def fresh(self) -> PortSettings:
        """Return settings that no client has touched."""
        return PortSettings(self._port, self._policy)

    def reopen(self, port: ServedPort) -> None:
        """Go on with a port that has come back: set it as it was."""
        before, self._port = self._port, port
        if self._first_baudrate is not None:
            self.set_baudrate(before.transport.baudrate)
        if self._first_format is not None and isinstance(before.transport, HasLineFormat):
            self._set_format(before.transport.line_format)
        self._sends_break = False
        self.lines.reopen(port.transport, self._now())
        if self._look_at != math.inf:
            self.watch(self._now())

    def _control(self, value: int) -> int:
        match value:
            case Control.DTR_ON | Control.DTR_OFF:
                self.lines.request(now=self._now(), dtr=value == Control.DTR_ON)
                return value
            case Control.RTS_ON | Control.RTS_OFF:
                self.lines.request(now=self._now(), rts=value == Control.RTS_ON)
                return value
            case Control.ASK_DTR:
                return Control.DTR_ON if self.lines.dtr else Control.DTR_OFF
            case Control.ASK_RTS:
                return Control.RTS_ON if self.lines.rts else Control.RTS_OFF
            case Control.BREAK_ON | Control.BREAK_OFF:
                self._set_break(asserted=value == Control.BREAK_ON)
        if value in _BREAKS:
            return Control.BREAK_ON if self._sends_break else Control.BREAK_OFF
        return self._flow_control(value)

    def _flow_control(self, value: int) -> int:
        is_inbound = value in _INBOUND or value not in _OUTBOUND
        table = _INBOUND if is_inbound else _FLOW_CONTROLS
        wanted = next((each for number, each in table.items() if number == value), None)
        if wanted is not None:
            self._change_format(attrs.evolve(self._line_format(), flow_control=wanted))
        flow_control = self._line_format().flow_control
        if wanted is not flow_control and value in _ACKNOWLEDGED:
            if value not in self._told_of:
                self._told_of.add(value)
                _logger.warning(
                    "%s: a client asked for flow control by %s, which the port does not do",
                    self._port.transport.name,
                    _ACKNOWLEDGED[value],
                )
            return value
        return next(number for number, each in table.items() if each is flow_control)

    def _format(self, code: Code, value: int) -> int:
        """Set a part of the format unless the value asks or is none; return how it is set."""
        line_format = self._line_format()
        if code is Code.SET_DATASIZE:
            if value in _DATA_SIZES:
                self._change_format(attrs.evolve(line_format, data_size=value))
            return self._line_format().data_size
        if code is Code.SET_PARITY:
            if value in _PARITIES:
                self._change_format(attrs.evolve(line_format, parity=_PARITIES[value]))
            parity = self._line_format().parity
            return next(number for number, each in _PARITIES.items() if each is parity)
        if value in _STOP_SIZES:
            self._change_format(attrs.evolve(line_format, stop_size=_STOP_SIZES[value]))
        stop_size = self._line_format().stop_size
        return next(number for number, each in _STOP_SIZES.items() if each == stop_size)

    def _line_format(self) -> LineFormat:
        transport = self._port.transport
        return transport.line_format if isinstance(transport, HasLineFormat) else EIGHT_N_ONE

    def _change_format(self, line_format: LineFormat) -> None:
        before = self._line_format()
        if line_format != before:
            if self._first_format is None:
                self._first_format = before
            self._set_format(line_format)

    def _set_format(self, line_format: LineFormat) -> None:
        transport = self._port.transport
        if isinstance(transport, HasLineFormat) and transport.line_format != line_format:
            try:
                transport.set_line_format(line_format)
            except TransportClosedError:
                raise
            except (CapabilityError, TransportError) as exc:
                _logger.warning("%s", exc)

    def _set_break(self, *, asserted: bool) -> None:
        transport = self._port.transport
        if asserted != self._sends_break and isinstance(transport, HasLineFormat):
            try:
                transport.set_break(asserted=asserted)
            except TransportClosedError:
                raise
            except (CapabilityError, TransportError) as exc:
                _logger.warning("%s", exc)
            else:
                self._sends_break = asserted

    def _read_modem_lines(self) -> int | None:
        transport = self._port.transport
        lines = transport.input_lines() if isinstance(transport, HasInputLines) else None
        return None if lines is None else _modem_state(lines)

    def _now(self) -> float:
        return self._port.transport.clock.now()


_BREAKS: Final = frozenset({Control.ASK_BREAK, Control.BREAK_ON, Control.BREAK_OFF})
_OUTBOUND: Final = frozenset({Control.ASK_FLOW_CONTROL, Control.DCD, *_FLOW_CONTROLS})


def _modem_state(lines: InputLines) -> int:
    """Return the lines as NOTIFY-MODEMSTATE has them, without changes."""
    bits = (lines.dcd, lines.ri, lines.dsr, lines.cts)
    return sum(0x80 >> index for index, asserted in enumerate(bits) if asserted)


def _changes(before: int, after: int) -> int:
    """Return the lower half of NOTIFY-MODEMSTATE: which lines have changed."""
    changed = (before ^ after) >> _DELTA_BITS
    # Of RI only the end counts.
    return changed if before & _RI_BIT else changed & ~_RI_TRAILING_EDGE


def _interesting(changed: int) -> int:
    """Return the bits of the mask that ask for changes of these lines."""
    return changed | changed >> _DELTA_BITS
