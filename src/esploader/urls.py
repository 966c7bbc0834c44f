"""From what a person writes as a port to a transport."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from esploader.errors import PortNotFoundError, TransportError, UrlError
from esploader.transport.base import DEFAULT_BAUDRATE, Transport
from esploader.transport.hwgrep import is_hwgrep

if TYPE_CHECKING:
    from collections.abc import Callable

    import serial

    from esploader.transport.ports import PortInfo


def open_transport(
    port: str | os.PathLike[str] | Transport | serial.SerialBase,
    *,
    baudrate: int = DEFAULT_BAUDRATE,
) -> Transport:
    """Open ``port`` at ``baudrate`` and return the transport to it.

    A name or URL is opened: ``rfc2217://``, ``rfc2217+tls://``, ``socket://``, ``ssh://``
    and ``sim://`` by our own clients, any other by pyserial. A transport is returned as it
    is, and an open port of pyserial is wrapped; it stays the caller's.

    Raises:
        UrlError: the URL makes no sense.
        TransportError: the port cannot be opened.
    """
    if isinstance(port, Transport):
        return port
    if isinstance(port, os.PathLike):
        port = os.fspath(port)
    if not isinstance(port, str):
        if not hasattr(port, "is_open"):
            raise UrlError(repr(port), "it is neither a name nor an open port")
        # pyserial takes longer to import than everything else here.
        from esploader.transport.serial_port import SerialPortTransport

        return SerialPortTransport.from_port(port)
    if not port:
        raise UrlError(port, "it is empty")
    scheme, separator, _ = port.partition("://")
    opener = _OPENERS.get(scheme.lower(), _open_serial_port) if separator else _open_serial_port
    return opener(port, baudrate)


def reopen_transport(
    port: str,
    first: PortInfo | None,
    *,
    ports: Callable[[], list[PortInfo]] | None = None,
    open_port: Callable[[str], Transport] = open_transport,
) -> Transport:
    """Open ``port`` again, at the usual rate, and never another board than the one it was.

    ``first`` is what it was on USB, where that is known. A board that was away may come back
    under another name, and its name may have gone to another board.

    Raises:
        PortNotFoundError: another board has its name.
        TransportError: the port cannot be opened.
    """
    if first is None:
        return open_port(port)
    from esploader.transport.ports import described, is_same_device, list_ports

    listed = (ports or list_ports)()
    same = [each for each in listed if is_same_device(first, each)]
    # Clones have the same serial number, and the ports of one device may look alike.
    same = [each for each in same if each.location == first.location] or same
    same = [each for each in same if each.device == first.device] or same
    if len(same) == 1:
        (found,) = same
        return open_port(
            port if found.device == first.device and not is_hwgrep(port) else found.device
        )
    if same:
        others = ", ".join(map(described, same))
        raise PortNotFoundError(
            port, f"which of these is {described(first)} cannot be told: {others}"
        )
    now = next((each for each in listed if each.device == first.device), None)
    if now is not None and now.vid is not None:
        reason = f"{described(first)} is gone; another board has its name: {described(now)}"
        raise PortNotFoundError(port, reason)
    return open_port(first.device)


def check_url(port: str) -> None:
    """Refuse what can never be opened; what is only not there may come.

    Raises:
        UrlError: ``port`` is a URL and makes no sense.
    """
    scheme, separator, _ = port.partition("://")
    match scheme.lower() if separator else "":
        case "":
            pass
        case "sim":
            from esploader.simulator.url import parse

            parse(port)
        case "rfc2217" | "rfc2217+tls":
            from esploader.transport.rfc2217_url import parse_rfc2217_url

            parse_rfc2217_url(port)
        case "socket":
            from esploader.transport.tcp import parse_socket_url

            parse_socket_url(port)
        case "ssh":
            from esploader.transport.ssh_url import parse_ssh_url

            parse_ssh_url(port)
        case _:
            from esploader.transport.serial_port import prepare

            with suppress(TransportError):
                prepare(port)


def _open_serial_port(port: str, baudrate: int) -> Transport:
    from esploader.transport.serial_port import SerialPortTransport

    return SerialPortTransport.open(port, baudrate=baudrate)


def _open_rfc2217(url: str, baudrate: int) -> Transport:
    from esploader.transport.rfc2217 import Rfc2217Transport

    return Rfc2217Transport.open(url, baudrate=baudrate)


def _open_socket(url: str, baudrate: int) -> Transport:  # noqa: ARG001 - has no baud rate
    from esploader.transport.tcp import SocketTransport

    return SocketTransport.open(url)


def _open_ssh(url: str, baudrate: int) -> Transport:
    from esploader.transport.ssh import open_ssh

    return open_ssh(url, baudrate=baudrate)


def _open_simulator(url: str, baudrate: int) -> Transport:
    from esploader.simulator.url import open_simulated

    return open_simulated(url, baudrate=baudrate)


_OPENERS: Final[dict[str, Callable[[str, int], Transport]]] = {
    "rfc2217": _open_rfc2217,
    "rfc2217+tls": _open_rfc2217,
    "socket": _open_socket,
    "ssh": _open_ssh,
    "sim": _open_simulator,
}
