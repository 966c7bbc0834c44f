"""A socket in place of two descriptors carries all bytes, and each of their ends."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
from typing import IO, TYPE_CHECKING

import pytest

from esploader.transport.descriptors import Descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 20.0
DATA = random.Random(2).randbytes(1 << 20)  # noqa: S311 - no secret


class Ends:
    """A socket for two pipes, and the other ends of these."""

    def __init__(self) -> None:
        source, self.say = _pipe()
        self.hear, sink = _pipe()
        self.descriptors = Descriptors.joined(source, sink)
        self.socket = self.descriptors.socket
        self.socket.settimeout(PATIENCE)

    def close(self) -> None:
        for end in (self.say, self.hear, self.socket):
            end.close()


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    reading, writing = os.pipe()
    return os.fdopen(reading, "rb", buffering=0), os.fdopen(writing, "wb", buffering=0)


@pytest.fixture(name="ends")
def _ends() -> Iterator[Ends]:
    with contextlib.closing(Ends()) as ends:
        yield ends
    # Its threads end by themselves.
    ends.descriptors.finish(PATIENCE)


def read_all(connection: socket.socket) -> bytes:
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def write_all(stream: IO[bytes], data: bytes) -> None:
    with stream:
        while data:
            data = data[stream.write(data) :]


def test_what_is_written_to_the_one_is_read_from_the_socket_to_its_end(ends: Ends) -> None:
    writing = threading.Thread(target=write_all, args=(ends.say, DATA))
    writing.start()
    assert read_all(ends.socket) == DATA
    writing.join()


def test_what_is_sent_is_read_from_the_other_to_its_end(ends: Ends) -> None:
    def send() -> None:
        ends.socket.sendall(DATA)
        ends.socket.shutdown(socket.SHUT_WR)

    sending = threading.Thread(target=send)
    sending.start()
    with os.fdopen(os.dup(ends.hear.fileno()), "rb") as hear:
        assert hear.read() == DATA
    sending.join()


def test_the_end_of_one_direction_is_not_that_of_the_other(ends: Ends) -> None:
    ends.say.close()
    assert read_all(ends.socket) == b""
    ends.socket.sendall(b"still there")
    assert ends.hear.read(100) == b"still there"


def test_when_nobody_reads_any_more_the_socket_is_closed_both_ways(ends: Ends) -> None:
    ends.hear.close()
    with contextlib.suppress(ConnectionError):
        ends.socket.sendall(b"x")
    assert read_all(ends.socket) == b""
    with pytest.raises(ConnectionError):
        ends.socket.sendall(DATA)


def test_who_closes_the_socket_has_what_was_sent_go_out(ends: Ends) -> None:
    ends.socket.sendall(b"last words")
    ends.socket.close()
    ends.descriptors.finish(PATIENCE)
    assert ends.hear.read(100) == b"last words"
    assert ends.hear.read(100) == b""
    # And whoever still writes to it learns of that.
    with pytest.raises(BrokenPipeError):
        write_all(ends.say, DATA)
