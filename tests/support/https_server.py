"""A web server with TLS on loopback that answers as a test says, and misbehaves if that says so."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
from typing import TYPE_CHECKING, TypeAlias

from typing_extensions import override

from programs import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

Answer: TypeAlias = "Callable[[http.server.BaseHTTPRequestHandler], None]"
"""Says something to a client, whatever it is."""


def content(data: bytes) -> Answer:
    """Answer with ``data``."""

    def answer(client: http.server.BaseHTTPRequestHandler) -> None:
        client.send_response(200)
        client.send_header("Content-Length", str(len(data)))
        client.end_headers()
        client.wfile.write(data)

    return answer


def cut(data: bytes) -> Answer:
    """Announce one byte more than ``data``, and hang up behind these."""

    def answer(client: http.server.BaseHTTPRequestHandler) -> None:
        client.send_response(200)
        client.send_header("Content-Length", str(len(data) + 1))
        client.end_headers()
        client.wfile.write(data)

    return answer


def redirect(target: str) -> Answer:
    """Send the client elsewhere."""

    def answer(client: http.server.BaseHTTPRequestHandler) -> None:
        client.send_response(302)
        client.send_header("Location", target)
        client.end_headers()

    return answer


def endless(client: http.server.BaseHTTPRequestHandler) -> None:
    """Answer without end, as fast as the client takes it."""
    client.send_response(200)
    client.end_headers()
    with contextlib.suppress(OSError):
        while True:
            client.wfile.write(bytes(64 * 1024))


def hang_up(client: http.server.BaseHTTPRequestHandler) -> None:
    """Answer nothing."""
    client.close_connection = True


def gibberish(client: http.server.BaseHTTPRequestHandler) -> None:
    """Answer with something that is not HTTP."""
    client.wfile.write(b"\x00\xffnonsense\r\n\r\n")


@contextlib.contextmanager
def https_server(certificate: Path, answers: Mapping[str, Answer]) -> Iterator[str]:
    """Answer requests for the paths in ``answers``; yield the URL that they are below.

    To the path ``/silent`` it says nothing until it ends.
    """
    ended = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer one request."""
            if self.path == "/silent":
                ended.wait()
                return
            answer = answers.get(self.path.partition("?")[0])
            if answer is None:
                self.send_error(404)
            else:
                answer(self)

        @override
        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        @override
        def handle_error(self, *_: object) -> None:
            """Leave what clients do that hang up to the tests."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Server((LOOPBACK, 0), Handler)
    # The handshake is the threads' business: who fails in it keeps nobody else.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"https://localhost:{server.server_port}"
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
