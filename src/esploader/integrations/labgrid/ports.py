"""From the port of a place to what is opened for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labgrid.resource import SerialPort
from labgrid.util.proxy import proxymanager

from esploader.errors import UnsupportedError

if TYPE_CHECKING:
    from labgrid.resource import Resource


def url_of(port: Resource) -> str:
    """Return the name or URL of ``port``: behind the proxy, where there is one.

    Raises:
        UnsupportedError: it is served by a protocol that we do not speak.
    """
    if isinstance(port, SerialPort):
        return str(port.port)
    host, number = proxymanager.get_host_and_port(port)
    where = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
    match port.protocol:
        case "rfc2217":
            # For other programs that are told this URL. Ours never waits for that.
            return f"rfc2217://{where}?ign_set_control"
        case "raw":
            return f"socket://{where}"
        case other:
            raise UnsupportedError(f"the protocol {other!r} of a port", "it is rfc2217 or raw")
