"""What an RFC 2217 client may set, and how a transport takes it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.errors import CapabilityError, TransportClosedError, TransportError
from esploader.server.lines import Lines
from esploader.transport import com_port
from esploader.transport.com_port import Code, Control, Purge, Setting

if TYPE_CHECKING:
    from esploader.server.served_port import ServedPort

MODEM_STATE: Final = 0xB0
"""CTS, DSR and DCD asserted: a transport cannot read them, and a client that waits for
one of them should go on."""

_logger = logging.getLogger(__name__)

# The only format that a loader speaks.
_FORMAT: Final[dict[Code, int]] = {
    Code.SET_DATASIZE: com_port.DATASIZE_8,
    Code.SET_PARITY: com_port.PARITY_NONE,
    Code.SET_STOPSIZE: com_port.STOPSIZE_1,
}

# What RFC 2217 asks of lines and flow control that we do not have; everything else it
# knows is about the flow control of the other direction.
_ABSENT: Final[dict[int, Control]] = {
    **dict.fromkeys((0, 1, 2, 3, 17, 19), Control.NO_FLOW_CONTROL),
    **dict.fromkeys((4, 5, 6), Control.BREAK_OFF),
}


@attrs.define
class PortSettings:
    """Apply requests to a port and say what came of them.

    Every request has an answer. Only 8N1 without flow control and without BREAK exists,
    and the answers say so. Lines of a port that has none are answered as asked: clients
    set them when they open a port and give up on any other answer.
    """

    _port: ServedPort
    lines: Lines = attrs.field(init=False)
    _first_baudrate: int | None = attrs.field(default=None, init=False)
    """The rate before the client set one; ``None`` as long as it has not."""

    def __attrs_post_init__(self) -> None:
        self.lines = Lines(self._port.transport)

    def apply(self, request: Setting) -> Setting:
        """Make the setting and return how the port is set now.

        Raises:
            TransportClosedError: the port is gone.
        """
        if request.code is not Code.SET_CONTROL:
            self.lines.settle()
        match request.code:
            case Code.SET_BAUDRATE:
                return Setting(Code.SET_BAUDRATE, self.set_baudrate(request.value))
            case Code.SET_CONTROL:
                return Setting(Code.SET_CONTROL, self._control(request.value))
            case Code.SET_DATASIZE | Code.SET_PARITY | Code.SET_STOPSIZE as code:
                return Setting(code, _FORMAT[code])
            case Code.NOTIFY_MODEMSTATE:
                return Setting(Code.NOTIFY_MODEMSTATE, MODEM_STATE)
            case Code.NOTIFY_LINESTATE:
                return Setting(Code.NOTIFY_LINESTATE, 0)
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
        """Release the lines and set the baud rate of the beginning; no reset."""
        self.lines.release()
        if self._first_baudrate is not None:
            if self._port.transport.baudrate != self._first_baudrate:
                self.set_baudrate(self._first_baudrate)
            self._first_baudrate = None

    def _control(self, value: int) -> int:
        match value:
            case Control.DTR_ON | Control.DTR_OFF:
                self.lines.set_dtr(value == Control.DTR_ON)
                return value
            case Control.RTS_ON | Control.RTS_OFF:
                self.lines.set_rts(value == Control.RTS_ON)
                return value
            case Control.ASK_DTR:
                return Control.DTR_ON if self.lines.dtr else Control.DTR_OFF
            case Control.ASK_RTS:
                return Control.RTS_ON if self.lines.rts else Control.RTS_OFF
        return _ABSENT.get(value, Control.NO_INBOUND_FLOW_CONTROL)
