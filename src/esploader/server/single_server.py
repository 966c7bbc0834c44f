"""One serial port for one client, which is there from the beginning, at two descriptors.

Who may use the port is up to whoever runs us there: ssh, for one. To the client it is as if it had
connected by TCP. When it leaves, or the descriptors end, so does the server.
"""

from __future__ import annotations

import asyncio
import functools
from contextlib import AsyncExitStack
from typing import IO, TYPE_CHECKING, Final

from esploader.classes import override
from esploader.errors import TransportError
from esploader.server.access import AllowList, Limits
from esploader.server.claims import Claims
from esploader.server.config import Protocol
from esploader.server.connection import Connection
from esploader.server.door import Door
from esploader.server.journal import Journal
from esploader.server.opening import Opener, has_looked, remarks_in
from esploader.server.runner import Runner
from esploader.server.station import Station
from esploader.transport.clock import RealClock
from esploader.transport.descriptors import Descriptors
from esploader.transport.greeting import GREETING, refusing
from esploader.urls import check_url

if TYPE_CHECKING:
    from esploader.server.config import PortConfig

CLIENT: Final = "stdin"
"""What the log calls the client."""

LAST_WORDS_TIME: Final = 1.0
"""For how long the client may take to read what was said last, in seconds."""


class SingleServer(Runner):
    """Serves a port to the client that writes ``source`` and reads ``sink``."""

    def __init__(self, port: PortConfig, source: IO[bytes], sink: IO[bytes]) -> None:
        """Prepare to serve; both streams are ours from now on, and have no buffer.

        A port that is not to be had is not waited for: :meth:`run` raises why.

        Raises:
            UrlError: the port can never be there.
        """
        super().__init__()
        if isinstance(port.source, str):
            check_url(port.source)
        self._port = port
        self._source = source
        self._sink = sink

    @override
    async def _serve(self, stopping: asyncio.Event) -> None:
        port, limits, journal = self._port, Limits(), Journal(RealClock())
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(journal.fault)
        claims = Claims()
        claims.remark = remarks_in(journal)
        claims.add(port.source, port.label)
        station = Station(port.label, journal=journal, policy=port.reset)
        door = Door(journal, AllowList(), limits)
        async with AsyncExitStack() as stack:
            opener = Opener(claims)
            stack.callback(opener.close)
            stack.push_async_callback(door.close)
            stack.push_async_callback(station.close)
            station.find(functools.partial(opener.open, port.source))
            await has_looked(station)
            # A client that takes nothing any more is gone, whatever it has sent.
            descriptors = Descriptors.joined(self._source, self._sink, on_end=self.stop)
            reason = station.why_not()
            if reason is None:
                descriptors.socket.send(GREETING)
                connection = Connection(
                    CLIENT, station, Protocol.RFC2217, limits=limits, journal=journal
                )
                door.let_in(descriptors.socket, CLIENT, connection)
                await stopping.wait()
            else:
                descriptors.socket.send(refusing(reason))
                descriptors.socket.close()
                self._fail(_failure(station, reason))
        await loop.run_in_executor(None, descriptors.finish, LAST_WORDS_TIME)


def _failure(station: Station, reason: str) -> TransportError:
    missing = station.missing
    return missing if isinstance(missing, TransportError) else TransportError(station.label, reason)
