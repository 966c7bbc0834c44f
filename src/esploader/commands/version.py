"""The command ``version``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.version import __version__

if TYPE_CHECKING:
    import argparse

    from esploader.commands.output import Output


def _version(arguments: argparse.Namespace, output: Output) -> None:
    output.banner()
    output.line(arguments.bare_version)
    output.finish({"version": __version__})


COMMANDS: Final = (
    Command(
        name="version",
        help="print the version",
        heeds_files=False,
        run=_version,
        example="version",
        only_prints=True,
    ),
)
