"""The command line as argparse sees it. Loads nothing of the library."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Final

from esploader.commands.serve_arguments import add_serve_options
from esploader.commands.sim_arguments import add_sim_commands

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_BAUDRATE: Final = 115200
DEFAULT_CONNECT_ATTEMPTS: Final = 7

BEFORE: Final = ("default-reset", "usb-reset", "no-reset", "no-reset-no-sync")
AFTER: Final = ("hard-reset", "soft-reset", "no-reset", "watchdog-reset")

DEVICE_COMMANDS: Final = {
    "flash-id": "read the JEDEC id of the flash chip",
    "chip-id": "read the id of the device (its MAC, where the chip has no other)",
    "read-mac": "read the MAC address from the factory",
    "get-security-info": "read the security state",
}


class _Parser(argparse.ArgumentParser):
    """A parser without abbreviations, for itself and for its subparsers."""

    def __init__(self, **options: object) -> None:
        super().__init__(allow_abbrev=False, **options)  # type: ignore[arg-type]


def build_parser(environment: Mapping[str, str] = os.environ) -> _Parser:
    """Return the parser; ``ESPTOOL_PORT``, ``ESPTOOL_BAUD`` and ``ESPTOOL_CHIP`` are defaults."""
    parser = _Parser(prog="esploader", description="Talk to the boot loaders of Espressif chips.")
    _add_global_options(parser)
    parser.set_defaults(
        port=environment.get("ESPTOOL_PORT"),
        baud=environment.get("ESPTOOL_BAUD") or str(DEFAULT_BAUDRATE),
        chip=environment.get("ESPTOOL_CHIP") or "auto",
        before="default-reset",
        after="hard-reset",
        connect_attempts=DEFAULT_CONNECT_ATTEMPTS,
        no_stub=False,
        stub=None,
        trace=False,
        record=None,
        json=False,
        json_events=False,
        no_progress=False,
        exit_codes="simple",
    )
    # Without defaults, so that an option before the command is not overwritten by the
    # default of the same option after it.
    options = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    _add_global_options(options)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in DEVICE_COMMANDS.items():
        _add_command(commands, name, text, options)
    _add_flash_commands(commands, options)
    _add_memory_commands(commands, options)
    efuses = _add_command(commands, "efuse-summary", "show what the eFuses hold", options)
    efuses.add_argument("--dump", action="store_true", help="show the words of all blocks, too")
    _add_command(commands, "ports", "list the serial ports of this machine", options)
    _add_command(commands, "version", "print the version", options)
    sim = commands.add_parser("sim", help="simulated chips", description="Simulated chips.")
    add_sim_commands(sim)
    # Its -p is the TCP port, and of the other options of all commands few mean anything.
    text = "serve serial ports over the network"
    serve = commands.add_parser("serve", help=text, description=text)
    serve.set_defaults(command="serve")
    add_serve_options(serve)
    return parser


def _add_command(
    commands: argparse._SubParsersAction[_Parser],
    name: str,
    text: str,
    options: _Parser,
) -> _Parser:
    description = f"{text[0].upper()}{text[1:]}."
    command = commands.add_parser(name, help=text, description=description, parents=[options])
    command.set_defaults(command=name)
    # As an alias it would be in the help, too.
    commands.choices[name.replace("-", "_")] = command
    return command


def _add_global_options(command: argparse.ArgumentParser) -> None:
    parser = command.add_argument_group("options of every command")
    parser.add_argument(
        "-p",
        "--port",
        metavar="PORT",
        help="/dev/ttyUSB0, COM3, rfc2217://HOST:PORT, socket://HOST:PORT, sim://CHIP, ...",
    )
    parser.add_argument("-b", "--baud", metavar="RATE", help="baud rate after connecting")
    parser.add_argument("-c", "--chip", metavar="CHIP", help="accept no other chip")
    parser.add_argument(
        "--before", type=_hyphened, choices=BEFORE, help="what to do before connecting"
    )
    parser.add_argument("--after", type=_hyphened, choices=AFTER, help="what to do at the end")
    parser.add_argument(
        "--connect-attempts", type=_count, metavar="N", help="how often to try; 0: without end"
    )
    parser.add_argument("--no-stub", action="store_true", help="talk to the ROM loader only")
    parser.add_argument("--stub", metavar="PATH", help="a stub, or a directory of them")
    parser.add_argument("-t", "--trace", action="store_true", help="show the wire on stderr")
    parser.add_argument("--record", metavar="FILE", help="write every exchange into this file")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--json-events", action="store_true", help="report progress as JSON lines on stderr"
    )
    parser.add_argument("--no-progress", action="store_true", help="draw no progress")
    parser.add_argument(
        "--exit-codes",
        choices=("simple", "detailed"),
        help="detailed: an exit code per class of error",
    )


def _add_flash_commands(commands: argparse._SubParsersAction[_Parser], options: _Parser) -> None:
    write = _add_command(commands, "write-flash", "write files to the flash", options)
    _add_inputs(write, nargs="*")
    _add_encryption(write)
    write.add_argument("-e", "--erase-all", action="store_true", help="erase the whole flash first")
    skipping = write.add_mutually_exclusive_group()
    skipping.add_argument(
        "-s", "--skip-flashed", action="store_true", help="skip what is there already (default)"
    )
    skipping.add_argument("--no-skip", action="store_true", help="write what is there already, too")
    compression = write.add_mutually_exclusive_group()
    compression.add_argument(
        "-z", "--compress", action="store_true", default=None, help="compress whatever it is"
    )
    compression.add_argument(
        "-u", "--no-compress", dest="compress", action="store_false", help="do not compress"
    )
    write.add_argument(
        "--force", action="store_true", help="do not check the bootloader and the security state"
    )
    write.add_argument("--dry-run", action="store_true", help="show the plan and do nothing")
    verify = _add_command(commands, "verify-flash", "compare the flash with files", options)
    _add_inputs(verify)
    for parser in (write, verify):
        _add_flash_parameters(parser)
    read = _add_command(commands, "read-flash", "read flash into a file", options)
    read.add_argument("offset", type=_number, metavar="OFFSET", help="where to begin")
    read.add_argument("size", type=_size, metavar="SIZE", help="bytes, 64k, 4M, or all")
    read.add_argument("output", metavar="FILE", help="written when all has been read")
    erase_all = _add_command(commands, "erase-flash", "erase the whole flash", options)
    erase = _add_command(commands, "erase-region", "erase sectors of the flash", options)
    erase.add_argument("offset", type=_number, metavar="OFFSET", help="where to begin")
    erase.add_argument("size", type=_number, metavar="SIZE", help="both multiples of 4096 bytes")
    erase.add_argument(
        "-fs",
        "--flash-size",
        default="keep",
        metavar="SIZE",
        help="size of the flash, for Secure Download Mode, where it cannot be found out",
    )
    for parser in (erase_all, erase):
        parser.add_argument(
            "--force", action="store_true", help="although the device may never boot again"
        )
    status = _add_command(
        commands, "read-flash-status", "read the flash chip's status registers", options
    )
    sfdp = _add_command(commands, "read-flash-sfdp", "read the flash chip's SFDP tables", options)
    sfdp.add_argument("offset", type=_number, metavar="OFFSET", help="where in the tables")
    sfdp.add_argument("size", type=_number, metavar="SIZE", help="1 to 64 bytes")
    set_status = _add_command(
        commands, "write-flash-status", "set the flash chip's status registers", options
    )
    set_status.add_argument("value", type=_number, metavar="VALUE", help="register 1 lowest")
    set_status.add_argument(
        "--non-volatile",
        "--non_volatile",
        action="store_true",
        help="for good, not until the power goes",
    )
    flash_id = commands.choices["flash-id"]
    for parser in (flash_id, write, verify, read, erase_all, erase, status, set_status, sfdp):
        _add_spi_connection(parser)
    for parser in (status, set_status):
        parser.add_argument(
            "--bytes", type=int, choices=(1, 2, 3), default=2, help="how many registers (2)"
        )


def _add_encryption(parser: _Parser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--encrypt", action="store_true", help="have the device encrypt what it writes"
    )
    which.add_argument(
        "--encrypt-files",
        nargs="+",
        action=_PairsAction,
        default=[],
        metavar="OFFSET FILE",
        help="files to write, too, and to have encrypted",
    )
    parser.add_argument(
        "--ignore-flash-enc-efuse",
        action="store_true",
        help="encrypt whatever the eFuses say of the key",
    )


def _add_flash_parameters(parser: _Parser) -> None:
    for short, name, text in (
        ("-fm", "mode", "flash mode"),
        ("-ff", "freq", "flash frequency"),
        ("-fs", "size", "flash size, or 'detect',"),
    ):
        parser.add_argument(
            short,
            f"--flash-{name}",
            f"--flash_{name}",
            default="keep",
            metavar=name.upper(),
            help=f"{text} to put into the bootloader's header (default: keep)",
        )


def _add_spi_connection(parser: _Parser) -> None:
    parser.add_argument(
        "-sc",
        "--spi-connection",
        "--spi_connection",
        metavar="PINS",
        help="where the flash is: SPI, HSPI (ESP32) or five pins, CLK,Q,D,HD,CS",
    )


def _add_inputs(parser: _Parser, *, nargs: str = "+") -> None:
    parser.add_argument(
        "inputs",
        nargs=nargs,
        action=_PairsAction,
        metavar="OFFSET FILE",
        help="where to, and what; as often as wanted",
    )


class _PairsAction(argparse.Action):
    """Collects offsets and files, one after the other, into pairs."""

    # typing_extensions, for its `override`, takes as long to import as all else here.
    def __call__(  # type: ignore[explicit-override]
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,  # noqa: ARG002 - argparse passes it
    ) -> None:
        words = [str(value) for value in values or ()]
        # None at all will do where there are files to be encrypted.
        if not words and not namespace.encrypt_files:
            parser.error("the following arguments are required: OFFSET FILE")
        if len(words) % 2:
            parser.error("offsets and files come in pairs")
        try:
            pairs = [(_number(words[i]), words[i + 1]) for i in range(0, len(words), 2)]
        except argparse.ArgumentTypeError as exc:
            parser.error(str(exc))
        setattr(namespace, self.dest, pairs)


def _add_memory_commands(commands: argparse._SubParsersAction[_Parser], options: _Parser) -> None:
    read = _add_command(commands, "read-mem", "read a word of memory", options)
    read.add_argument("address", type=_number, metavar="ADDRESS", help="a multiple of 4")
    write = _add_command(commands, "write-mem", "write a word of memory", options)
    write.add_argument("address", type=_number, metavar="ADDRESS", help="a multiple of 4")
    write.add_argument("value", type=_number, metavar="VALUE", help="what to write")
    write.add_argument(
        "mask",
        type=_number,
        metavar="MASK",
        nargs="?",
        default=0xFFFF_FFFF,
        help="which bits to change (default: all)",
    )
    dump = _add_command(commands, "dump-mem", "read memory into a file", options)
    dump.add_argument("address", type=_number, metavar="ADDRESS", help="where to begin")
    dump.add_argument("size", type=_number, metavar="SIZE", help="bytes, 64k, 1M")
    dump.add_argument("output", metavar="FILE", help="written when all has been read")
    load = _add_command(commands, "load-ram", "run a program from RAM", options)
    load.add_argument("file", metavar="FILE", help="a firmware image that needs no flash")
    _add_command(commands, "run", "start the application", options)


def _hyphened(text: str) -> str:
    return text.replace("_", "-")


_MAX_WORD: Final = 0xFFFF_FFFF
_UNITS: Final = {"k": 1 << 10, "M": 1 << 20}


def _number(text: str) -> int:
    unit = _UNITS.get(text[-1:], 1)
    digits = text[:-1] if text[-1:] in _UNITS else text
    return unit * _bounded(digits, 0, _MAX_WORD // unit)


def _size(text: str) -> int | None:
    return None if text.lower() == "all" else _number(text)


def _count(text: str) -> int:
    return _bounded(text, 0, 1_000_000)


def _bounded(text: str, low: int, high: int) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text} is not between {low} and {high}")
    return value
