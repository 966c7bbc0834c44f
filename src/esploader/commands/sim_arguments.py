"""The options of ``sim`` as argparse sees them. Loads nothing of the library."""

from __future__ import annotations

import argparse
from typing import Final

from esploader.commands.serve_arguments import tcp_port

STATES: Final = ("app", "download", "stub")


def add_sim_commands(sim: argparse.ArgumentParser) -> None:
    """Add ``sim serve``, ``sim run`` and ``sim check`` to the parser of ``sim``."""
    actions = sim.add_subparsers(dest="action", metavar="ACTION", required=True)
    serve = actions.add_parser(
        "serve",
        help="serve simulated chips to other programs",
        description="Serve simulated chips to other programs.",
    )
    serve.set_defaults(command="sim serve")
    serve.add_argument("named", nargs="*", metavar="CHIP", help="esp32c3, sim://esp32?flash=8MB")
    front_ends = serve.add_argument_group("where")
    _add_front_ends(front_ends)
    front_ends.add_argument("--port-file", metavar="FILE", help="write the URLs into this file")
    _add_device_options(serve)
    _add_output_options(serve)

    run = actions.add_parser(
        "run",
        help="run a program with a simulated chip for its port",
        description="Run a program with a simulated chip for its port.",
        usage="%(prog)s [options] -- COMMAND ...",
    )
    run.set_defaults(command="sim run", named=(), port_file=None)
    run.add_argument(
        "program", nargs="+", metavar="COMMAND", help="the program; {port} stands for its port"
    )
    _add_front_ends(run.add_mutually_exclusive_group())
    _add_device_options(run)
    _add_exit_codes(run)

    check = actions.add_parser(
        "check",
        help="compare simulated chips with recordings",
        description="Compare simulated chips with recordings of real ones.",
    )
    check.set_defaults(command="sim check")
    check.add_argument(
        "--flash-attached",
        action="store_true",
        help="the flash needed no SPI_ATTACH, as in an emulator",
    )
    check.add_argument("files", nargs="+", metavar="FILE", help="what --record has written")
    _add_output_options(check)


def _add_front_ends(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--pty", action="store_true", help="on a pseudo-terminal")
    parser.add_argument("--tcp", type=tcp_port, metavar="PORT", help="on a raw TCP port")
    parser.add_argument("--rfc2217", type=tcp_port, metavar="PORT", help="as a port server")


def _add_device_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c",
        "--chip",
        dest="chips",
        action="append",
        default=[],
        metavar="CHIP",
        help="a chip, or a sim:// URL; as often as wanted (default: esp32c3)",
    )
    parser.add_argument("--flash", metavar="FILE", help="keep the flash in this file")
    parser.add_argument(
        "--state",
        choices=STATES,
        help="what the chip does at first (default: app with --rfc2217, download otherwise)",
    )
    parser.add_argument(
        "--boot-loop", action="store_true", help="repeat a boot that failed, as a real chip does"
    )
    parser.add_argument("--realtime", action="store_true", help="take the time a real line takes")
    parser.add_argument(
        "--replay", metavar="FILE", help="answer as this recording does, in place of a chip"
    )
    parser.add_argument(
        "--trace", dest="trace_file", metavar="FILE", help="write every command into this file"
    )


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    # Without a default, which would replace what is said before the command.
    parser.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print one JSON document",
    )
    _add_exit_codes(parser)


def _add_exit_codes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--exit-codes",
        choices=("simple", "detailed"),
        default=argparse.SUPPRESS,
        help="detailed: an exit code per class of error",
    )
