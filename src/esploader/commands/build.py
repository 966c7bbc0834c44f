"""The command ``flash``: what a build tool has made goes where it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.commands.flash_monitor import add_monitor, check_monitor
from esploader.commands.flash_options import add_spi_connection
from esploader.commands.on_device import OnDevice

if TYPE_CHECKING:
    import argparse

    from esploader.chips.model.chip import Chip
    from esploader.commands.output import Json, Output
    from esploader.device.device import Device
    from esploader.flash.builds.build import Build


def _read(arguments: argparse.Namespace) -> None:
    """Read the builds, and refuse what can be refused without a device.

    Raises:
        PlanError: there is none that can be used, or something is asked for that excludes another.
    """
    from esploader.flash.builds.choosing import check_erasing, read_builds

    check_monitor(arguments)
    is_partial = bool(arguments.app_only or arguments.partition)
    check_erasing(erase_all=arguments.erase_all, is_partial=is_partial)
    arguments.builds = read_builds(arguments.build)
    chip = _expected_chip(arguments)
    if chip is not None:
        _choose(arguments, chip)


def _expected_chip(arguments: argparse.Namespace) -> Chip | None:
    """Return the chip that there should be; ``None`` where nothing says that."""
    from esploader.chips.registry import chip_by_name
    from esploader.flash.builds.choosing import named_chip

    if arguments.chip.lower() != "auto":
        return chip_by_name(arguments.chip)
    return named_chip(arguments.builds)


def _choose(arguments: argparse.Namespace, chip: Chip) -> Build:
    from esploader.flash.builds.choosing import choose

    return choose(
        arguments.builds,
        chip,
        app_only=arguments.app_only,
        names=arguments.partition,
        force=arguments.force,
    )


def _flash(device: Device, arguments: argparse.Namespace, output: Output) -> dict[str, Json]:
    from esploader.commands.flash import write_inputs
    from esploader.flash.builds.choosing import check_encryption, warn_of

    build = _choose(arguments, device.chip)
    if not (arguments.encrypt or arguments.force):
        check_encryption(build, device.security.state())
    output.line(f"{build}:")
    for part in build.parts:
        output.line(f"  {part}")
    warn_of(build, erase_all=arguments.erase_all)
    inputs = build.inputs(encrypt=arguments.encrypt)
    encrypted = build.encrypted_inputs(encrypt=arguments.encrypt)
    written = write_inputs(device, inputs, encrypted, build.parameters, arguments, output)
    return {"build": _document(build), **written}


def _document(build: Build) -> dict[str, Json]:
    return {
        "tool": build.tool,
        "folder": str(build.folder),
        "chip": build.chip,
        "parts": [
            {
                "name": part.name,
                "partition": None if part.partition is None else part.partition.shown_name,
                "offset": part.offset,
                "file": None if part.path is None else str(part.path),
            }
            for part in build.parts
        ],
    }


def _add_flash(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "build",
        metavar="BUILD",
        help="the folder of a build (ESP-IDF, PlatformIO, Arduino, Zephyr), or a manifest.json",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--app-only", action="store_true", help="write the application alone")
    which.add_argument(
        "--partition",
        action="append",
        default=[],
        metavar="NAME",
        help="write this part alone, or what goes into the partition of that name; as often as "
        "wanted (default: all)",
    )
    parser.add_argument(
        "--erase", dest="erase_all", action="store_true", help="erase the whole flash first"
    )
    parser.add_argument(
        "--encrypt", action="store_true", help="have the device encrypt what the build marks so"
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="do not check whether the build is out of date, the bootloader and the security state",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the plan and do nothing")
    add_spi_connection(parser)
    add_monitor(parser)
    # As write-flash has them where nothing is said.
    parser.set_defaults(compress=None, no_skip=False, ignore_flash_enc_efuse=False)


COMMANDS: Final = (
    Command(
        name="flash",
        help="write what a build tool has made",
        add_arguments=_add_flash,
        run=OnDevice(_flash, _read),
        example="--port /dev/ttyUSB0 --baud 921600 flash build",
    ),
)
