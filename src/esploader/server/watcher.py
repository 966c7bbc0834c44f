"""A client that listens to a port, and that nobody listens to."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from esploader.classes import override
from esploader.server.audience import Audience
from esploader.server.guest import RawGuest

if TYPE_CHECKING:
    import asyncio

    from esploader.server.journal import Journal
    from esploader.server.station import Station
    from esploader.transport.turns import Parting

MAX_WATCHERS: Final = 64
"""How many may listen to one port."""

TOO_MANY: Final = "too many listen to this port"


class Watcher(RawGuest):
    """One that is sent all that a port says, whoever has it, and the end of what it said before.

    The bytes are as they come, and what it sends itself is thrown away.
    """

    def __init__(self, address: str, station: Station, *, journal: Journal) -> None:
        super().__init__(address)
        self._station = station
        self._journal = journal
        self._audience: Audience | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        station = self._station
        if station.is_closing:
            self.abort()
        elif station.tap.listener_count >= MAX_WATCHERS:
            station.totals.refusals += 1
            self._note("refused", logging.WARNING, reason=TOO_MANY)
            self._say_last(TOO_MANY.encode() + b"\r\n")
        else:
            self._note("watcher-came", logging.INFO)
            self._settle()
            self._audience = Audience(station.tap, self._peer, self.flush)
            self._audience.begin(with_history=True)

    def part(self, parting: Parting) -> None:
        """Say why there is nothing to listen to any more, and good-bye."""
        self._peer.part(parting)
        self._say_last(self._peer.take_output())

    @override
    def data_received(self, data: bytes) -> None:
        """Throw away what it sends."""

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self.flush()
        if self._audience is not None:
            self._audience.go_on()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        audience, self._audience = self._audience, None
        if audience is not None:
            audience.end()
            self._note("watcher-left", logging.INFO)
        super().connection_lost(exc)

    def _note(self, event: str, level: int, **fields: str) -> None:
        self._journal.note(
            event, level=level, port=self._station.label, client=self.address, **fields
        )
