"""What a port server is to do, as values, and how a ``ports.toml`` says it.

Everything in the file is checked before anything is opened, and what is wrong with it is
said in one sentence that names the file and the key.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import frozen
from esploader.errors import ConfigError, UnsupportedError
from esploader.server.access import AllowList, Limits, TlsFiles
from esploader.server.credentials import file_named
from esploader.server.discovery import PortSource, chosen_source, read_usb
from esploader.server.recogniser import ResetPolicy
from esploader.server.status_address import StatusAddress, check_names, parse_status
from esploader.server.toml_table import Table, read_table
from esploader.server.turn_rules import TurnRules
from esploader.transport.network_url import DIRECTORY_PORT, MAX_TCP_PORT
from esploader.transport.reset import parse_custom

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

DEFAULT_TCP_PORT: Final = 2217
"""Of the first serial port; the next ones follow."""

LOOPBACK: Final = ("127.0.0.1", "::1")
"""The addresses that only this machine reaches."""

MAX_PORTS: Final = 1024
"""More serial ports than that are refused."""


@enum.unique
class Protocol(enum.Enum):
    """What is spoken on a TCP port."""

    RFC2217 = "rfc2217"
    RAW = "raw"


@frozen(kw_only=True)
class PortConfig:
    """One serial port to serve."""

    source: PortSource
    """How to find it."""

    name: str | None = None
    """What to call it; by default its device name, URL, or USB identity."""

    tcp_port: int | None = None
    """0 for any free one; ``None`` for the one behind the last."""

    watch_port: int | None = None
    """The TCP port at which others listen to it; 0 for any free one, ``None`` for none."""

    takeover: bool | None = None
    """Others may take it over; ``None`` for what holds for all ports."""

    protocol: Protocol = Protocol.RFC2217
    reset: ResetPolicy = attrs.field(factory=ResetPolicy)

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return self.name or str(self.source)


@frozen(kw_only=True)
class ServerConfig:
    """Everything that a port server is told."""

    ports: tuple[PortConfig, ...] = ()
    new_ports: PortConfig | None = None
    """How to serve USB ports that nobody named, as soon as they appear; ``None`` not to.
    Its ``source`` means nothing."""

    tcp_port: int = DEFAULT_TCP_PORT
    """Of the first serial port that names none; 0 for any free one each."""

    directory_port: int | None = None
    """Where clients ask for ports by their names; 0 for any free one, ``None`` for nowhere."""

    announce: bool = False
    """The network is told where the directory is, which there is for that."""

    bind: tuple[str, ...] = LOOPBACK
    allow: AllowList = attrs.field(factory=AllowList)
    tls: TlsFiles | None = None
    limits: Limits = attrs.field(factory=Limits)
    takeover: bool = False
    """Ports may be taken over from clients that do nothing with them."""

    token_file: Path | None = None
    """What may take them over at any time knows what is in this file."""

    status: StatusAddress | None = None
    """Where a page says who has which port; ``None`` for nowhere."""

    status_names: tuple[str, ...] = ()
    """What that is called besides its address, in small letters."""

    def rules_of(self, port: PortConfig, token: bytes | None) -> TurnRules:
        """Return who may take a port over."""
        takeover = self.takeover if port.takeover is None else port.takeover
        return TurnRules(takeover=takeover, token=token)


def read_config(path: Path) -> ServerConfig:
    """Return what the file says. Names of files in it start at its own directory.

    Raises:
        ConfigError: it cannot be read, or something in it makes no sense.
    """
    return _read_document(read_table(path), path.parent)


def parse_reset(text: str, source: str) -> ResetPolicy:
    """Return what ``on``, ``off``, ``r0`` or a custom sequence means.

    Raises:
        ConfigError: it is none of these. The message begins with ``source``.
    """
    match text.strip().lower():
        case "on":
            return ResetPolicy()
        case "off":
            return ResetPolicy(is_recognised=False)
        case "r0":
            return ResetPolicy(long_strap_delay=True)
    try:
        return ResetPolicy(download_mode=parse_custom(text))
    except UnsupportedError as exc:
        raise ConfigError(source, f"neither on, off nor r0, and {exc}") from exc


def with_directory(config: ServerConfig) -> ServerConfig:
    """Return ``config`` with a directory where it is to be announced and has none."""
    if not config.announce or config.directory_port is not None:
        return config
    return attrs.evolve(config, directory_port=DIRECTORY_PORT)


def require_distinct(ports: Iterable[PortConfig], source: str) -> None:
    """Refuse two things under one TCP port, and the same port twice.

    Raises:
        ConfigError: that is so. The message begins with ``source``.
    """
    names: dict[int, str] = {}
    sources: set[PortSource] = set()
    for port in ports:
        if port.source in sources:
            raise ConfigError(source, f"the port {port.source} is there twice")
        sources.add(port.source)
        if len(sources) > MAX_PORTS:
            raise ConfigError(source, f"more than {MAX_PORTS} ports")
        watching = f"whoever watches {port.label}"
        for number, name in ((port.tcp_port, port.label), (port.watch_port, watching)):
            if number and number in names:
                both = f"both {names[number]} and {name}"
                raise ConfigError(source, f"tcp-port {number} is given to {both}")
            if number:
                names[number] = name


def _read_document(table: Table, folder: Path) -> ServerConfig:
    defaults = ServerConfig()
    first = table.number("tcp-port", defaults.tcp_port, 0, MAX_TCP_PORT)
    directory_port = table.number("directory-port", None, 0, MAX_TCP_PORT)
    announce = table.flag("announce", default=False)
    bind = table.texts("bind")
    allow = table.texts("allow")
    tls = table.table("tls")
    limits = table.table("limits")
    takeover = table.flag("takeover", default=False)
    token_file = table.text("token-file")
    status = table.number_or_text("status", MAX_TCP_PORT)
    status_names = table.texts("status-names")
    new_ports = table.table("new-ports")
    ports = tuple(_read_port(each) for each in table.tables("port"))
    table.refuse_others()
    require_distinct(ports, table.place)
    return ServerConfig(
        ports=ports,
        new_ports=None if new_ports is None else _read_new_ports(new_ports),
        tcp_port=defaults.tcp_port if first is None else first,
        directory_port=directory_port,
        announce=announce,
        bind=bind or defaults.bind,
        allow=AllowList.parse(allow or (), table.where("allow")),
        tls=None if tls is None else _read_tls(tls, folder),
        limits=defaults.limits if limits is None else _read_limits(limits),
        takeover=takeover,
        token_file=(
            None
            if token_file is None
            else file_named(token_file, folder, table.where("token-file"))
        ),
        status=None if status is None else parse_status(str(status), table.where("status")),
        status_names=check_names(status_names or (), table.where("status-names")),
    )


def _read_port(table: Table) -> PortConfig:
    device = table.text("device")
    usb = read_usb(table)
    name = table.text("name")
    tcp_port = table.number("tcp-port", None, 0, MAX_TCP_PORT)
    watch_port = table.number("watch-port", None, 0, MAX_TCP_PORT)
    protocol, reset, takeover = _read_manner(table)
    table.refuse_others()
    return PortConfig(
        source=chosen_source(device, usb, table.place),
        name=name,
        tcp_port=tcp_port,
        watch_port=watch_port,
        takeover=takeover,
        protocol=protocol,
        reset=reset,
    )


def _read_new_ports(table: Table) -> PortConfig:
    protocol, reset, takeover = _read_manner(table)
    table.refuse_others()
    return PortConfig(source="", protocol=protocol, reset=reset, takeover=takeover)


def _read_manner(table: Table) -> tuple[Protocol, ResetPolicy, bool | None]:
    protocol = table.text("protocol") or Protocol.RFC2217.value
    reset = table.text("reset") or "on"
    takeover = table.flag("takeover", default=None)
    try:
        return Protocol(protocol), parse_reset(reset, table.where("reset")), takeover
    except ValueError:
        choices = " nor ".join(each.value for each in Protocol)
        raise ConfigError(table.where("protocol"), f"{protocol!r} is neither {choices}") from None


def _read_tls(table: Table, folder: Path) -> TlsFiles:
    names = {key: table.text(key) for key in ("cert", "key", "client-ca")}
    table.refuse_others()
    paths = {
        key: file_named(name, folder, table.where(key))
        for key, name in names.items()
        if name is not None
    }
    if "cert" not in paths:
        raise ConfigError(table.where("cert"), "it is missing")
    return TlsFiles(cert=paths["cert"], key=paths.get("key"), client_ca=paths.get("client-ca"))


def _read_limits(table: Table) -> Limits:
    defaults = Limits()
    limits = Limits(
        connections=table.count("connections", defaults.connections),
        connections_per_address=table.count(
            "connections-per-address", defaults.connections_per_address
        ),
        handshake_time=table.seconds("handshake-time", defaults.handshake_time),
        stall_time=table.seconds("stall-time", defaults.stall_time),
    )
    table.refuse_others()
    return limits
