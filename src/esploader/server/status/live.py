"""What happens at a server, as it happens: events that a browser follows (``EventSource``).

A stream says what is new now and then, and not more at once than :data:`MAX_SAID` and
:data:`MAX_EVENTS` of it. Whoever does not read is not waited for, nor is anything kept for it: how
much is missing is said.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import logging
from collections import Counter
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Final

import attrs
from aiohttp import web

from esploader.classes import define
from esploader.server.status.visit import HEADERS

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest

    from esploader.server.status.document import Json
    from esploader.server.status.lab import Lab, Which
    from esploader.server.status.logs import BoardLog, EventLog
    from esploader.server.status.snapshots import Snapshots

PACE: Final = 0.5
"""How often there is something new, in seconds."""

HEARTBEAT: Final = 5.0
"""After how long something is said where nothing is new, in seconds."""

MAX_STREAMS: Final = 24
"""How many may follow."""

MAX_STREAMS_PER_ADDRESS: Final = 8

MAX_SAID: Final = 16 * 1024
"""How much of what a board says is passed on at once, in bytes."""

MAX_EVENTS: Final = 100
"""How many lines of the log are passed on at once."""

RETRY: Final = 2000
"""After how long a browser should come again, in milliseconds."""


@define(eq=False)
class Streams:
    """All who follow what happens."""

    _lab: Lab
    _snapshots: Snapshots
    _log: EventLog
    _closing: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _followers: Counter[str] = attrs.field(factory=Counter, init=False)

    def has_room_for(self, address: str) -> bool:
        """Tell whether one more may come from an address."""
        return (
            self._followers.total() < MAX_STREAMS
            and self._followers[address] < MAX_STREAMS_PER_ADDRESS
        )

    def close(self) -> None:
        """End all of them soon."""
        self._closing.set()

    async def follow(
        self, request: BaseRequest, address: str, port: Which | None
    ) -> web.StreamResponse:
        """Say what happens, and what the board at a port says, until nobody listens any more."""
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        self._followers[address] += 1
        try:
            async with AsyncExitStack() as stack:
                board = None
                if port is not None:
                    board = await stack.enter_async_context(self._lab.heard(port))
                await response.prepare(request)
                # A client that is gone is none that has done anything wrong.
                with suppress(ConnectionError):
                    await response.write(f"retry: {RETRY}\n\n".encode())
                    await self._tell(request, response, Reader(self._log, board))
        finally:
            self._followers[address] -= 1
            if not self._followers[address]:
                del self._followers[address]
        return response

    async def _tell(
        self, request: BaseRequest, response: web.StreamResponse, reader: Reader
    ) -> None:
        loop = asyncio.get_running_loop()
        told, spoke_at = "", 0.0
        while not self._closing.is_set() and request.transport is not None:
            snapshot = await self._snapshots.latest()
            news = reader.news()
            now = loop.time()
            if snapshot.body != told or now - spoke_at >= HEARTBEAT:
                told = snapshot.body
                news.append(b"event: state\ndata: " + snapshot.document + b"\n\n")
            if news:
                spoke_at = now
                await response.write(b"".join(news))
            with suppress(TimeoutError):
                async with asyncio.timeout(PACE):
                    await self._closing.wait()


@define(eq=False)
class Reader:
    """How far one stream has come."""

    _log: EventLog
    _board: BoardLog | None
    _log_position: int = attrs.field(init=False)
    _board_position: int = attrs.field(init=False)
    _decoder: codecs.IncrementalDecoder = attrs.field(
        factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"), init=False, repr=False
    )

    def __attrs_post_init__(self) -> None:
        self._log_position = self._log.beginning
        self._board_position = 0 if self._board is None else self._board.beginning

    def news(self) -> list[bytes]:
        """Return what is new, as events."""
        found: list[bytes] = []
        events, lost, self._log_position = self._log.since(self._log_position, MAX_EVENTS)
        if events:
            lines: list[Json] = [
                {
                    "at": each.at.isoformat(timespec="milliseconds"),
                    "level": logging.getLevelName(each.entry.level).lower(),
                    "event": each.entry.event,
                    "text": each.entry.text,
                }
                for each in events
            ]
            found.append(_event("log", {"lines": lines, "lost_lines": lost}))
        if self._board is not None:
            data, lost, self._board_position = self._board.since(self._board_position, MAX_SAID)
            if data:
                said = self._decoder.decode(data)
                found.append(_event("said", {"text": said, "lost_bytes": lost}))
        return found


def _event(kind: str, document: Json) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(document)}\n\n".encode()
