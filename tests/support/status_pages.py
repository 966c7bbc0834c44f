"""A server with a status page, and what a browser or a script asks of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from typing import TYPE_CHECKING

import attrs

from esploader.server.config import PortConfig, ServerConfig
from esploader.server.status_address import StatusAddress
from reloads import reloadable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from reloads import Reloadable

PATIENCE = 20.0
"""When a test gives up, in seconds."""

TOKEN = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of a test

BENCH = PortConfig(source="sim://esp32c3", name="bench-1")

CONFIG = ServerConfig(ports=(BENCH,), tcp_port=0, status=StatusAddress(port=0))


@attrs.frozen
class Answer:
    """What the page answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, object]:
        """The object that it is in JSON."""
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found

    @property
    def error(self) -> str:
        """Why there is no other answer."""
        return str(self.document["error"])


@attrs.frozen
class Page:
    """Where the page of a server is."""

    server: Reloadable
    number: int
    """Its TCP port."""

    context: ssl.SSLContext | None = None
    source: str = "127.0.0.1"
    """Where requests come from."""

    def connection(self) -> http.client.HTTPConnection:
        """Return a connection, which the caller closes."""
        where = ("127.0.0.1", self.number)
        if self.context is None:
            return http.client.HTTPConnection(
                *where, timeout=PATIENCE, source_address=(self.source, 0)
            )
        return http.client.HTTPSConnection(
            *where, timeout=PATIENCE, source_address=(self.source, 0), context=self.context
        )

    def ask(
        self,
        path: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Return what is answered to one request."""
        with contextlib.closing(self.connection()) as connection:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())

    def change(
        self,
        kind: str,
        token: str | None = TOKEN,
        headers: Mapping[str, str] | None = None,
        wish: Mapping[str, object] | None = None,
    ) -> Answer:
        """Ask for a release or a reset, of the usual port where the wish names no other."""
        given = {"Content-Type": "application/json", **(headers or {})}
        if token is not None:
            given["Authorization"] = f"Bearer {token}"
        body = json.dumps({"port": "bench-1", **(wish or {})}).encode()
        return self.ask(f"/{kind}", "POST", given, body)

    def port(self, name: str = "bench-1") -> dict[str, object]:
        """Return what the page says of a port."""
        ports = self.ask("/status.json").document["ports"]
        assert isinstance(ports, list)
        (found,) = (each for each in ports if each["name"] == name)
        assert isinstance(found, dict)
        return found

    @contextlib.contextmanager
    def events(self, path: str = "/events") -> Iterator[Events]:
        """Follow what happens."""
        with contextlib.closing(self.connection()) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            assert response.status == 200, response.read()
            assert response.getheader("Content-Type") == "text/event-stream"
            yield Events(response)

    def raw(self, data: bytes) -> bytes:
        """Return everything that is answered to bytes, up to the end of the connection."""
        with socket.create_connection(("127.0.0.1", self.number), PATIENCE) as client:
            with contextlib.suppress(ConnectionError):
                client.sendall(data)
            answer = b""
            with contextlib.suppress(ConnectionError):
                while piece := client.recv(65536):
                    answer += piece
            return answer


@attrs.frozen
class Events:
    """What a stream says."""

    response: http.client.HTTPResponse

    def next(self, kind: str) -> dict[str, object]:
        """Return the next event of a kind."""
        name = ""
        while line := self.response.readline():
            word, _, value = line.decode().rstrip("\n").partition(": ")
            if word == "event":
                name = value
            elif word == "data" and name == kind:
                found = json.loads(value)
                assert isinstance(found, dict)
                return found
        raise AssertionError(f"the stream ended without {kind}")

    def until(self, kind: str, text: str) -> str:
        """Return the texts of events of a kind up to one with ``text`` in it."""
        said = ""
        while text not in said:
            event = self.next(kind)
            lines = event.get("lines")
            said += str(event.get("text", "")) if lines is None else json.dumps(lines)
        return said


def token_file(folder: Path) -> Path:
    """Return a file with :data:`TOKEN`."""
    path = folder / "token"
    path.write_text(f"{TOKEN}\n", encoding="ascii")
    path.chmod(0o600)
    return path


@contextlib.contextmanager
def status_page(config: ServerConfig = CONFIG) -> Iterator[Page]:
    """Serve ports, and a page, in threads."""
    with reloadable(config) as server:
        url = server.server.status_url
        assert url is not None
        yield Page(server, int(url.rpartition(":")[2].rstrip("/")))
