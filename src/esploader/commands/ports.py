"""The command ``ports``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command

if TYPE_CHECKING:
    import argparse

    from esploader.commands.output import Json, Output


def _ports(_: argparse.Namespace, output: Output) -> None:
    from esploader.transport.ports import list_ports

    found = list_ports()
    document: list[Json] = []
    for port in found:
        ids = "" if port.vid is None else f"  {port.vid:04X}:{port.pid or 0:04X}"
        output.line(f"{port.device}{ids}  {port.description}".rstrip())
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


COMMANDS: Final = (
    Command(
        name="ports",
        help="list the serial ports of this machine",
        run=_ports,
        example="ports --json",
        only_prints=True,
    ),
)
