"""The library for HTTP, with answers of ours to what is no request, and its faults in our log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp.web_protocol import RequestHandler

from esploader.classes import override
from esploader.server.status.answers import refusal
from esploader.server.status.guard import Denied

if TYPE_CHECKING:
    import asyncio

    from aiohttp.web import Server
    from aiohttp.web_request import BaseRequest
    from aiohttp.web_response import StreamResponse

    from esploader.server.journal import Journal

KEEPALIVE_TIME: Final = 30.0
"""For how long a connection may say nothing between two requests, in seconds. Prometheus asks every
15 by default."""

LINGER_TIME: Final = 0.5
"""For how long the rest of a request is taken that is answered already, in seconds."""

MAX_LINE_SIZE: Final = 4096
"""Of a line in a request, in bytes."""

_BROKEN: Final = 500


class Handler(RequestHandler):
    """Takes in the bytes of one connection."""

    __slots__ = ("_journal",)

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, journal: Journal) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type] # it is how to have none
            keepalive_timeout=KEEPALIVE_TIME,
            lingering_time=LINGER_TIME,
            max_line_size=MAX_LINE_SIZE,
            max_field_size=MAX_LINE_SIZE,
            auto_decompress=False,
        )
        self._journal = journal

    @override
    def log_exception(self, *args: object, **kw: object) -> None:
        self._journal.fault(None, {"exception": kw.get("exc_info"), "message": args[0]})

    @override
    def handle_error(
        self,
        request: BaseRequest,
        status: int = _BROKEN,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> StreamResponse:
        if status == _BROKEN:
            self.log_exception("a request could not be answered", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("half an answer has been sent")
        is_ours = status == _BROKEN
        reason = "the server has failed at this" if is_ours else "this is no request"
        answer = refusal(Denied(status=status, reason=reason))
        answer.force_close()
        return answer
