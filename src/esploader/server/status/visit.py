"""A connection of a browser, from its arrival to its end, in front of the library for HTTP.

The library has no bound on how long a first request may take to arrive, nor on how long a client
may take to read its answer, and takes half a megabyte for the lines of one. These bounds are here.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from esploader.classes import override
from esploader.server.guest import RawGuest
from esploader.transport.refusal import Refusal

if TYPE_CHECKING:
    import asyncio

    from aiohttp.web_protocol import RequestHandler

    from esploader.server.access import Limits

MAX_REQUEST_SIZE: Final = 16 * 1024
"""How much a client may send before its request is understood, and while it is answered, in
bytes."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Server": "esploader",
}
"""Of all answers. Nothing but files of our own is loaded, whatever somebody gets into a page."""

_STATUS_LINES: Final = {
    Refusal.STRANGER: "403 Forbidden",
    Refusal.CROWDED: "503 Service Unavailable",
}


class Visit(RawGuest):
    """One connection, whose bytes the library takes in."""

    def __init__(self, address: str, handler: RequestHandler, limits: Limits) -> None:
        super().__init__(address)
        self._handler = handler
        self._limits = limits
        self._unanswered = 0

    @property
    def host(self) -> str:
        """Where it comes from, without the port."""
        return self.address.rpartition(":")[0].removeprefix("[").removesuffix("]")

    # What the loop says ----------------------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._set_timer(self._limits.handshake_time, self.abort)
        # What the library begins now, for all requests of this connection, inherits it.
        CURRENT.set(self)
        self._handler.connection_made(transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._unanswered += len(data)
        if self._unanswered > MAX_REQUEST_SIZE:
            self.abort()
        else:
            self._handler.data_received(data)

    @override
    def eof_received(self) -> None:
        self._handler.eof_received()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._handler.pause_writing()
        self._set_timer(self._limits.stall_time, self.abort)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_timer()
        self._handler.resume_writing()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._handler.connection_lost(exc)
        super().connection_lost(exc)

    # What we say -----------------------------------------------------------------------

    def request_came(self) -> None:
        """Take note that a request is understood: it has come in time."""
        self._unanswered = 0
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


CURRENT: Final[ContextVar[Visit]] = ContextVar("CURRENT")
"""The connection to which an answer goes."""


def turned_away(words: Refusal) -> bytes:
    """Return the answer to a client that is not even asked what it wants."""
    body = json.dumps({"error": words.value}).encode() + b"\n"
    lines = [
        f"HTTP/1.1 {_STATUS_LINES[words]}",
        *(f"{name}: {value}" for name, value in HEADERS.items()),
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
