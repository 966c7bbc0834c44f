"""The options that every command has, and where their defaults come from."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final, NamedTuple

from esploader.commands.values import (
    attempts,
    flash_frequency,
    flash_mode,
    flash_size,
    hyphened,
    one_of,
    port_filter,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_BAUDRATE: Final = 115200
DEFAULT_CONNECT_ATTEMPTS: Final = 7

BEFORE: Final = ("default-reset", "usb-reset", "no-reset", "no-reset-no-sync")
AFTER: Final = ("hard-reset", "soft-reset", "no-reset", "no-reset-stub", "watchdog-reset")
EXIT_CODES: Final = ("simple", "detailed")


class SettingError(Exception):
    """A default makes no sense; the text says which, and why."""


class Setting(NamedTuple):
    """What the default of an option can be set by, other than on the command line."""

    option: str
    """As the name of an attribute."""
    read: Callable[[str], object]
    """Makes a value of text, or raises :exc:`argparse.ArgumentTypeError`."""


VARIABLES: Final = {
    "ESPTOOL_PORT": Setting("port", str),
    "ESPTOOL_BAUD": Setting("baud", str),
    "ESPTOOL_CHIP": Setting("chip", str),
    "ESPTOOL_BEFORE": Setting("before", one_of(BEFORE)),
    "ESPTOOL_AFTER": Setting("after", one_of(AFTER)),
    "ESPTOOL_CONNECT_ATTEMPTS": Setting("connect_attempts", attempts),
    "ESPTOOL_OPEN_PORT_ATTEMPTS": Setting("open_attempts", attempts),
    "ESPTOOL_FM": Setting("flash_mode", flash_mode),
    "ESPTOOL_FF": Setting("flash_freq", flash_frequency),
    "ESPTOOL_FS": Setting("flash_size", flash_size),
}
"""The environment variables that are heeded. One that is empty counts as not set."""

_PREFIX: Final = "ESPTOOL_"

_OF_OTHERS: Final = frozenset({"ESPTOOL_WRAPPER"})
"""Is for the build system of ESP-IDF, which runs what it names in place of esptool."""


def defaults(environment: Mapping[str, str]) -> argparse.Namespace:
    """Return what holds where nothing is said; some of it can be said in the environment.

    Raises:
        SettingError: a variable there makes no sense.
    """
    values: dict[str, object] = {}
    for name, setting in VARIABLES.items():
        if text := environment.get(name):
            try:
                values[setting.option] = setting.read(text)
            except argparse.ArgumentTypeError as exc:
                raise SettingError(f"{name}: {exc}") from None
    return argparse.Namespace(**{**_defaults(), **values, "remarks": _remarks(environment)})


def _remarks(environment: Mapping[str, str]) -> list[str]:
    known = VARIABLES.keys() | _OF_OTHERS
    strange = sorted(
        name
        for name, text in environment.items()
        if name.startswith(_PREFIX) and text and name not in known
    )
    return [f"set in the environment and not heeded: {', '.join(strange)}"] if strange else []


def _defaults() -> dict[str, object]:
    return {
        "port": None,
        "baud": str(DEFAULT_BAUDRATE),
        "chip": "auto",
        "before": BEFORE[0],
        "after": AFTER[0],
        "connect_attempts": DEFAULT_CONNECT_ATTEMPTS,
        "open_attempts": 1,
        "no_stub": False,
        "stub": None,
        "port_filter": None,
        "verbose": False,
        "silent": False,
        "unheeded": [],
        "trace": False,
        "record": None,
        "json": False,
        "json_events": False,
        "no_progress": False,
        "exit_codes": EXIT_CODES[0],
    }


def add_common_options(command: argparse.ArgumentParser) -> None:
    """Add the options of every command: none has a default, see :func:`defaults`."""
    _add_connecting(command.add_argument_group("connecting"))
    _add_showing(command.add_argument_group("what is shown"))


def _add_connecting(connecting: argparse._ArgumentGroup) -> None:
    connecting.add_argument(
        "-p",
        "--port",
        metavar="PORT",
        help="/dev/ttyUSB0, COM3, rfc2217://HOST:PORT, socket://HOST:PORT, sim://CHIP, ... "
        "(default: the only USB serial port; environment: ESPTOOL_PORT)",
    )
    connecting.add_argument(
        "--port-filter",
        action="append",
        type=port_filter,
        metavar="KEY=VALUE",
        help="choose the port by vid, pid, name or serial; as often as wanted (default: none)",
    )
    connecting.add_argument(
        "-b",
        "--baud",
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
    add_exit_codes_option(showing)


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
