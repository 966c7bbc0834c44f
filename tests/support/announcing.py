"""A server that the network is told of, on the loopback of this machine or on its network."""

from __future__ import annotations

import contextlib
import ipaddress
import queue
from typing import TYPE_CHECKING, TypeVar

from typing_extensions import override

from esploader.server.announcer import LOOK_PERIOD, Announcer
from esploader.server.journal import Journal
from esploader.server.runner import Runner
from esploader.transport.clock import RealClock
from esploader.transport.links import LinkAddress, local_addresses
from peers import do_without

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Iterator

LOOPBACK = LinkAddress(
    address=ipaddress.ip_address("127.0.0.1"),
    network=ipaddress.ip_network("127.0.0.0/8"),
    interface=1,
)

PATIENCE = 20.0
"""When to give up waiting for an announcement, in seconds."""

SEARCH_TIMES = (0.4, 2.0, 8.0)
"""For how long to look for servers, in seconds: longer where a busy machine lets them wait."""

T = TypeVar("T")


def found_in_time(find: Callable[[float], T]) -> T:
    """Return what ``find`` returns within one of these times: the last has to do."""
    for seconds in SEARCH_TIMES[:-1]:
        with contextlib.suppress(LookupError):
            return find(seconds)
    return find(SEARCH_TIMES[-1])


class Announcing(Runner):
    """Announces a directory on loopback, in a thread."""

    def __init__(
        self,
        tcp_port: int,
        server: str,
        *,
        has_tls: bool = False,
        addresses: Iterable[LinkAddress] = (LOOPBACK,),
        look_period: float = LOOK_PERIOD,
    ) -> None:
        super().__init__()
        self._addresses = addresses
        self._look_period = look_period
        self._has_tls = has_tls
        self._tcp_port = tcp_port
        self._server = server
        self._names: queue.Queue[str] = queue.Queue()
        self.name = ""
        """What it calls itself."""

    @override
    async def _serve(self, stopping: asyncio.Event) -> None:
        announcer = Announcer(
            tcp_port=self._tcp_port,
            server=self._server,
            has_tls=self._has_tls,
            addresses=lambda: tuple(self._addresses),
            look_period=self._look_period,
            journal=Journal(RealClock()),
            on_announced=lambda name, _: self._names.put(name),
        )
        announcer.start()
        await stopping.wait()
        await announcer.close()

    def wait(self) -> None:
        """Wait until the network knows it."""
        self.name = self._names.get(timeout=PATIENCE)


@contextlib.contextmanager
def announcing(tcp_port: int, server: str, *, has_tls: bool = False) -> Iterator[Announcing]:
    """Announce a directory on loopback."""
    with Announcing(tcp_port, server, has_tls=has_tls) as made:
        made.start()
        made.wait()
        yield made


def own_address() -> str:
    """Return an address by which others reach this machine; skip the test where it has none."""
    found = [
        each.text
        for each in local_addresses()
        if each.address.version == 4 and not each.address.is_loopback
    ]
    return found[0] if found else do_without("this machine is on no network")
