"""The options that every command has."""

from __future__ import annotations

import argparse
from typing import Final

from esploader.commands.values import (
    OneOf,
    attempts,
    baudrate,
    hyphened,
    port_filter,
    reset_sequence,
)

PROGRAM: Final = "esploader"

DEFAULT_BAUDRATE: Final = 115200
DEFAULT_CONNECT_ATTEMPTS: Final = 7

BEFORE: Final = ("default-reset", "usb-reset", "no-reset", "no-reset-no-sync")
AFTER: Final = ("hard-reset", "soft-reset", "no-reset", "no-reset-stub", "watchdog-reset")
SUPPLIES: Final = {"1.8V": 1800, "1.9V": 1900, "OFF": 0}
"""In mV."""
EXIT_CODES: Final = ("simple", "detailed")


def add_common_options(command: argparse.ArgumentParser) -> None:
    """Add the options of every command; :mod:`esploader.commands.defaults` has the defaults."""
    connecting = command.add_argument_group("connecting")
    _add_ports(connecting)
    _add_resets(connecting)
    _add_loaders(connecting)
    _add_showing(command.add_argument_group("what is shown"))


def add_port(parser: argparse._ActionsContainer) -> None:
    """Add what says which port is meant."""
    parser.add_argument(
        "-p",
        "--port",
        metavar="PORT",
        help="/dev/ttyUSB0, COM3, rfc2217://HOST:PORT, socket://HOST:PORT, "
        "ssh://USER@HOST/dev/ttyUSB0, sim://CHIP, ... "
        "(default: the only USB serial port; environment: ESPTOOL_PORT)",
    )
    parser.add_argument(
        "--port-filter",
        action="append",
        type=port_filter,
        metavar="KEY=VALUE",
        help="choose the port by vid, pid, name or serial; as often as wanted (default: none)",
    )


def _add_ports(connecting: argparse._ArgumentGroup) -> None:
    add_port(connecting)
    connecting.add_argument(
        "-b",
        "--baud",
        type=baudrate,
        metavar="RATE",
        help=f"baud rate after connecting (default: {DEFAULT_BAUDRATE}; environment: ESPTOOL_BAUD)",
    )
    connecting.add_argument(
        "-c",
        "--chip",
        metavar="CHIP",
        help="accept no other chip: esp8266, esp32, esp32s3, ... "
        "(default: auto; environment: ESPTOOL_CHIP)",
    )


def _add_resets(connecting: argparse._ArgumentGroup) -> None:
    connecting.add_argument(
        "--before",
        type=hyphened,
        choices=BEFORE,
        help=f"what to do before connecting (default: {BEFORE[0]}; environment: ESPTOOL_BEFORE)",
    )
    connecting.add_argument(
        "-a",
        "--after",
        type=hyphened,
        choices=AFTER,
        help=f"what to do at the end (default: {AFTER[0]}; environment: ESPTOOL_AFTER)",
    )
    connecting.add_argument(
        "--connect-attempts",
        type=attempts,
        metavar="N",
        help="how often to try; 0: without end, also where there is no such port yet "
        f"(default: {DEFAULT_CONNECT_ATTEMPTS}; environment: ESPTOOL_CONNECT_ATTEMPTS)",
    )
    add_sequences(connecting)


def _add_loaders(connecting: argparse._ArgumentGroup) -> None:
    connecting.add_argument(
        "--override-vddsdio",
        type=OneOf(*SUPPLIES),
        metavar="VOLTAGE",
        help="supply the flash of an ESP32 with 1.8V or 1.9V, or not at all (OFF), whatever its "
        "eFuses and straps say (default: as they say)",
    )
    connecting.add_argument("--no-stub", action="store_true", help="talk to the ROM loader only")
    connecting.add_argument(
        "--stub",
        metavar="PATH",
        help="a stub, or a directory of them (default: what 'stub install' has installed, or "
        "that of an installed esptool; environment: ESPLOADER_STUB_DIR)",
    )


def _add_showing(showing: argparse._ArgumentGroup) -> None:
    showing.add_argument("-t", "--trace", action="store_true", help="show the wire on stderr")
    showing.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="say what was found and what has no effect, too",
    )
    showing.add_argument("-s", "--silent", action="store_true", help="show nothing but errors")
    showing.add_argument(
        "--record", metavar="FILE", help="write every exchange into this file (default: none)"
    )
    add_json_option(showing)
    showing.add_argument(
        "--json-events", action="store_true", help="report progress as JSON lines on stderr"
    )
    showing.add_argument("--no-progress", action="store_true", help="draw no progress")
    showing.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="print only what was asked for, warnings and errors",
    )
    add_exit_codes_option(showing)


def add_sequences(parser: argparse._ActionsContainer) -> None:
    """Add how the lines of a board are played that has a circuit of its own."""
    for name, what in (("reset", "into download mode"), ("hard-reset", "for a hard reset")):
        parser.add_argument(
            f"--custom-{name}-sequence",
            type=reset_sequence,
            default=argparse.SUPPRESS,
            metavar="STEPS",
            help=f"what to do to DTR and RTS {what}: 'D0|R1|W0.1|D1|R0|W0.05|D0', or U1,0 for "
            "both (default: as suits the port)",
        )


def add_json_option(parser: argparse._ActionsContainer) -> None:
    """Add what has stdout hold nothing but JSON."""
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document"
    )


def add_exit_codes_option(parser: argparse._ActionsContainer) -> None:
    """Add what chooses between few exit codes and many."""
    parser.add_argument(
        "--exit-codes",
        choices=EXIT_CODES,
        default=argparse.SUPPRESS,
        help=f"detailed: an exit code per class of error (default: {EXIT_CODES[0]})",
    )
