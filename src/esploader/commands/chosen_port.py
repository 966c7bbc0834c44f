"""Which port a command uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from esploader.commands.output import Output


def chosen_port(arguments: argparse.Namespace, output: Output, open_attempts: int) -> str:
    """Return the port that is named, or the only one there can be talk of.

    Raises:
        NoPortError: there is none, or more than one.
    """
    from esploader.transport.patience import open_patiently

    if arguments.port and arguments.port_filter:
        output.note("--port-filter is not heeded: a port is named")
    name: str = arguments.port or open_patiently(
        lambda: _only_port(arguments.port_filter), open_attempts
    )
    return name


def _only_port(filters: Sequence[tuple[str, int | str]] | None) -> str:
    """Return the name of the only port there can be talk of.

    Raises:
        NoPortError: there is none, or more than one.
    """
    from esploader.errors import NoPortError
    from esploader.transport.ports import list_ports, matching_ports, sensible_ports

    found = matching_ports(list_ports(), filters or ())
    # Who says which port it is may well mean one that is not on USB.
    sensible = found if filters else sensible_ports(found)
    if len(sensible) != 1:
        raise NoPortError(
            candidates=tuple(port.device for port in sensible or found), filtered=bool(filters)
        )
    return sensible[0].device
