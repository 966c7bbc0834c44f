"""The options of the port server as argparse sees them. Loads nothing of the library."""

from __future__ import annotations

import argparse
from typing import Final

DEFAULT_TCP_PORT: Final = 2217

SERVER_PROGRAM: Final = "esploader-rfc2217-server"
"""The program that is nothing but ``esploader serve``."""


_MAX_TCP_PORT: Final = 0xFFFF


def add_serve_options(parser: argparse.ArgumentParser) -> None:
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
        "--usb",
        action="append",
        default=[],
        metavar="SPEC",
        help="a USB port: VID:PID, serial=..., location=..., separated by commas",
    )
    parser.add_argument("--all", action="store_true", help="every USB port, as it appears")
    parser.add_argument("--config", metavar="FILE", help="a ports.toml")
    parser.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="ADDR",
        help="listen on this address, not only to this machine; as often as wanted",
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="CIDR",
        help="only clients of this network; as often as wanted",
    )
    parser.add_argument("--tls-cert", metavar="FILE", help="speak TLS, with this certificate")
    parser.add_argument("--tls-key", metavar="FILE", help="its key, if it is in another file")
    parser.add_argument(
        "--tls-client-ca", metavar="FILE", help="clients need a certificate of this authority"
    )
    parser.add_argument("--raw", action="store_true", help="the bytes only, without RFC 2217")
    resets = parser.add_mutually_exclusive_group()
    resets.add_argument(
        "--no-reset", action="store_true", help="pass DTR and RTS on as they are requested"
    )
    resets.add_argument(
        "--r0", action="store_true", help="hold the boot strap longer when resetting"
    )
    parser.add_argument("--port-file", metavar="FILE", help="write the URLs into this file")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="log more")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--exit-codes",
        choices=("simple", "detailed"),
        default="simple",
        help="detailed: an exit code per class of error",
    )


def build_server_parser() -> argparse.ArgumentParser:
    """Return the parser of :data:`SERVER_PROGRAM`."""
    parser = argparse.ArgumentParser(
        prog=SERVER_PROGRAM,
        description="Serve serial ports over the network (RFC 2217).",
        allow_abbrev=False,
    )
    add_serve_options(parser)
    parser.set_defaults(command="serve", trace=False, json_events=False, no_progress=True)
    return parser


def tcp_port(text: str) -> int:
    """Return the number of a TCP port, 0 included, for argparse."""
    try:
        value = int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= value <= _MAX_TCP_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 65535")
    return value
