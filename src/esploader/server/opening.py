"""How a server gets at a port that an entry of its configuration means."""

from __future__ import annotations

import asyncio
import functools
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from esploader.simulator.url import SCHEME as SIMULATOR_SCHEME
from esploader.simulator.url import open_served, parse
from esploader.urls import open_transport

if TYPE_CHECKING:
    from esploader.server.claims import Claims, Remark
    from esploader.server.discovery import PortSource
    from esploader.server.journal import Journal
    from esploader.server.station import Station
    from esploader.transport.base import Transport

OPENING_TIME: Final = 5.0
"""For how long clients of a port wait at the start until it is opened, in seconds."""


def open_claimed(claims: Claims, source: PortSource) -> Transport:
    """Open the port of an entry. For a thread: listing and opening ports may take a while.

    Raises:
        EsploaderError: it is not there, or not to be had.
    """
    device = claims.claim(source)
    if device.lower().startswith(f"{SIMULATOR_SCHEME}://"):
        return open_served(parse(device), device)
    transport = open_transport(device)
    claims.opened(source)
    return transport


async def has_looked(station: Station) -> None:
    """Wait until it is known whether the port of a station is there, if that is soon.

    So no client hears that a port is missing that opens just now.
    """
    with suppress(TimeoutError):
        await asyncio.wait_for(station.looked.wait(), OPENING_TIME)


def remarks_in(journal: Journal) -> Remark:
    """Return what writes the remarks of claims, which any thread makes, in the running loop."""
    loop = asyncio.get_running_loop()

    def remark(event: str, fields: dict[str, str]) -> None:
        note = functools.partial(journal.note, event, level=logging.WARNING, **fields)
        loop.call_soon_threadsafe(note)

    return remark
