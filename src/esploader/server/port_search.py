"""Look for a port, again and again until it is there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import EsploaderError

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.transport.base import Transport

SEARCH_PERIOD: Final = 1.0
"""How often a port that is not there is looked for, in seconds."""


@define(eq=False, kw_only=True)
class PortSearch:
    """A search for one port. Lives in one loop."""

    open_port: Callable[[], Transport]
    """Is called in a thread, again and again until it succeeds. It raises
    :exc:`~esploader.errors.EsploaderError` when the port is not there or not to be had."""

    on_found: Callable[[Transport], None]
    on_missing: Callable[[EsploaderError], None]
    """Is called each time that the port is not there."""

    closing: asyncio.Event
    """Once it is set nothing is looked for any more."""

    period: float = SEARCH_PERIOD
    """How often to look, in seconds."""

    patience: float | None = None
    """After how many seconds to look less often; ``None`` where that is so from the beginning."""

    on_impatience: Callable[[], None] = attrs.field(default=lambda: None)
    """Is called then."""

    async def run(self) -> None:
        """Look for the port, however long it takes."""
        loop = asyncio.get_running_loop()
        period = self.period
        give_up_at = None if self.patience is None else loop.time() + self.patience
        while not self.closing.is_set():
            try:
                transport = await loop.run_in_executor(None, self.open_port)
            except EsploaderError as exc:
                self.on_missing(exc)
            else:
                self.on_found(transport)
                return
            if give_up_at is not None and loop.time() >= give_up_at:
                give_up_at, period = None, SEARCH_PERIOD
                self.on_impatience()
            with suppress(TimeoutError):
                async with asyncio.timeout(period):
                    await self.closing.wait()
