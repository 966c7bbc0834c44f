"""Who may connect to a server, how the connection is protected, and how much one may take."""

from __future__ import annotations

import ipaddress
import ssl
from typing import TYPE_CHECKING, Final, TypeAlias

from esploader.classes import frozen
from esploader.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED_NETWORK: Final = ipaddress.IPv6Network("::ffff:0:0/96")


@frozen
class AllowList:
    """Networks whose addresses may connect; without any, every address may."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str], source: str) -> AllowList:
        """Return the list of the networks that ``texts`` name: ``10.0.0.0/8``, ``::1``.

        An IPv4 network in IPv6 form (``::ffff:10.0.0.0/104``) is taken for what it is.

        Raises:
            ConfigError: one of them is no network. The message begins with ``source``.
        """
        networks = []
        for text in texts:
            try:
                network = ipaddress.ip_network(text)
            except ValueError as exc:
                raise ConfigError(source, f"{text!r} is no address or network: {exc}") from exc
            networks.append(_without_mapping(network))
        return cls(tuple(networks))

    def allows(self, address: str) -> bool:
        """Tell whether a client with this address may connect.

        An address in IPv6 form may have a zone (``fe80::1%eth0``), which does not count.
        """
        if not self.networks:
            return True
        try:
            client: Address = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped is not None:
            client = client.ipv4_mapped
        return any(client in network for network in self.networks)


@frozen(kw_only=True)
class Limits:
    """What all clients together, and one of them, may take."""

    connections: int = 256
    """How many connections may be open that do not have a port (yet)."""

    connections_per_address: int = 64
    """The same from one address."""

    handshake_time: float = 10.0
    """For how long a client may take to say something sensible, in seconds."""

    stall_time: float = 60.0
    """For how long a client may take nothing of what the port says, in seconds."""


@frozen(kw_only=True)
class TlsFiles:
    """The files, in PEM format, that make a server speak TLS."""

    cert: Path
    """The certificate of the server, and those between it and its authority."""

    key: Path | None = None
    """The private key; ``None`` when it stands in the same file."""

    client_ca: Path | None = None
    """The authorities whose certificate a client must have; ``None`` when it needs none."""

    def make_context(self) -> ssl.SSLContext:
        """Return what TLS 1.2 and later need.

        Raises:
            ConfigError: a file is missing, or is not what it should be.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        key = self.key or self.cert
        for path in (self.cert, key, self.client_ca):
            if path is not None:
                _require_readable(path)

        def refuse_password() -> bytes:
            # Without this OpenSSL asks the terminal, which a server may not have.
            raise ConfigError(str(key), "the key is encrypted; a server needs one that is not")

        try:
            context.load_cert_chain(self.cert, key, refuse_password)
        except (OSError, ValueError) as exc:
            reason = f"no certificate with its key {key}: {_described(exc)}"
            raise ConfigError(str(self.cert), reason) from exc
        if self.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(cafile=self.client_ca)
            except (OSError, ValueError) as exc:
                reason = f"no certificates of authorities: {_described(exc)}"
                raise ConfigError(str(self.client_ca), reason) from exc
        return context


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches ``host``, which is an address or a name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _without_mapping(network: Network) -> Network:
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED_NETWORK):
        first = network.network_address.ipv4_mapped
        prefix_size = network.prefixlen - _MAPPED_NETWORK.prefixlen
        return ipaddress.IPv4Network(f"{first}/{prefix_size}")
    return network


def _require_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as exc:
        raise ConfigError(str(path), f"it cannot be read: {exc.strerror or exc}") from exc


def _described(exc: Exception) -> str:
    reason = exc.reason if isinstance(exc, ssl.SSLError) else None
    return str(reason or exc)
