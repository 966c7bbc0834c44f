"""How one serial port is found, closed, and found again."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import EsploaderError, TransportError
from esploader.server.port_search import PortSearch
from esploader.server.served_port import ServedPort, serve_transport
from esploader.transport.vendors import ESPRESSIF_VID

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.server.journal import Journal
    from esploader.server.wake_up import WakeUp
    from esploader.transport.base import Transport

RESET_PERIOD: Final = 0.1
"""How often a chip's own USB port is looked for that a reset took away, in seconds."""

RESET_TIME: Final = 5.0
"""For how long a client keeps a port that a reset took away, in seconds."""


@define(eq=False)
class PortKeeper:
    """A port that may be there or not. Lives in one loop."""

    _label: str
    _journal: Journal
    _wake_up: WakeUp
    """Of the loop; it forgets a port before that is closed."""

    _on_port: Callable[[ServedPort], None]
    """Is called whenever the port is there."""

    port: ServedPort | None = attrs.field(default=None, init=False)
    missing: EsploaderError | None = attrs.field(default=None, init=False)
    """Why the port could not be opened the last time."""

    last_error: tuple[str, dt.datetime] | None = attrs.field(default=None, init=False)
    """What went wrong last, and when, in UTC."""

    looked: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    """Set once it is known whether the port is there."""

    closing: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    """Set when the port is wanted no more."""

    _open_port: Callable[[], Transport] | None = attrs.field(default=None, init=False)
    _on_loss: Callable[[TransportError], None] | None = attrs.field(default=None, init=False)
    _search: asyncio.Task[None] | None = attrs.field(default=None, init=False)

    def find(self, open_port: Callable[[], Transport]) -> None:
        """Open the port, now or when it appears; ``open_port`` is called in a thread."""
        self._open_port = open_port
        self._find(self._search_for(open_port))

    def borrow(self, transport: Transport, on_loss: Callable[[TransportError], None]) -> None:
        """Use a transport that stays the caller's; ``on_loss`` is called when it fails."""
        self._on_loss = on_loss
        self._use(transport)

    def drop(self) -> bool:
        """Close the port, if it is there; tell whether it was one that resets take away."""
        self._wake_up.watch(None)
        self._wake_up.call_after(None)
        port, self.port = self.port, None
        if port is None:
            return False
        port.close()
        if self._on_loss is None:
            self._close(port.transport)
        is_own_usb = port.transport.capabilities.usb_vid == ESPRESSIF_VID
        return is_own_usb and self._open_port is not None

    def await_return(self, on_impatience: Callable[[], None]) -> None:
        """Look for a port that a reset took away; it should be back in a moment."""
        if self._open_port is not None:
            search = self._search_for(self._open_port)
            search.period, search.patience = RESET_PERIOD, RESET_TIME
            search.on_impatience = on_impatience
            self._find(search)

    def find_again(self, exc: TransportError) -> None:
        """Look for a port that is gone because of ``exc``, or say that it is."""
        if self._open_port is not None:
            self._find(self._search_for(self._open_port))
        elif self._on_loss is not None:
            self._on_loss(exc)

    def complain(self, event: str, reason: str) -> None:
        """Write into the log what went wrong, and remember it."""
        self.last_error = (reason, dt.datetime.now(dt.UTC))
        self._journal.note(event, level=logging.WARNING, port=self._label, reason=reason)

    async def close(self) -> None:
        """Let go of the port, and look for it no more."""
        self.closing.set()
        if self._search is not None:
            await self._search
        self.drop()

    def _search_for(self, open_port: Callable[[], Transport]) -> PortSearch:
        return PortSearch(
            open_port=open_port,
            on_found=self._found,
            on_missing=self._note_missing,
            closing=self.closing,
        )

    def _find(self, search: PortSearch) -> None:
        self._search = asyncio.get_running_loop().create_task(search.run())

    def _note_missing(self, exc: EsploaderError) -> None:
        is_news = self.missing is None or str(self.missing) != str(exc)
        self.missing = exc
        self.looked.set()
        if is_news:
            self.complain("port-missing", str(exc))

    def _found(self, transport: Transport) -> None:
        if self.closing.is_set():
            self._close(transport)
        else:
            self._journal.note("port-open", port=self._label, device=transport.name)
            self._use(transport)
        self.looked.set()

    def _use(self, transport: Transport) -> None:
        self.missing = None
        self.port = serve_transport(transport)
        self._on_port(self.port)

    def _close(self, transport: Transport) -> None:
        try:
            transport.close()
        except TransportError as exc:
            self.complain("port-not-closed", str(exc))
