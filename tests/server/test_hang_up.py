"""A client that is gone is noticed though nobody reads what it had sent."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from esploader.server.hang_up import has_hung_up
from eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="pair")
def _pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        contextlib.closing(listener.accept()[0]) as server,
    ):
        client.sendall(b"unread")
        yield client, server


def test_who_is_there_has_not_hung_up(pair: tuple[socket.socket, socket.socket]) -> None:
    assert not has_hung_up(pair[1])


@pytest.mark.parametrize("linger", [None, struct.pack("ii", 1, 0)], ids=["closed", "reset"])
def test_an_end_is_seen_behind_bytes_that_wait(
    pair: tuple[socket.socket, socket.socket], linger: bytes | None
) -> None:
    client, server = pair
    if linger is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    client.close()

    def check() -> None:
        assert has_hung_up(server)

    eventually(check, AssertionError)


def test_what_is_closed_already_has_no_other_end(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[1].close()
    assert has_hung_up(pair[1])
