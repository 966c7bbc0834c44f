"""The command ``monitor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.commands.monitor_options import DEFAULT_BAUDRATE, add_watching
from esploader.commands.options import add_exit_codes_option, add_port, add_sequences
from esploader.commands.values import baudrate

if TYPE_CHECKING:
    import argparse

    from esploader.commands.output import Output


def _add_monitor(parser: argparse.ArgumentParser) -> None:
    add_port(parser)
    parser.add_argument(
        "-b",
        "--baud",
        dest="monitor_baud",
        type=baudrate,
        metavar="RATE",
        help=f"baud rate of the application (default: {DEFAULT_BAUDRATE})",
    )
    parser.add_argument(
        "--no-reset", action="store_true", help="do not reset the device at the beginning"
    )
    add_sequences(parser)
    add_watching(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but what it says")
    add_exit_codes_option(parser)


def _monitor(arguments: argparse.Namespace, output: Output) -> None:
    from esploader.commands.monitoring import monitor

    monitor(arguments, output)


COMMANDS: Final = (
    Command(
        name="monitor",
        help="show what the device says, and send it what is typed",
        add_arguments=_add_monitor,
        run=_monitor,
        example="monitor --port /dev/ttyUSB0 --timestamps absolute --elf build/app.elf",
        # Most of those are about a loader, and its --baud is another rate.
        has_common_options=False,
        only_prints=True,
        works_with=("log", "until", "fail_on"),
    ),
)
