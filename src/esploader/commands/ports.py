"""The command ``ports``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.commands.values import search_time

if TYPE_CHECKING:
    import argparse

    from esploader.commands.output import Json, Output
    from esploader.transport.directory import RemotePort
    from esploader.transport.ports import PortInfo


SEARCH_TIME: Final = 3.0


def _add_ports(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--at",
        metavar="HOST",
        help="those of a server that tells the names of its ports: HOST, HOST:PORT, or "
        "rfc2217+tls://HOST (default: those of this machine)",
    )
    where.add_argument(
        "--find",
        nargs="?",
        type=search_time,
        const=SEARCH_TIME,
        metavar="SECONDS",
        help="those of all servers that the network tells of within that time "
        f"(default without SECONDS: {SEARCH_TIME:g})",
    )


def _ports(arguments: argparse.Namespace, output: Output) -> None:
    if arguments.at is not None:
        _remote_ports(arguments.at, output)
        return
    if arguments.find is not None:
        _found_ports(arguments.find, output)
        return
    from esploader.transport.ports import list_ports

    found = list_ports()
    document: list[Json] = []
    for port in found:
        output.line("  ".join(word for word in _words(port) if word))
        document.append(
            {
                "device": port.device,
                "description": port.description,
                "vid": port.vid,
                "pid": port.pid,
                "serial_number": port.serial_number,
                "location": port.location,
            }
        )
    if not found:
        output.note("no serial port was found")
    output.finish(document)


def _remote_ports(host: str, output: Output) -> None:
    """List the ports of a server.

    Raises:
        UrlError: ``host`` makes no sense.
        TransportError: it does not answer as a directory of ports.
    """
    import attrs

    from esploader.transport.directory import list_remote_ports, parse_directory

    found = list_remote_ports(parse_directory(host))
    for port in found:
        output.line("  ".join(_words_of_remote(port)))
    if not found:
        output.note("the server has no ports")
    output.finish([attrs.asdict(port) for port in found])


def _found_ports(seconds: float, output: Output) -> None:
    """List the ports of all servers that announce themselves within so many seconds.

    Raises:
        ConfigError: the extra for that is not installed.
        HostUnreachableError: there is no network.
    """
    import attrs

    from esploader.transport.network_search import find_servers

    found = find_servers(seconds)
    for server in found:
        output.line(f"{server.name}  {server.url}")
        for port in server.ports:
            output.line("  ".join(("", *_words_of_remote(port))))
        if server.failure is not None:
            output.line(f"  its ports are not known: {server.failure}")
        elif not server.ports:
            output.line("  it has no ports")
    if not found:
        output.note("no server announces itself on the network of this machine")
    output.finish([attrs.asdict(server) for server in found])


def _words_of_remote(port: RemotePort) -> tuple[str, ...]:
    return (
        port.name,
        port.url,
        f"tcp-port={port.tcp_port}",
        port.device or f"not there: {port.missing or 'it is being opened'}",
        "free" if port.holder is None else f"in use by {port.holder}",
    )


def _words(port: PortInfo) -> tuple[str, ...]:
    """Return what is shown of a port: nothing where nothing is known."""
    return (
        port.device,
        "" if port.vid is None else f"{port.vid:04X}:{port.pid or 0:04X}",
        "" if port.serial_number is None else f"serial={port.serial_number}",
        "" if port.location is None else f"location={port.location}",
        port.description,
    )


COMMANDS: Final = (
    Command(
        name="ports",
        help="list the serial ports of this machine, or of servers",
        add_arguments=_add_ports,
        heeds_files=False,
        run=_ports,
        example="ports --json",
        only_prints=True,
    ),
)
