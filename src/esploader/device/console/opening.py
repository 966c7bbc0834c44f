"""How the port of a console is opened, and later the port of the same device."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import PortNotFoundError
from esploader.urls import open_transport, reopen_transport

if TYPE_CHECKING:
    from esploader.simulator.line.transport import SimulatedTransport
    from esploader.transport.base import Transport
    from esploader.transport.ports import PortInfo

_SIMULATED: Final = "sim://"
_WITH_TURNS: Final = ("rfc2217://", "rfc2217+tls://")


@define(eq=False)
class ConsoleOpener:
    """Opens a port at the rate of the application in its device.

    A simulated device takes the time that a real one takes, and ends with :meth:`close`.
    """

    port: str
    """Name or URL."""

    baudrate: int
    """What the application talks at, in baud."""

    gives_way: bool = True
    """A server that has its clients take turns may lend the port to whoever wants it."""

    _simulated: SimulatedTransport | None = attrs.field(default=None, init=False)
    _was_open: bool = attrs.field(default=False, init=False)
    _usb_port: PortInfo | None = attrs.field(default=None, init=False)

    def __call__(self) -> Transport:
        """Open it.

        Raises:
            UrlError: the name makes no sense.
            TransportError: the port cannot be opened, or is that of another device now.
        """
        if self._simulated is not None:
            return self._line_to(self._simulated)
        if not self._was_open:
            return self.keep(open_transport(self._url, baudrate=self.baudrate))
        return reopen_transport(
            self._url,
            self._usb_port,
            open_port=functools.partial(open_transport, baudrate=self.baudrate),
        )

    def keep(self, transport: Transport) -> Transport:
        """Have ``transport``, which is open, be the port; return what to read in its place.

        Raises:
            PortNotFoundError: it is that of a simulated device, and gone.
        """
        self._was_open, self._usb_port = True, transport.usb_port
        if not self.port.lower().startswith(_SIMULATED):
            return transport
        from esploader.simulator.line.transport import SimulatedTransport

        if not isinstance(transport, SimulatedTransport):
            return transport
        self._simulated = transport
        return self._line_to(transport)

    def close(self) -> None:
        """End a simulated device; other ports are closed by whoever has them."""
        if self._simulated is not None:
            self._simulated.close()

    def _line_to(self, first: SimulatedTransport) -> Transport:
        from esploader.simulator.line.paced_transport import PacedTransport
        from esploader.simulator.line.transport import SimulatedTransport

        if first.device.is_line_broken:
            raise PortNotFoundError(self.port, "a reset has taken it off the bus")
        line = SimulatedTransport(first.device, self.port, baudrate=self.baudrate)
        return PacedTransport(line)

    @property
    def _url(self) -> str:
        """The port as it is opened: one that gives way says so in its URL."""
        if not self.gives_way or not self.port.lower().startswith(_WITH_TURNS):
            return self.port
        from esploader.transport.rfc2217_url import parse_rfc2217_url

        if parse_rfc2217_url(self.port).wish.gives_way:
            return self.port
        return f"{self.port}{'&' if '?' in self.port else '?'}yield"
