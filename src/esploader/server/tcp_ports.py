"""Which TCP port each serial port is found under, and what listens there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.errors import ListenError
from esploader.server.config import LOOPBACK, Protocol
from esploader.server.door import format_reachable, listen_on_all
from esploader.server.place import Place, number_of
from esploader.transport.network_url import MAX_TCP_PORT

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from esploader.server.config import PortConfig, ServerConfig

_SCHEMES: Final = {Protocol.RFC2217: "rfc2217", Protocol.RAW: "socket"}


class TcpPorts:
    """Gives serial ports their places.

    What listens for a place that is gone may be kept for one that comes
    (:meth:`keep`): nobody else gets hold of the TCP port meanwhile.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._bind = config.bind
        self._first = config.tcp_port
        status = None if config.status is None else config.status.port
        self._others = {number for number in (config.directory_port, status) if number}
        self._has_tls = config.tls is not None
        self._kept: dict[int, list[socket.socket]] = {}
        self.renumber(config.ports, ())

    def renumber(self, ports: Iterable[PortConfig], taken: Iterable[int]) -> None:
        """Begin again with the first number; those of ``ports``, and those taken, are left out."""
        named = ((port.tcp_port, port.watch_port) for port in ports)
        self._reserved = {number for numbers in named for number in numbers if number}
        self._reserved.update(taken, self._others)
        self._next = self._first

    def place(self, config: PortConfig) -> Place:
        """Return a place where the configuration of a port says, or else at the next number.

        Raises:
            ListenError: it cannot be had.
        """
        tcp_port = config.tcp_port
        return self.place_at(config, self._take_number() if tcp_port is None else tcp_port)

    def place_anywhere(self, config: PortConfig) -> Place:
        """Return a place at the next number that is free.

        Raises:
            ListenError: there is none.
        """
        while True:
            number = self._take_number()
            try:
                return self.place_at(config, number)
            except ListenError as exc:
                if not exc.is_taken or not number or self._next > MAX_TCP_PORT:
                    raise

    def place_at(self, config: PortConfig, tcp_port: int) -> Place:
        """Return a place at that number, 0 for any free one.

        Raises:
            ListenError: it cannot be had.
        """
        listeners = self.listen(tcp_port)
        watching: list[socket.socket] = []
        watch_url = None
        if config.watch_port is not None:
            try:
                watching = self.listen(config.watch_port)
            except ListenError:
                for listener in listeners:
                    listener.close()
                raise
            watch_url = self._url(Protocol.RAW, number_of(watching))
        number = number_of(listeners)
        url = self._url(config.protocol, number)
        return Place(config, url, number, tuple(listeners), watch_url, tuple(watching))

    def listen(self, tcp_port: int) -> list[socket.socket]:
        """Listen wherever the server does.

        Raises:
            ListenError: the TCP port cannot be had.
        """
        kept = self._kept.pop(tcp_port, None)
        if kept is not None:
            return kept
        # Not every machine has IPv6; that it was not asked for is no reason to fail.
        optional = frozenset(LOOPBACK) if self._bind == LOOPBACK else frozenset[str]()
        return listen_on_all(self._bind, tcp_port, optional)

    def keep(self, listeners: Iterable[socket.socket]) -> None:
        """Keep what listens at one TCP port for the next one that is to have that."""
        listeners = list(listeners)
        if listeners:
            self._kept[number_of(listeners)] = listeners

    def drop_kept(self) -> None:
        """Close what is kept."""
        for listeners in self._kept.values():
            for listener in listeners:
                listener.close()
        self._kept.clear()

    def _take_number(self) -> int:
        if not self._first:
            return 0
        while self._next in self._reserved:
            self._next += 1
        self._next += 1
        return self._next - 1

    def _url(self, protocol: Protocol, tcp_port: int) -> str:
        secure = "+tls" if self._has_tls else ""
        return f"{_SCHEMES[protocol]}{secure}://{format_reachable(self._bind[0], tcp_port)}"
