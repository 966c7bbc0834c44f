"""The command ``serve``, and what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.commands.options import add_exit_codes_option, add_json_option, add_sequences
from esploader.commands.values import tcp_port

if TYPE_CHECKING:
    import argparse

    from esploader.commands.output import Output

DEFAULT_TCP_PORT: Final = 2217
DIRECTORY_PORT: Final = 22217
STATUS_PORT: Final = 22218


def _add_serve(parser: argparse.ArgumentParser) -> None:
    """Add what ``serve`` takes. An option that is not given is ``None``, or empty."""
    parser.add_argument(
        "ports", nargs="*", metavar="PORT", help="/dev/ttyUSB0, COM3, sim://CHIP, ..."
    )
    parser.add_argument(
        "-p",
        "--tcp-port",
        type=tcp_port,
        metavar="N",
        help=f"TCP port of the first PORT; others follow (default: {DEFAULT_TCP_PORT}); 0: any",
    )
    parser.add_argument(
        "--directory-port",
        type=tcp_port,
        metavar="N",
        help="TCP port at which clients ask for ports by their names, who look at "
        f"{DIRECTORY_PORT}; 0: any (default: they cannot)",
    )
    parser.add_argument(
        "--announce",
        action="store_true",
        help="tell the network by mDNS where that is, with the addresses of --bind",
    )
    parser.add_argument(
        "--usb",
        action="append",
        default=[],
        metavar="SPEC",
        help="a USB port: VID:PID, serial=..., location=..., separated by commas; "
        "as often as wanted (default: none)",
    )
    parser.add_argument("--all", action="store_true", help="every USB port, as it appears")
    parser.add_argument("--config", metavar="FILE", help="a ports.toml (default: none)")
    parser.add_argument(
        "--reload",
        action="store_true",
        help="have the server that runs with this --config read it again, and say what changes",
    )
    _add_access(parser)
    parser.add_argument(
        "--stdio",
        action="store_true",
        help="serve one PORT to one client, at stdin and stdout, as ssh:// does",
    )
    _add_turns(parser)
    _add_status(parser)
    _add_manner(parser)
    parser.add_argument(
        "--port-file", metavar="FILE", help="write the URLs into this file (default: none)"
    )
    parser.add_argument(
        "--until-eof",
        action="store_true",
        help="end when standard input ends, as when the program that started it is gone",
    )
    parser.add_argument("-v", "--verbose", action="count", default=0, help="log more")
    add_json_option(parser)
    add_exit_codes_option(parser)


def _add_manner(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--raw", action="store_true", help="the bytes only, without RFC 2217")
    resets = parser.add_mutually_exclusive_group()
    resets.add_argument(
        "--no-reset", action="store_true", help="pass DTR and RTS on as they are requested"
    )
    resets.add_argument(
        "--r0", action="store_true", help="hold the boot strap longer when resetting"
    )
    add_sequences(parser)


def _add_access(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="ADDR",
        help="listen on this address; as often as wanted (default: this machine alone)",
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="CIDR",
        help="only clients of this network; as often as wanted (default: all)",
    )
    parser.add_argument(
        "--tls-cert", metavar="FILE", help="speak TLS, with this certificate (default: no TLS)"
    )
    parser.add_argument(
        "--tls-key", metavar="FILE", help="its key (default: it is in the same file)"
    )
    parser.add_argument(
        "--tls-client-ca",
        metavar="FILE",
        help="clients need a certificate of this authority (default: none)",
    )


def _add_turns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--watch-port",
        type=tcp_port,
        metavar="N",
        help="TCP port at which others listen to the first PORT; others follow; 0: any "
        "(default: nobody listens)",
    )
    parser.add_argument(
        "--takeover",
        action="store_true",
        help="let ports be taken over from clients that do nothing with them",
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="whoever knows what is in it may take ports over at any time (default: nobody)",
    )


def _add_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--status",
        nargs="?",
        const="",
        metavar="ADDRESS:PORT",
        help="show who has which port as a page, as JSON and as metrics; without a value at TCP "
        f"port {STATUS_PORT} for this machine alone (default: nowhere)",
    )
    parser.add_argument(
        "--status-name",
        action="append",
        default=[],
        metavar="NAME",
        help="what the host of that page is called, besides its address; as often as wanted "
        "(default: what it calls itself)",
    )


def _serve(arguments: argparse.Namespace, output: Output) -> None:
    if arguments.reload:
        from esploader.commands.reloading import reload

        reload(arguments, output)
        return
    from esploader.commands.serving import serve

    serve(arguments, output)


COMMANDS: Final = (
    Command(
        name="serve",
        help="serve serial ports over the network",
        add_arguments=_add_serve,
        run=_serve,
        example="serve --bind 0.0.0.0 --allow 192.0.2.0/24 /dev/ttyUSB0",
        # Its -p is the TCP port, and of the other options of all commands few mean anything.
        has_common_options=False,
    ),
)
