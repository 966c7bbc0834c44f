"""A TCP host that does exactly what a test tells it to, once."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Script = Callable[[socket.socket], object]


@contextlib.contextmanager
def tcp_host(script: Script) -> Iterator[int]:
    """Accept one connection, run ``script`` on it, close it; yield the TCP port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.settimeout(10)
                with contextlib.suppress(ConnectionError):
                    script(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


def read_until_closed(connection: socket.socket) -> None:
    """Take everything until the other end hangs up."""
    while connection.recv(65536):
        pass


def receive(connection: socket.socket, end: bytes) -> bytes:
    """Return what comes up to and with ``end``."""
    data = b""
    while end not in data:
        chunk = connection.recv(65536)
        if not chunk:
            raise ConnectionError("closed")
        data += chunk
    return data
