"""How the ports stand, looked at now and then however often somebody asks."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.server.status.document import describe
from esploader.server.status.metrics import exposition

if TYPE_CHECKING:
    from esploader.server.status.document import ServerFacts
    from esploader.server.status.lab import Lab, PortView

FRESH: Final = 0.5
"""For how long what was seen answers all who ask, in seconds."""


@define(eq=False)
class Snapshot:
    """The ports at one moment, and what is made of them, once, when somebody wants it."""

    facts: ServerFacts
    views: tuple[PortView, ...]
    can_change: bool
    taken_at: dt.datetime = attrs.field(factory=lambda: dt.datetime.now(dt.UTC), init=False)
    _body: str | None = attrs.field(default=None, init=False, repr=False)
    _metrics: bytes | None = attrs.field(default=None, init=False, repr=False)

    @property
    def body(self) -> str:
        """All of the document but the time, without the brace at its end: to see what is new."""
        if self._body is None:
            document = describe(self.facts, self.views, can_change=self.can_change)
            self._body = json.dumps(document, separators=(",", ":"))[:-1]
        return self._body

    @property
    def document(self) -> bytes:
        """The JSON document, with the time at which it was so."""
        now = self.taken_at.isoformat(timespec="milliseconds")
        return f'{self.body},"now":"{now}"}}'.encode()

    @property
    def metrics(self) -> bytes:
        """The same for Prometheus."""
        if self._metrics is None:
            self._metrics = exposition(self.facts, self.views)
        return self._metrics


@define(eq=False)
class Snapshots:
    """Looks at the ports for all who ask."""

    _facts: ServerFacts
    _lab: Lab
    can_change: bool = attrs.field(default=False, init=False)
    """There is a token."""

    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)
    _latest: Snapshot | None = attrs.field(default=None, init=False)
    _taken_at: float = attrs.field(default=0.0, init=False)

    async def latest(self) -> Snapshot:
        """Return how the ports stand, or stood a moment ago."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if self._latest is None or now - self._taken_at >= FRESH:
                views = await self._lab.look()
                self._latest = Snapshot(self._facts, views, self.can_change)
                self._taken_at = now
            return self._latest

    def forget(self) -> None:
        """Look anew for the next who asks: something has been changed."""
        self._latest = None
