"""The commands of ``sim``, and what they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.commands.options import add_exit_codes_option, add_json_option
from esploader.commands.values import tcp_port

if TYPE_CHECKING:
    import argparse

    from esploader.commands.output import Output

STATES: Final = ("app", "download", "stub")


def _add_actions(sim: argparse.ArgumentParser) -> None:
    """Add ``sim serve``, ``sim run`` and ``sim check`` to the parser of ``sim``."""
    actions = sim.add_subparsers(dest="action", metavar="ACTION", required=True)
    serve = actions.add_parser(
        "serve",
        help="serve simulated chips to other programs",
        description="Serve simulated chips to other programs.",
        epilog="example:\n  esploader sim serve --chip esp32c3 --flash flash.bin --tcp 4000",
    )
    serve.add_argument("named", nargs="*", metavar="CHIP", help="esp32c3, sim://esp32?flash=8MB")
    front_ends = serve.add_argument_group("where")
    _add_front_ends(front_ends)
    front_ends.add_argument(
        "--port-file", metavar="FILE", help="write the URLs into this file (default: none)"
    )
    _add_device_options(serve)
    _add_output_options(serve)

    run = actions.add_parser(
        "run",
        help="run a program with a simulated chip for its port",
        description="Run a program with a simulated chip for its port.",
        usage="%(prog)s [options] -- COMMAND ...",
        epilog="example:\n  esploader sim run --chip esp32 -- esptool --port {port} flash-id",
    )
    run.set_defaults(named=(), port_file=None)
    run.add_argument(
        "program", nargs="+", metavar="COMMAND", help="the program; {port} stands for its port"
    )
    _add_front_ends(run.add_mutually_exclusive_group())
    _add_device_options(run)
    add_exit_codes_option(run)

    check = actions.add_parser(
        "check",
        help="compare simulated chips with recordings",
        description="Compare simulated chips with recordings of real ones.",
        epilog="example:\n  esploader sim check recording.json",
    )
    check.add_argument(
        "--flash-attached",
        action="store_true",
        help="the flash needed no SPI_ATTACH, as in an emulator",
    )
    check.add_argument("files", nargs="+", metavar="FILE", help="what --record has written")
    _add_output_options(check)


def _add_front_ends(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--pty", action="store_true", help="on a pseudo-terminal")
    parser.add_argument(
        "--tcp", type=tcp_port, metavar="PORT", help="on a raw TCP port (default: on none); 0: any"
    )
    parser.add_argument(
        "--rfc2217",
        type=tcp_port,
        metavar="PORT",
        help="as a port server (default: on any port, where nothing else is asked for)",
    )


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
    parser.add_argument(
        "--flash", metavar="FILE", help="keep the flash in this file (default: in memory)"
    )
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
        "--replay",
        metavar="FILE",
        help="answer as this recording does, in place of a chip (default: none)",
    )
    parser.add_argument(
        "--trace",
        dest="trace_file",
        metavar="FILE",
        help="write every command into this file (default: none)",
    )


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)
    add_exit_codes_option(parser)


def _sim(arguments: argparse.Namespace, output: Output) -> int | None:
    from esploader.commands import simulating

    match arguments.action:
        case "serve":
            simulating.serve(arguments, output)
            return None
        case "run":
            return simulating.run(arguments, output)
        case _:
            return simulating.check(arguments, output)


COMMANDS: Final = (
    Command(
        name="sim",
        help="simulated chips",
        add_arguments=_add_actions,
        heeds_files=False,
        run=_sim,
        example="sim serve --chip esp32c3 --tcp 4000",
        has_common_options=False,
    ),
)
