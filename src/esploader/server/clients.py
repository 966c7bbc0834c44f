"""The ends that bytes of a served port go to: a TCP connection, RFC 2217, a PTY."""

from __future__ import annotations

import abc
import logging
import socket
from contextlib import suppress
from typing import Final, TypeAlias

from typing_extensions import override

from esploader.errors import ProtocolError
from esploader.server.port_settings import MODEM_STATE
from esploader.transport import com_port
from esploader.transport.com_port import Code, ComPortMessage, Setting, Signature
from esploader.transport.telnet import (
    Data,
    Negotiation,
    Option,
    OptionNegotiation,
    Subnegotiation,
    TelnetDecoder,
    escape,
)
from esploader.version import __version__

Request: TypeAlias = bytes | Setting
"""What a client wants: bytes written to the port, or a setting made."""

READ_SIZE: Final = 16 * 1024
"""How much is taken from a client at once, in bytes."""

MAX_BACKLOG: Final = 256 * 1024
"""How much may wait for a client that does not read, in bytes, before the port is no
longer read either."""

_logger = logging.getLogger(__name__)


class ClientGoneError(Exception):
    """The client closed its end. Only between a client and the relay."""


class Client(abc.ABC):
    """One end of the relay. Nothing of it ever blocks."""

    def __init__(self) -> None:
        self._backlog = bytearray()
        self.suspended = False
        """The client asked to be sent nothing for a while."""

    @property
    def has_backlog(self) -> bool:
        """Bytes wait to be taken by the client."""
        return bool(self._backlog)

    @property
    def can_take(self) -> bool:
        """More may be sent."""
        return not self.suspended and len(self._backlog) < MAX_BACKLOG

    @abc.abstractmethod
    def fileno(self) -> int:
        """Return the descriptor to wait for."""

    @abc.abstractmethod
    def receive(self) -> list[Request]:
        """Return what the client wants, in order.

        Raises:
            ClientGoneError: it is gone.
        """

    def send(self, data: bytes) -> None:
        """Send bytes of the port.

        Raises:
            ClientGoneError: the client is gone.
        """
        self._send(data)

    def changed_rate(self) -> list[Setting]:
        """Return the request for a baud rate that came some other way than as bytes."""
        return []

    def answer(self, setting: Setting) -> None:  # noqa: B027 - most clients cannot ask
        """Say how the port is set.

        Raises:
            ClientGoneError: the client is gone.
        """

    def flush(self) -> None:
        """Hand over as much of the backlog as the client takes.

        Raises:
            ClientGoneError: it is gone.
        """
        try:
            while self._backlog:
                del self._backlog[: self._write(memoryview(bytes(self._backlog)))]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as exc:
            raise ClientGoneError(str(exc)) from exc

    @abc.abstractmethod
    def close(self) -> None:
        """Hang up. Never raises."""

    @abc.abstractmethod
    def _write(self, data: memoryview) -> int:
        """Write what can be written now and return how much that was."""

    def _send(self, data: bytes) -> None:
        self._backlog += data
        self.flush()


class TcpClient(Client):
    """A connection that carries the bytes of the port and nothing else."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection

    @override
    def fileno(self) -> int:
        return self._connection.fileno()

    @override
    def receive(self) -> list[Request]:
        data = self._receive()
        return [data] if data else []

    @override
    def close(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    @override
    def _write(self, data: memoryview) -> int:
        return self._connection.send(data)

    def _receive(self) -> bytes:
        try:
            data = self._connection.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError as exc:
            raise ClientGoneError(str(exc)) from exc
        if not data:
            raise ClientGoneError("it closed the connection")
        return data


class ComPortClient(TcpClient):
    """A connection that speaks telnet with the COM-PORT-OPTION of RFC 2217."""

    def __init__(self, connection: socket.socket, port_name: str) -> None:
        super().__init__(connection)
        self._port_name = port_name
        self._decoder = TelnetDecoder()
        self._options = OptionNegotiation()
        self._told_modem_state = False
        # Offered at once: some clients wait to be asked for BINARY.
        sides = (self._options.ours, self._options.theirs)
        self._send(b"".join(side.request(option) for option in Option for side in sides))

    @override
    def receive(self) -> list[Request]:
        requests: list[Request] = []
        for event in self._decoder.feed(self._receive()):
            if isinstance(event, Data):
                requests.append(event.data)
            elif isinstance(event, Negotiation):
                self._send(self._options.answer(event))
            elif isinstance(event, Subnegotiation) and event.option == Option.COM_PORT:
                self._tell_modem_state()
                try:
                    message = com_port.decode(event.payload, from_server=False)
                except ProtocolError as exc:
                    _logger.info("ignored: %s", exc)
                else:
                    requests += self._take_in(message)
        return requests

    @override
    def send(self, data: bytes) -> None:
        self._send(escape(data))

    @override
    def answer(self, setting: Setting) -> None:
        self._send(com_port.encode(setting, from_server=True))

    def _take_in(self, message: ComPortMessage) -> list[Request]:
        """Deal with what concerns the connection; return what concerns the port."""
        if isinstance(message, Signature):
            if not message.text:
                text = f"esploader {__version__} {self._port_name}".encode()
                self._send(com_port.encode(Signature(text), from_server=True))
            return []
        match message.code:
            case Code.FLOWCONTROL_SUSPEND:
                self.suspended = True
            case Code.FLOWCONTROL_RESUME:
                self.suspended = False
            case _:
                return [message]
        return []

    def _tell_modem_state(self) -> None:
        """Tell the state of the input lines once, as RFC 2217 asks for.

        With the first message of the client and not with its agreement: pyserial's may
        forget to agree when our offer comes before it has said a word.
        """
        if not self._told_modem_state:
            self._told_modem_state = True
            self.answer(Setting(Code.NOTIFY_MODEMSTATE, MODEM_STATE))
