"""Where the bytes of a client come from and go to. Nothing of it ever blocks."""

from __future__ import annotations

import abc
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from typing_extensions import override

if TYPE_CHECKING:
    from esploader.server.peers import Peer
    from esploader.transport.com_port import Setting

READ_SIZE: Final = 16 * 1024
"""How much is taken from a client at once, in bytes."""


class ClientGoneError(Exception):
    """The client closed its end."""


class ClientEnd(abc.ABC):
    """A descriptor, and the peer that speaks through it."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    @abc.abstractmethod
    def fileno(self) -> int:
        """Return the descriptor to wait for."""

    def receive(self) -> bytes:
        """Return what has arrived.

        Raises:
            ClientGoneError: the client is gone.
        """
        try:
            data = self._read()
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError as exc:
            raise ClientGoneError(str(exc)) from exc
        if not data:
            raise ClientGoneError("it closed the connection")
        return data

    def flush(self) -> None:
        """Hand over as much of what the peer says as the client takes.

        Raises:
            ClientGoneError: the client is gone.
        """
        output = self.peer.output
        try:
            while output:
                del output[: self._write(bytes(output))]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as exc:
            raise ClientGoneError(str(exc)) from exc

    def changed_rate(self) -> list[Setting]:
        """Return the request for a baud rate that came some other way than as bytes."""
        return []

    @abc.abstractmethod
    def close(self) -> None:
        """Hang up. Never raises."""

    @abc.abstractmethod
    def _read(self) -> bytes:
        """Return what has arrived; raise :exc:`OSError`."""

    @abc.abstractmethod
    def _write(self, data: bytes) -> int:
        """Write what can be written now; return how much that was."""


class SocketEnd(ClientEnd):
    """A connection."""

    def __init__(self, connection: socket.socket, peer: Peer) -> None:
        super().__init__(peer)
        self._connection = connection

    @override
    def fileno(self) -> int:
        return self._connection.fileno()

    @override
    def close(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    @override
    def _read(self) -> bytes:
        return self._connection.recv(READ_SIZE)

    @override
    def _write(self, data: bytes) -> int:
        return self._connection.send(data)
