"""The command ``ports``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command

if TYPE_CHECKING:
    import argparse

    from esploader.commands.output import Json, Output
    from esploader.transport.ports import PortInfo


def _ports(_: argparse.Namespace, output: Output) -> None:
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
        help="list the serial ports of this machine",
        heeds_files=False,
        run=_ports,
        example="ports --json",
        only_prints=True,
    ),
)
