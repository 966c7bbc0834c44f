"""What is answered to each request."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import TYPE_CHECKING, Final

from aiohttp import web

from esploader.errors import CapabilityError, PortNotFoundError, TransportError
from esploader.server.status.files import PAGE, static_files
from esploader.server.status.guard import Asker, Denied, HostNames, TokenGuard, judge_site
from esploader.server.status.live import Streams
from esploader.server.status.metrics import CONTENT_TYPE
from esploader.server.status.visit import CURRENT, HEADERS

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest
    from aiohttp.web_response import StreamResponse

    from esploader.server.journal import Journal
    from esploader.server.status.document import Json
    from esploader.server.status.lab import Lab, Which
    from esploader.server.status.logs import EventLog
    from esploader.server.status.snapshots import Snapshots

MAX_BODY_SIZE: Final = 4096
"""Of what somebody wants to change, in bytes."""

MAX_REASON_SIZE: Final = 200
"""Of what whoever loses a port is told, in characters."""

REASON: Final = "by whoever looks after it, on the status page"
"""What that is where nothing is said."""

_UNAUTHORIZED: Final = 401
_RELEASE: Final = "/release"
_RESET: Final = "/reset"
_CHANGES: Final = frozenset({_RELEASE, _RESET})
_JSON: Final = "application/json"
_NUMBER: Final = re.compile("[0-9]{1,5}")


class Answers:
    """Answers requests. Lives in the loop of the status page."""

    def __init__(
        self, *, lab: Lab, snapshots: Snapshots, log: EventLog, journal: Journal, has_tls: bool
    ) -> None:
        self._lab = lab
        self._snapshots = snapshots
        self.streams = Streams(lab, snapshots, log)
        """Those that follow what happens."""
        self._journal = journal
        self._has_tls = has_tls
        self._files = static_files()
        self._names = HostNames(is_loopback=True, names=frozenset())
        self._tokens = TokenGuard(None)
        self._body_time = 0.0

    def change_rules(self, names: HostNames, token: bytes | None, body_time: float) -> None:
        """Answer as these say, from now on.

        ``body_time`` is for how long the body of a request may take, in seconds.
        """
        self._names, self._tokens.token, self._body_time = names, token, body_time
        self._snapshots.can_change = token is not None

    async def answer(self, request: BaseRequest) -> StreamResponse:
        """Return the answer, whatever is asked."""
        visit = CURRENT.get()
        visit.request_came()
        asker = Asker(
            address=visit.host,
            has_tls=self._has_tls,
            hosts=request.headers.getall("Host", []),
            headers=request.headers,
        )
        denied = self._names.judge(asker)
        denied = denied or judge_site(asker, is_page=request.path == PAGE)
        if denied is not None:
            return refusal(denied)
        try:
            if request.path in _CHANGES:
                return await self._change(request, asker, visit.address)
            return await self._show(request, visit.host)
        except _DeniedError as exc:
            return refusal(exc.denied, exc.headers)

    async def _show(self, request: BaseRequest, address: str) -> StreamResponse:
        if request.method not in {"GET", "HEAD"}:
            reason = f"{request.path[:80]} can only be looked at"
            raise _DeniedError(405, reason, {"Allow": "GET, HEAD"})
        file = self._files.get(request.path)
        if file is not None:
            return _response(file.content, file.content_type)
        match request.path:
            case "/status.json":
                return _response((await self._snapshots.latest()).document, _JSON)
            case "/metrics":
                return _response((await self._snapshots.latest()).metrics, CONTENT_TYPE)
            case "/events" if request.method == "GET":
                if not self.streams.has_room_for(address):
                    raise _DeniedError(503, "too many follow what happens here")
                return await self.streams.follow(request, address, _heard_port(request))
            case _:
                raise _DeniedError(404, "there is nothing of that name")

    async def _change(self, request: BaseRequest, asker: Asker, client: str) -> StreamResponse:
        if request.method != "POST":
            reason = f"{request.path} changes something, and takes POST"
            raise _DeniedError(405, reason, {"Allow": "POST"})
        denied = self._tokens.judge(asker, asyncio.get_running_loop().time())
        if denied is not None:
            self._journal.note(
                "refused", level=logging.WARNING, client=client, reason=denied.reason
            )
            challenge = {"WWW-Authenticate": "Bearer"} if denied.status == _UNAUTHORIZED else {}
            raise _DeniedError(denied.status, denied.reason, challenge)
        wish = await self._read(request)
        which = wish.get("port")
        if isinstance(which, bool) or not isinstance(which, str | int):
            raise _DeniedError(400, "port is missing: the name of one, or that of its TCP port")
        try:
            done = await self._do(request.path, which, wish, client)
        except PortNotFoundError as exc:
            raise _DeniedError(404, str(exc)) from exc
        except (TransportError, CapabilityError) as exc:
            raise _DeniedError(409, str(exc)) from exc
        finally:
            self._snapshots.forget()
        return _response(json.dumps(done).encode() + b"\n", _JSON)

    async def _do(self, path: str, which: Which, wish: dict[str, Json], client: str) -> Json:
        """Do what is wished; return what has been done.

        Raises:
            TransportError: it cannot be done.
            CapabilityError: nor ever.
        """
        if path == _RELEASE:
            reason = wish.get("reason") or REASON
            if not isinstance(reason, str) or len(reason) > MAX_REASON_SIZE:
                raise _DeniedError(
                    400, f"reason is no text of {MAX_REASON_SIZE} characters at most"
                )
            self._journal.note("release-asked", port=which, client=client)
            return {"released": await self._lab.release(which, reason)}
        force = wish.get("force", False)
        if not isinstance(force, bool):
            raise _DeniedError(400, "force is neither true nor false")
        self._journal.note("reset-asked", port=which, client=client, force=force)
        await self._lab.reset(which, force=force)
        return {"reset": True}

    async def _read(self, request: BaseRequest) -> dict[str, Json]:
        """Return what a request wishes."""
        size = request.content_length
        if size is None or request.content_type != _JSON:
            raise _DeniedError(415, f"the body has to be {_JSON}, and its length be said")
        if size > MAX_BODY_SIZE:
            raise _DeniedError(413, f"the body has more than {MAX_BODY_SIZE} bytes")
        try:
            async with asyncio.timeout(self._body_time):
                wish = json.loads(await request.content.readexactly(size))
        except TimeoutError:
            raise _DeniedError(408, "the body did not come") from None
        except (ValueError, RecursionError, asyncio.IncompleteReadError):
            wish = None
        if not isinstance(wish, dict):
            raise _DeniedError(400, "the body is no object of JSON")
        return wish


class _DeniedError(Exception):
    """A request is not answered as it would like."""

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.denied = Denied(status=status, reason=reason)
        self.headers = headers


def _heard_port(request: BaseRequest) -> Which | None:
    """Return the port of which a stream is to say what its board says."""
    number = request.query.get("tcp_port")
    if number is None:
        return request.query.get("port")
    if not _NUMBER.fullmatch(number):
        raise _DeniedError(400, "tcp_port is the number of a TCP port")
    return int(number)


def refusal(denied: Denied, headers: dict[str, str] | None = None) -> web.Response:
    """Return the answer that says why there is no other."""
    body = json.dumps({"error": denied.reason}).encode() + b"\n"
    return web.Response(
        status=denied.status,
        body=body,
        headers={**HEADERS, "Content-Type": _JSON, **(headers or {})},
    )


def _response(body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, headers={**HEADERS, "Content-Type": content_type})
