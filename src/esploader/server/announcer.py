"""Tells the network where the directory of a server is, by multicast DNS and DNS-SD.

With the addresses at which the server listens, and no others; on the links of these alone.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import ConfigError
from esploader.transport.announcements import MAX_NAME_SIZE, SERVICE_TYPE
from esploader.transport.links import one_for_each_link, require_mdns
from esploader.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

    from esploader.server.journal import Journal
    from esploader.transport.links import Address, LinkAddress

LOOK_PERIOD: Final = 15.0
"""How often to look whether the addresses are still there, or others are, in seconds."""

REGISTRATION_TIME: Final = 15.0
"""For how long a name may be looked for that nobody else on the link has, in seconds."""

_SUFFIX_SIZE: Final = 6
"""What is left of a name for the number that tells it from the same name of others, in bytes."""


def addresses_of(listeners: Iterable[socket.socket]) -> frozenset[Address]:
    """Return where these sockets listen."""
    return frozenset(ipaddress.ip_address(each.getsockname()[0]) for each in listeners)


def require_announceable(bound: Iterable[Address]) -> None:
    """Refuse to announce what nobody would be told of, or what there is no program for.

    Raises:
        ConfigError: all that listens does so for this machine alone, or the extra ``[mdns]`` is not
            installed.
    """
    require_mdns()
    if all(each.is_loopback for each in bound):
        reason = "only this machine reaches the server, so there is nobody to tell: use --bind"
        raise ConfigError("announce", reason)


def addresses_to_announce(
    bound: Collection[Address], local: Iterable[LinkAddress]
) -> tuple[LinkAddress, ...]:
    """Return by which of its addresses, ``local``, this machine is reached where it listens.

    All addresses stand for those that mean something beyond their own link. Loopback is none: it
    would lead whoever is told to a machine of its own.
    """
    wildcards = {each.version for each in bound if each.is_unspecified}
    return tuple(
        each
        for each in local
        if not (each.address.is_loopback or each.needs_zone)
        and (each.address in bound or each.address.version in wildcards)
    )


def name_of(host: str) -> str:
    """Return what a server on that host calls itself."""
    name = f"esploader on {host.partition('.')[0] or 'localhost'}"
    return name.encode()[: MAX_NAME_SIZE - _SUFFIX_SIZE].decode(errors="ignore")


@define(eq=False, kw_only=True)
class Announcer:
    """Announces a directory for as long as it runs. Lives in one loop.

    The network may come later, and its addresses may change.
    """

    _tcp_port: int
    _server: str
    """By which the directory is told from others."""

    _has_tls: bool
    _addresses: Callable[[], tuple[LinkAddress, ...]]
    """Returns with what addresses to announce it just now. Is called in a thread."""

    _journal: Journal
    _on_announced: Callable[[str, tuple[str, ...]], None]
    """Is told under what name, and with what addresses, each time."""

    _look_period: float = LOOK_PERIOD

    _task: asyncio.Task[None] | None = attrs.field(default=None, init=False)
    _network: AsyncZeroconf | None = attrs.field(default=None, init=False)
    _announced: tuple[LinkAddress, ...] | None = attrs.field(default=None, init=False)
    _failure: str | None = attrs.field(default=None, init=False)

    def start(self) -> None:
        """Begin, in the loop that runs."""
        self._task = asyncio.get_running_loop().create_task(self._announce_always())

    async def close(self) -> None:
        """Take the announcement back, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._take_back()

    async def _announce_always(self) -> None:
        while True:
            await self._announce_anew()
            await asyncio.sleep(self._look_period)

    async def _announce_anew(self) -> None:
        """Announce what holds now, if that is not what is announced."""
        from zeroconf import Error

        try:
            addresses = await asyncio.get_running_loop().run_in_executor(None, self._addresses)
            if addresses == self._announced:
                return
            await self._take_back()
            if not addresses:
                self._fail("this machine has no address by which others reach the server")
                return
            await self._announce(addresses)
        except TimeoutError:
            self._fail("somebody on this link has every name")
        except (OSError, RuntimeError, Error) as exc:
            self._fail(str(exc) or repr(exc))

    async def _announce(self, addresses: tuple[LinkAddress, ...]) -> None:
        from zeroconf.asyncio import AsyncZeroconf

        info = self._describe(addresses)
        interfaces = [each.text for each in one_for_each_link(addresses)]
        network = self._network = AsyncZeroconf(interfaces=interfaces)
        async with asyncio.timeout(REGISTRATION_TIME):
            said = await network.async_register_service(info, allow_name_change=True)
        await said
        self._announced, self._failure = addresses, None
        name = info.name.removesuffix(f".{SERVICE_TYPE}")
        texts = tuple(str(each.address) for each in addresses)
        self._journal.note("announced", name=name, addresses=",".join(texts), port=self._tcp_port)
        self._on_announced(name, texts)

    def _describe(self, addresses: tuple[LinkAddress, ...]) -> AsyncServiceInfo:
        from zeroconf.asyncio import AsyncServiceInfo

        return AsyncServiceInfo(
            SERVICE_TYPE,
            f"{name_of(socket.gethostname())}.{SERVICE_TYPE}",
            port=self._tcp_port,
            properties={
                "txtvers": "1",
                "version": __version__,
                "id": self._server,
                "tls": "1" if self._has_tls else "0",
            },
            # A name of our own: that of the host stands for all its addresses.
            server=f"esploader-{self._server}.local.",
            addresses=[each.address.packed for each in addresses],
        )

    async def _take_back(self) -> None:
        from zeroconf import Error

        if self._network is not None:
            # Who is cancelled in there has it closed by the next call.
            with suppress(Error):
                await self._network.async_close()
        self._network = self._announced = None

    def _fail(self, reason: str) -> None:
        """Say once why it is not announced; it is tried again."""
        self._announced = None
        if reason != self._failure:
            self._failure = reason
            self._journal.note("not-announced", level=logging.WARNING, reason=reason)
