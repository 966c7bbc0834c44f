"""What ``monitor`` takes, and ``flash --monitor``, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.commands.values import pattern, seconds

if TYPE_CHECKING:
    import argparse

DEFAULT_BAUDRATE: Final = 115200
"""That of the console of an application, unless it was built otherwise."""

TIMESTAMPS: Final = ("none", "relative", "absolute")
LINE_ENDS: Final = ("cr", "lf", "crlf")


def add_watching(parser: argparse._ActionsContainer) -> None:
    """Add what is to be done with what the device says."""
    parser.add_argument(
        "--timestamps",
        choices=TIMESTAMPS,
        default=TIMESTAMPS[0],
        help="what stands in front of each line: seconds since the beginning, or date and time "
        f"(default: {TIMESTAMPS[0]})",
    )
    parser.add_argument(
        "--log",
        metavar="FILE",
        help="append what the device says to this file, as it comes (default: none)",
    )
    parser.add_argument(
        "--elf",
        action="append",
        default=[],
        metavar="FILE",
        help="say which lines of this program the addresses in backtraces are; as often as wanted "
        "(default: none)",
    )
    parser.add_argument(
        "--until",
        type=pattern,
        metavar="REGEX",
        help="end well when this is found in a line (default: only when told to)",
    )
    parser.add_argument(
        "--fail-on",
        type=pattern,
        metavar="REGEX",
        help="end with an error when this is found in a line (default: never)",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help="end after that time; with --until that is an error (default: never)",
    )
    parser.add_argument(
        "--raw",
        action="store_true",
        help="show what the device sends byte by byte, also what can harm a terminal",
    )
    parser.add_argument(
        "--eol",
        choices=LINE_ENDS,
        default=LINE_ENDS[0],
        help=f"what the key Enter sends (default: {LINE_ENDS[0]})",
    )
    parser.add_argument(
        "--no-yield",
        action="store_true",
        help="do not lend the port of a server to others who want it",
    )
