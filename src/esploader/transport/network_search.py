"""Port servers that announce themselves on the network, and what ports they have.

Who is found is asked as any other server is (:mod:`esploader.transport.directory`). That somebody
announces something on a link says where to look, and is no reason to trust it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import threading
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, frozen
from esploader.errors import EsploaderError, HostUnreachableError
from esploader.transport.announcements import MDNS, listen
from esploader.transport.clock import RealClock
from esploader.transport.directory import ask_directory, parse_directory
from esploader.transport.links import local_addresses, require_mdns
from esploader.transport.rfc2217_url import SCHEME, TLS_SUFFIX
from esploader.transport.turns import printable

if TYPE_CHECKING:
    from collections.abc import Collection

    from esploader.transport.announcements import Announcement
    from esploader.transport.directory import RemotePort
    from esploader.transport.links import Address, LinkAddress

SEARCH_TIME: Final = 3.0
"""For how long servers are listened for, in seconds: they may take one to answer, and what gets
lost is asked again."""

ASKING_TIME: Final = 5.0
"""For how long all that were found together may take to tell their ports, in seconds."""

MAX_TRIES: Final = 4
"""At more addresses a server is not asked."""


@frozen(kw_only=True)
class FoundServer:
    """A port server that was found on the network. All of it is what it says itself."""

    name: str
    """What it calls itself."""

    url: str
    """Where its directory is."""

    version: str | None
    """Its version of esploader; ``None`` where it says none."""

    has_tls: bool
    """It speaks TLS."""

    ports: tuple[RemotePort, ...] = attrs.field(repr=lambda ports: f"<{len(ports)}>")
    """Its ports, in its order."""

    failure: str | None
    """Why its ports are not known; ``None`` when they are."""


def find_servers(
    seconds: float = SEARCH_TIME, *, addresses: Collection[str] | None = None
) -> list[FoundServer]:
    """Return the servers that announce themselves within ``seconds``, by their names.

    All of them are asked for their ports, for :data:`ASKING_TIME` at most; a server that is on no
    link of this machine is not. One with TLS tells them if its certificate is for its address, and
    is trusted by this machine, and it wants none of us.

    ``addresses`` of this machine are where to look from; by default all by which it reaches others.
    It may not be called in a running loop of asyncio.

    Raises:
        ConfigError: the extra ``[mdns]`` is not installed.
        HostUnreachableError: there is no network that can be asked.
        ValueError: ``seconds`` is no positive number.
    """
    if not 0 < seconds < float("inf"):
        raise ValueError(f"seconds has to be a positive number, not {seconds}")
    require_mdns()
    links = _links(addresses)
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        heard = runner.run(listen(seconds, links))
    inquiries = [_Inquiry.about(each, links) for each in heard]
    _make_all([each for each in inquiries if each is not None])
    found = [each.found for each in inquiries if each is not None]
    return sorted(found, key=lambda each: (each.name, each.url))


def _links(addresses: Collection[str] | None) -> list[LinkAddress]:
    try:
        local = local_addresses()
    except OSError as exc:
        raise HostUnreachableError(MDNS, f"this machine does not tell its networks: {exc}") from exc
    if addresses is None:
        links = [each for each in local if not each.address.is_loopback]
    else:
        links = [each for each in local if each.text in addresses]
    if not links:
        reason = "this machine is on no network" if addresses is None else "no such address here"
        raise HostUnreachableError(MDNS, reason)
    return links


@define(eq=False)
class _Inquiry:
    """A server that is asked for its ports."""

    _heard: Announcement
    _addresses: tuple[Address, ...]
    """Where it is on a link of this machine."""

    found: FoundServer
    """What is known of it so far. Another thread may be about to change that."""

    @classmethod
    def about(cls, heard: Announcement, links: list[LinkAddress]) -> _Inquiry | None:
        """Return how to ask a server; ``None`` where it names nothing but this machine."""
        near = [each for each in heard.addresses if _is_on_link(each, links)]
        # By IPv4 wherever that will do: it has no zones, and certificates name it more often.
        near.sort(key=lambda each: (each.version, each.is_link_local))
        elsewhere = [each for each in heard.addresses if not each.is_loopback]
        if not near and not elsewhere:
            return None
        found = FoundServer(
            name=heard.name,
            url=_url(heard, (near or elsewhere)[0]),
            version=heard.version,
            has_tls=heard.has_tls,
            ports=(),
            failure=(
                f"it did not answer within {ASKING_TIME:g} s"
                if near
                else "it is on no link of this machine, and was not asked"
            ),
        )
        return cls(heard, tuple(near[:MAX_TRIES]), found)

    @property
    def is_to_be_made(self) -> bool:
        """There is somewhere to ask."""
        return bool(self._addresses)

    def make(self) -> None:
        """Ask at one address after the other until the server is there."""
        found = self.found
        for address in self._addresses:
            url = _url(self._heard, address)
            try:
                answer = ask_directory(parse_directory(url), timeout=ASKING_TIME)
            except EsploaderError as exc:
                failure = printable(str(exc))
            else:
                # The same address may be another machine's on another link, or ours.
                if answer.server == self._heard.server:
                    self.found = attrs.evolve(found, url=url, ports=answer.ports, failure=None)
                    return
                failure = f"{url}: another server is there"
            self.found = attrs.evolve(found, failure=failure)


def _make_all(inquiries: list[_Inquiry]) -> None:
    """Make all at the same time. Those that take too long end later on, by themselves."""
    threads = [
        threading.Thread(target=each.make, daemon=True) for each in inquiries if each.is_to_be_made
    ]
    for thread in threads:
        thread.start()
    clock = RealClock()
    deadline = clock.now() + ASKING_TIME
    for thread in threads:
        thread.join(max(0.0, deadline - clock.now()))


def _is_on_link(address: Address, links: list[LinkAddress]) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address.is_link_local:
        # Every link has this network; only the zone says which is meant.
        return address.scope_id in {str(each.interface) for each in links}
    return any(address in each.network for each in links)


def _url(heard: Announcement, address: Address) -> str:
    suffix = TLS_SUFFIX if heard.has_tls else ""
    host = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004
    return f"{SCHEME}{suffix}://{host}:{heard.tcp_port}"
