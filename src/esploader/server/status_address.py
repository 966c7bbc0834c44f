"""Where the status page of a port server is found, as values and as people write it."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from esploader.classes import frozen
from esploader.errors import ConfigError
from esploader.transport.network_url import MAX_TCP_PORT

DEFAULT_STATUS_PORT: Final = 22218
"""The one behind that of names; IANA has assigned it to nobody."""

MAX_NAME_SIZE: Final = 253
"""Of the name of a host, in characters."""

_WITH_PORT: Final = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^\[\]:/]*)):(?P<port>\d{1,5})")
_HOST_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")


@frozen(kw_only=True)
class StatusAddress:
    """What a status page listens on."""

    host: str | None = None
    """An address; ``None`` for those that only this machine reaches."""

    port: int = DEFAULT_STATUS_PORT
    """0 for any free one."""


def parse_status(text: str, source: str) -> StatusAddress:
    """Return what ``ADDRESS:PORT`` means, of which either may be left out.

    ``localhost`` stands for what only this machine reaches, and so does no address.

    Raises:
        ConfigError: it makes no sense. The message begins with ``source``.
    """
    host, port = text.strip(), DEFAULT_STATUS_PORT
    if host.isdecimal():
        host = f"localhost:{host}"
    with_port = _WITH_PORT.fullmatch(host)
    if with_port is not None:
        host, port = with_port["v6"] or with_port["host"] or "", int(with_port["port"])
        if not host:
            reason = f"{text!r} has no address in front of its port; 0.0.0.0 and [::] are all"
            raise ConfigError(source, reason)
    if port > MAX_TCP_PORT:
        raise ConfigError(source, f"there is no TCP port {port}")
    if host in {"", "localhost"}:
        return StatusAddress(port=port)
    if host[0] == "[" and host[-1] == "]":
        host = host[1:-1]
    try:
        address = ipaddress.ip_address(host)
    except ValueError as exc:
        reason = f"{text!r} is no ADDRESS:PORT; an address is one of this machine, in numbers"
        raise ConfigError(source, reason) from exc
    return StatusAddress(host=str(address), port=port)


def check_names(names: tuple[str, ...], source: str) -> tuple[str, ...]:
    """Return names of hosts as they are compared: in small letters.

    Raises:
        ConfigError: one of them is none. The message begins with ``source``.
    """
    for name in names:
        if len(name) > MAX_NAME_SIZE or not _HOST_NAME.fullmatch(name):
            raise ConfigError(source, f"{name!r} is no name of a host")
    return tuple(name.lower() for name in names)
