"""``flash --monitor``: go on at the port of a device that was written, as ``monitor`` does.

What the application says is taken in from its first byte on: the port stays open, and has the
rate of the application before the lines restart the device.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from esploader.commands.monitor_options import DEFAULT_BAUDRATE, add_watching
from esploader.commands.values import baudrate

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from esploader.commands.output import Output
    from esploader.device.device import Device
    from esploader.flash.builds.build import Build

_HEAD_SIZE: Final = 64


def add_monitor(parser: argparse.ArgumentParser) -> None:
    """Add what has the device watched afterwards."""
    group = parser.add_argument_group("watching the device afterwards")
    group.add_argument(
        "--monitor", action="store_true", help="show what the device says, as 'monitor' does"
    )
    group.add_argument(
        "--monitor-baud",
        type=baudrate,
        default=DEFAULT_BAUDRATE,
        metavar="RATE",
        help=f"baud rate of the application (default: {DEFAULT_BAUDRATE})",
    )
    add_watching(group)


def check_monitor(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be done afterwards, before there is a port.

    Raises:
        UnsupportedError: one option excludes another.
        PlanError: the log cannot be written.
        DebugInfoError: what is named as an ELF file is none.
    """
    import contextlib

    from esploader.commands.console_log import check_log
    from esploader.device.console.debug_info import DebugInfo
    from esploader.errors import UnsupportedError

    if not arguments.monitor:
        return
    for option, why in (
        ("json", "stdout is to hold one document"),
        ("record", "what is recorded would have no end"),
    ):
        if getattr(arguments, option):
            raise UnsupportedError(f"--monitor with --{option}", why)
    if arguments.log is not None:
        check_log(Path(arguments.log))
    # That the extra is missing is said when it is needed, and is no reason not to write.
    with contextlib.suppress(UnsupportedError):
        for name in arguments.elf:
            DebugInfo.read(Path(name))


def set_rate(device: Device, arguments: argparse.Namespace) -> None:
    """Set the port to the rate of the application, for what the device says from now on."""
    transport = device.session.transport
    if transport.capabilities.set_baudrate:
        transport.discard_input()
        transport.set_baudrate(arguments.monitor_baud)


def watch_device(device: Device, arguments: argparse.Namespace, output: Output) -> None:
    """Watch a device that has been left.

    Raises:
        EsploaderError: as :func:`~esploader.commands.monitoring.monitor`.
    """
    import contextlib

    from esploader.commands.console_view import ConsoleView
    from esploader.commands.monitoring import Watcher, read_programs
    from esploader.device.console.console import Console
    from esploader.device.console.opening import ConsoleOpener
    from esploader.transport.rfc2217 import Rfc2217Transport

    transport = device.session.transport
    if transport.capabilities.set_baudrate:
        transport.set_baudrate(arguments.monitor_baud)
    if isinstance(transport, Rfc2217Transport) and not arguments.no_yield:
        transport.give_way()
    own = [path for path in own_programs(arguments) if str(path) not in arguments.elf]
    programs = read_programs(arguments.elf, output, own)
    with contextlib.ExitStack() as stack:
        view = ConsoleView(arguments, output, programs)
        view.keep_log(stack)
        opener = ConsoleOpener(
            device.port, arguments.monitor_baud, gives_way=not arguments.no_yield
        )
        stack.callback(opener.close)
        console = Console(device.port, opener, view, device.link.resets, opener.keep(transport))
        stack.callback(console.close)
        Watcher(console, view, arguments, output).watch()


def own_programs(arguments: argparse.Namespace) -> list[Path]:
    """Return the ELF files that what was written has been made of, where they can be found."""
    builds: Sequence[Build] = getattr(arguments, "builds", ())
    named = [part.path for build in builds for part in build.parts]
    for _, source in getattr(arguments, "inputs", ()):
        name = source if isinstance(source, str) else getattr(source, "name", None)
        named.append(None if name is None else Path(name))
    candidates = [path for each in named if each for path in (each, each.with_suffix(".elf"))]
    return [path for path in dict.fromkeys(candidates) if _is_program(path)]


def _is_program(path: Path) -> bool:
    from esploader.image.elf import is_program

    try:
        with path.open("rb") as file:
            return is_program(file.read(_HEAD_SIZE))
    except OSError:
        return False
