"""Clients of a TLS port that leave in the middle of their handshakes."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections import deque

PATIENCE = 20.0
"""When a connection or an answer is given up, in seconds."""


def first_word() -> bytes:
    """Return what a client of TLS says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def begin(tcp_port: int, hello: bytes) -> socket.socket:
    """Begin a handshake, and see that the server has done its part of it."""
    client = socket.create_connection(("127.0.0.1", tcp_port), PATIENCE)
    client.sendall(hello)
    if not client.recv(1):
        raise ConnectionError("the server did not answer")
    return client


def come_and_go(tcp_port: int, count: int, *, at_once: int) -> None:
    """Begin many handshakes, and leave each of them."""
    hello = first_word()
    present: deque[socket.socket] = deque()
    try:
        for _ in range(count):
            if len(present) == at_once:
                present.popleft().close()
            present.append(begin(tcp_port, hello))
    finally:
        for client in present:
            client.close()
