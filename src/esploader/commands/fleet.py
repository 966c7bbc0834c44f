"""The command ``fleet``, and what it takes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.commands.options import add_exit_codes_option, add_json_option
from esploader.commands.values import count

if TYPE_CHECKING:
    from esploader.commands.output import Output


def field(text: str) -> tuple[str, str]:
    """Return a name and what it stands for: ``order=4711``."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=TEXT")
    return name, value


def _add_fleet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("jobs", metavar="JOBS", help="a jobs.toml")
    parser.add_argument(
        "--record",
        metavar="FILE",
        help="append a line of JSON for each board (default: what JOBS says, or none)",
    )
    parser.add_argument(
        "--field",
        dest="fields",
        action="append",
        type=field,
        default=[],
        metavar="NAME=TEXT",
        help="what else each line of the record says; as often as wanted (default: none)",
    )
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument(
        "--bed", action="store_true", help="write to one device after the other at each port"
    )
    ways.add_argument("--dry-run", action="store_true", help="show the plans and do nothing")
    parser.add_argument(
        "--limit",
        type=count,
        metavar="N",
        help="end after so many devices with --bed (default: without end)",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", default=argparse.SUPPRESS, help="say more"
    )
    parser.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print only what became of the boards, warnings and errors",
    )
    parser.add_argument(
        "--no-progress", action="store_true", default=argparse.SUPPRESS, help="draw no progress"
    )
    add_json_option(parser)
    add_exit_codes_option(parser)


def _fleet(arguments: argparse.Namespace, output: Output) -> int:
    from esploader.commands.fleet_run import run

    return run(arguments, output)


COMMANDS: Final = (
    Command(
        name="fleet",
        help="write to many devices at once",
        add_arguments=_add_fleet,
        run=_fleet,
        example="--baud 921600 fleet --record done.jsonl jobs.toml",
        # Which ports there are, and how each is written, the file says.
        has_common_options=False,
    ),
)
