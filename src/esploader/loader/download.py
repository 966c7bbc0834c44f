"""Files from the web: over HTTPS alone, bounded in size and in time, and from one host.

Whoever answers has to show a certificate for the host in the URL, by an authority that this
machine trusts. A proxy that the environment names (``https_proxy``) is used. Redirects are followed
to the same host, and from ``github.com`` to where that keeps the files of releases: hosts under
``githubusercontent.com``.
"""

from __future__ import annotations

import http
import http.client
import queue
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Final

from esploader.errors import StubDownloadError, StubInstallError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from http.client import HTTPResponse

PATIENCE: Final = 120.0
"""For how long all files together may be waited for, in seconds."""

_SILENCE: Final = 15.0
"""For how long the other end may say nothing, in seconds."""

_MOST_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OK: Final = 200
_PIECE: Final = 64 * 1024


def download(urls: Sequence[str], *, max_size: int, seconds: float = PATIENCE) -> list[bytes]:
    """Return what is at ``urls``, each of at most ``max_size`` bytes.

    It is over after ``seconds`` whatever the other end, the network or the resolver does: they
    are waited for in a thread, which is left behind if it has to be.

    Raises:
        StubInstallError: one of ``urls`` is no such address.
        StubDownloadError: it cannot be had.
    """
    for url in urls:
        if not may_lead(_host(url), url):
            raise StubInstallError(url, "it is no address that begins with https:// and a host")
    results: queue.SimpleQueue[bytes | StubDownloadError] = queue.SimpleQueue()
    threading.Thread(target=_work, args=(urls, max_size, results), daemon=True).start()
    deadline = time.monotonic() + seconds
    contents = []
    for url in urls:
        try:
            result = results.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise StubDownloadError(url, f"it was not there after {seconds:g} s") from None
        if isinstance(result, StubDownloadError):
            raise result
        contents.append(result)
    return contents


def may_lead(first: str, target: str) -> bool:
    """Tell whether a redirect from the host ``first`` may lead to the URL ``target``."""
    host = _host(target)
    is_near = host == first or (first == "github.com" and host.endswith(".githubusercontent.com"))
    return target.lower().startswith("https://") and bool(host) and is_near


def _host(url: str) -> str:
    """Return the host in ``url``, in small letters; nothing where there is none."""
    try:
        return urllib.parse.urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _work(
    urls: Sequence[str],
    max_size: int,
    results: queue.SimpleQueue[bytes | StubDownloadError],
) -> None:
    try:
        opener = urllib.request.OpenerDirector()
        opener.add_handler(urllib.request.ProxyHandler())
        context = ssl.create_default_context()
        opener.add_handler(urllib.request.HTTPSHandler(context=context))
        for url in urls:
            results.put(_fetch(opener, url, max_size))
    except StubDownloadError as exc:
        results.put(exc)


def _fetch(opener: urllib.request.OpenerDirector, url: str, max_size: int) -> bytes:
    first = _host(url)
    place = url
    try:
        for _ in range(_MOST_REDIRECTS + 1):
            with opener.open(place, timeout=_SILENCE) as response:
                if response.status not in _REDIRECTS:
                    return _content(response, url, max_size)
                place = urllib.parse.urljoin(place, response.headers.get("Location", ""))
            if not may_lead(first, place):
                raise StubDownloadError(url, f"it leads elsewhere: {place!r}")
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise StubDownloadError(url, _reason(exc)) from exc
    raise StubDownloadError(url, f"there is no end to its redirects after {_MOST_REDIRECTS}")


def _content(response: HTTPResponse, url: str, max_size: int) -> bytes:
    if response.status != _OK:
        known = {status.value: f" {status.phrase}" for status in http.HTTPStatus}
        answer = f"{response.status}{known.get(response.status, '')}"
        raise StubDownloadError(url, f"the server answers {answer}")
    announced = response.length
    content = bytearray()
    while len(content) <= max_size:
        piece = response.read1(_PIECE)
        if not piece:
            break
        content += piece
    if len(content) > max_size:
        raise StubDownloadError(url, f"it is larger than the {max_size} bytes that are taken")
    if announced is not None and len(content) < announced:
        raise StubDownloadError(url, f"it broke off after {len(content)} of {announced} bytes")
    return bytes(content)


def _reason(error: Exception) -> str:
    """Return what went wrong, in words of our own: the other end's may be anything."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"who answers has no certificate that is trusted: {cause.verify_message}"
    for kind, reason in _REASONS:
        if isinstance(cause, kind):
            return reason
    if isinstance(cause, OSError):
        return f"it cannot be reached: {cause.strerror or type(cause).__name__}"
    return f"it is no address: {cause}"


_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (ssl.SSLError, "who answers does not speak TLS, or breaks its rules"),
    (socket.gaierror, "its host is not known here; is there a network?"),
    (TimeoutError, f"nothing came for {_SILENCE:g} s"),
    (http.client.RemoteDisconnected, "the server hung up"),
    (http.client.IncompleteRead, "it broke off"),
    (ConnectionResetError, "it broke off"),
    (http.client.HTTPException, "this is no answer of a web server"),
)
