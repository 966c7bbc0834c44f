"""Tells clients which port is called what, as :mod:`esploader.transport.directory` asks."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final

from esploader.classes import override
from esploader.server.guest import RawGuest
from esploader.transport.directory import ANSWER_TIMEOUT, VERSION

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from esploader.server.journal import Journal
    from esploader.server.place import OpenPlace

MAX_REQUEST_SIZE: Final = 4096
"""In bytes: a name with an escape for each character."""

_MAX_TEXT_SIZE: Final = 1024


class Inquirer(RawGuest):
    """A client that asks for the directory: one line, one answer, and good-bye."""

    def __init__(
        self,
        address: str,
        places: Callable[[], Iterable[OpenPlace]],
        *,
        server: str,
        seconds: float,
        journal: Journal,
    ) -> None:
        """``server`` tells ours from others; ``seconds`` is for how long it may take to ask."""
        super().__init__(address)
        self._places = places
        self._server = server
        self._seconds = seconds
        self._journal = journal
        self._request = bytearray()
        self._is_answered = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._set_timer(self._seconds, lambda: self._refuse("it asked for nothing"))

    @override
    def data_received(self, data: bytes) -> None:
        if self._is_answered:
            return
        self._request += data
        if b"\n" in self._request:
            self._answer()
        elif len(self._request) > MAX_REQUEST_SIZE:
            self._refuse("its question has no end")

    def _answer(self) -> None:
        self._is_answered = True
        try:
            question = json.loads(self._request.partition(b"\n")[0])
            name = question.get("name") if question["esploader"] == VERSION else 0
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            name = 0
        if not isinstance(name, str | None):
            self._refuse("its question makes no sense")
            return
        ports = [
            _describe(each) for each in self._places() if name is None or each.place.label == name
        ]
        answer = {"esploader": VERSION, "server": self._server, "ports": ports}
        self._journal.note("asked", level=logging.DEBUG, client=self.address, ports=len(ports))
        if self._transport is not None:
            self._transport.write(json.dumps(answer).encode() + b"\n")
            self._transport.close()
            self._set_timer(ANSWER_TIMEOUT, self.abort)

    def _refuse(self, reason: str) -> None:
        self._journal.note("refused", level=logging.WARNING, client=self.address, reason=reason)
        self.abort()


def _describe(opened: OpenPlace) -> dict[str, str | int | None]:
    place, view = opened.place, opened.station.snapshot()
    holder = view.holder
    who = None if holder is None or holder.who is None else f"{holder.address} ({holder.who})"
    return {
        "name": place.label[:_MAX_TEXT_SIZE],
        "tcp_port": place.tcp_port,
        "watch_port": place.watch_port,
        "protocol": place.config.protocol.value,
        "device": view.device,
        "missing": None if view.missing is None else view.missing[:_MAX_TEXT_SIZE],
        "holder": who or (None if holder is None else holder.address),
    }
