"""What port servers say of themselves on the network, by multicast DNS and DNS-SD.

RFC 6762 and RFC 6763, by zeroconf, of the extra ``[mdns]``. An announcement says where the
directory of a server is (:mod:`esploader.transport.directory`). Anybody on a link can announce
anything there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from esploader.classes import frozen
from esploader.errors import HostUnreachableError
from esploader.transport.links import LinkAddress, one_for_each_link
from esploader.transport.network_url import MAX_TCP_PORT
from esploader.transport.turns import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroconf import ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncServiceInfo

    from esploader.transport.links import Address

SERVICE_TYPE: Final = "_esploader._tcp.local."
"""The directory of a port server."""

MDNS: Final = "mDNS"
"""What error messages call the network."""

MAX_NAME_SIZE: Final = 63
"""Of what a server calls itself, in bytes: a label of DNS (RFC 1035)."""

MAX_SERVERS: Final = 64
"""More servers are not looked at: who announces thousands means no good."""

MAX_ADDRESSES: Final = 16
"""More addresses of one server are not looked at."""

_RESOLVING_TIME: Final = 1.0
"""For how long a server may take to say where it is, once it has said its name, in seconds."""

_MAX_TEXT_SIZE: Final = 32
"""What is longer in a TXT record is cut, in bytes."""


@frozen(kw_only=True)
class Announcement:
    """What a server says of itself, as far as it makes sense."""

    name: str
    """What it calls itself."""

    addresses: tuple[Address, ...]
    """One at least. Those for the link alone have their zone."""

    tcp_port: int
    """Of its directory."""

    version: str | None
    """Its version of esploader; ``None`` where it says none."""

    server: str | None
    """By which its directory is told from others; ``None`` where it says nothing of it."""

    has_tls: bool


async def listen(seconds: float, links: list[LinkAddress]) -> list[Announcement]:
    """Ask on these links, and return what servers say within ``seconds``, in the order of answers.

    Raises:
        HostUnreachableError: the network cannot be asked.
    """
    from zeroconf import Error
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

    names = Names()
    try:
        network = AsyncZeroconf(interfaces=[each.text for each in one_for_each_link(links)])
    except (OSError, RuntimeError, Error) as exc:
        raise HostUnreachableError(MDNS, f"the network cannot be asked: {exc}") from exc
    try:
        await network.zeroconf.async_wait_for_start()
        browser = AsyncServiceBrowser(network.zeroconf, SERVICE_TYPE, handlers=[names.change])
        await asyncio.sleep(seconds)
        await browser.async_cancel()
        answers = await asyncio.gather(*(_resolve(network.zeroconf, each) for each in names.known))
    except Error as exc:
        raise HostUnreachableError(MDNS, f"the network cannot be asked: {exc!r}") from exc
    finally:
        await network.async_close()
    return [each for each in answers if each is not None]


class Names:
    """Names of servers as they are heard, and no more of them than are looked at."""

    def __init__(self) -> None:
        self.known: dict[str, None] = {}

    def change(
        self,
        zeroconf: Zeroconf,  # noqa: ARG002 - it is called by these names
        service_type: str,  # noqa: ARG002
        name: str,
        state_change: ServiceStateChange,
    ) -> None:
        """Take note of a server that comes, says something else, or leaves."""
        if state_change.name == "Removed":
            self.known.pop(name, None)
        elif len(self.known) < MAX_SERVERS:
            self.known[name] = None


async def _resolve(zeroconf: Zeroconf, name: str) -> Announcement | None:
    """Return what the server of that name says; ``None`` where it makes no sense."""
    from zeroconf import Error
    from zeroconf.asyncio import AsyncServiceInfo

    try:
        info = AsyncServiceInfo(SERVICE_TYPE, name)
        await info.async_request(zeroconf, _RESOLVING_TIME * 1000)
    except Error:
        return None
    return read_announcement(info)


def read_announcement(info: AsyncServiceInfo) -> Announcement | None:
    """Return what a server says, with nothing in it that could do harm to a terminal.

    ``None`` where it makes no sense: it says no address, or none that a host has, or no TCP port.
    """
    from zeroconf import IPVersion

    addresses = [
        each
        for each in info.ip_addresses_by_version(IPVersion.All)[:MAX_ADDRESSES]
        if not (each.is_unspecified or each.is_multicast or each.is_reserved)
    ]
    if not addresses or not info.port or not 0 < info.port <= MAX_TCP_PORT:
        return None
    return Announcement(
        name=printable(info.get_name()),
        addresses=tuple(addresses),
        tcp_port=info.port,
        version=_text(info.properties, b"version"),
        server=_text(info.properties, b"id"),
        has_tls=info.properties.get(b"tls") == b"1",
    )


def _text(properties: Mapping[bytes, bytes | None], key: bytes) -> str | None:
    value = properties.get(key)
    if not value:
        return None
    return printable(value[:_MAX_TEXT_SIZE].decode("utf-8", "replace"))
