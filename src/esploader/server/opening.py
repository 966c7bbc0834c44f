"""How a server gets at a port that an entry of its configuration means."""

from __future__ import annotations

import asyncio
import functools
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import TransportError
from esploader.simulator.url import SCHEME as SIMULATOR_SCHEME
from esploader.simulator.url import open_served, parse
from esploader.urls import open_transport

if TYPE_CHECKING:
    from esploader.server.claims import Claims, Remark
    from esploader.server.discovery import PortSource
    from esploader.server.journal import Journal
    from esploader.server.station import Station
    from esploader.simulator.line.transport import RealTimeTransport
    from esploader.transport.base import Transport

OPENING_TIME: Final = 5.0
"""For how long clients of a port wait at the start until it is opened, in seconds."""

ENUMERATION_TIME: Final = 0.25
"""For how long a reset takes the own USB port of a simulated chip away, in seconds."""


@define
class Opener:
    """Opens the ports of entries, and keeps the simulated devices behind them.

    For threads: listing and opening ports may take a while.
    """

    _claims: Claims
    _simulated: dict[PortSource, RealTimeTransport] = attrs.field(factory=dict, init=False)

    def open(self, source: PortSource) -> Transport:
        """Open the port of an entry.

        Raises:
            EsploaderError: it is not there, or not to be had.
        """
        device = self._claims.claim(source)
        if device.lower().startswith(f"{SIMULATOR_SCHEME}://"):
            return self._open_simulated(source, device)
        transport = open_transport(device)
        self._claims.opened(source)
        return transport

    def forget(self, source: PortSource) -> None:
        """End the simulated device behind an entry, if there is one."""
        port = self._simulated.pop(source, None)
        if port is not None:
            # What could not be written was said when what came of it was closed.
            with suppress(TransportError):
                port.close()

    def close(self) -> None:
        """End the simulated devices."""
        for source in list(self._simulated):
            self.forget(source)

    def _open_simulated(self, source: PortSource, url: str) -> Transport:
        """Make the device, or connect anew to the one that a reset has taken off the bus."""
        first = self._simulated.get(source)
        if first is not None and first.device.nor.file_failure is not None:
            # Its file lacks what was written: begin anew with what is there.
            with suppress(TransportError):
                first.close()
            first = None
        if first is None:
            first = self._simulated[source] = open_served(
                parse(url), url, enumeration=ENUMERATION_TIME
            )
        return first.reopened()


async def has_looked(station: Station) -> None:
    """Wait until it is known whether the port of a station is there, if that is soon.

    So no client hears that a port is missing that opens just now.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(OPENING_TIME):
            await station.looked.wait()


def remarks_in(journal: Journal) -> Remark:
    """Return what writes the remarks of claims, which any thread makes, in the running loop."""
    loop = asyncio.get_running_loop()

    def remark(event: str, fields: dict[str, str]) -> None:
        note = functools.partial(journal.note, event, level=logging.WARNING, **fields)
        loop.call_soon_threadsafe(note)

    return remark
