"""The addresses of this machine, and which hosts are on a link with it.

Needs the extra ``[mdns]``: the standard library does not tell in which networks a machine is.
"""

from __future__ import annotations

import importlib.util
import ipaddress
from typing import TYPE_CHECKING, Final, TypeAlias

from esploader.classes import frozen
from esploader.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_MODULES: Final = ("ifaddr", "zeroconf")


@frozen(kw_only=True)
class LinkAddress:
    """An address that this machine has on one of its links."""

    address: Address
    """Without a zone."""

    network: Network
    """What is reached from it without a router."""

    interface: int
    """The number that the system gives the network interface."""

    @property
    def needs_zone(self) -> bool:
        """It means nothing without its link: every link has that network."""
        return isinstance(self.address, ipaddress.IPv6Address) and self.address.is_link_local

    @property
    def text(self) -> str:
        """The address as a person writes it, with its zone if it needs one."""
        return f"{self.address}%{self.interface}" if self.needs_zone else str(self.address)


def require_mdns() -> None:
    """Refuse to do what needs the extra where it is not installed.

    Raises:
        ConfigError: it is not.
    """
    for name in _MODULES:
        if importlib.util.find_spec(name) is None:
            raise ConfigError("mDNS", f"{name} is not installed: pip install 'esploader[mdns]'")


def local_addresses() -> list[LinkAddress]:
    """Return the addresses of this machine, in the order of the system, loopback included.

    Raises:
        OSError: the system does not tell.
    """
    import ifaddr

    found = []
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            host = each.ip if isinstance(each.ip, str) else each.ip[0].partition("%")[0]
            network = ipaddress.ip_network(f"{host}/{each.network_prefix}", strict=False)
            found.append(
                LinkAddress(
                    address=ipaddress.ip_address(host),
                    network=network,
                    interface=adapter.index or 0,
                )
            )
    return found


def one_for_each_link(addresses: Iterable[LinkAddress]) -> list[LinkAddress]:
    """Return the first of the addresses of each link, by IPv4 and by IPv6.

    Of those by IPv6 one that is for the link alone goes first: it is always there.
    """
    chosen: dict[tuple[int, int], LinkAddress] = {}
    for each in sorted(addresses, key=lambda each: not each.address.is_link_local):
        chosen.setdefault((each.interface, each.address.version), each)
    return [*chosen.values()]
