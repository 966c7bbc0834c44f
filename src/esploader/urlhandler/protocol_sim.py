"""A simulated device as an object of pyserial; found there by the name of this module.

The device runs in real time without the pace of a UART. Opening the port makes a device and
closing it ends that one: what should outlive it is kept in a file (``?file=``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.classes import override
from esploader.simulator.url import open_served, parse
from esploader.urlhandler.transport_port import TransportPort

if TYPE_CHECKING:
    from esploader.transport.base import Transport


class Serial(TransportPort):
    """The port of a simulated device."""

    @override
    def _open_transport(self, url: str) -> Transport:
        transport = open_served(parse(url), url)
        transport.set_baudrate(self.baudrate)
        transport.set_lines(dtr=self._dtr_state, rts=self._rts_state)
        return transport
