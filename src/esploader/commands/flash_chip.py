"""Commands to the flash chip itself: its id, its status, its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.commands.flash_options import Unheeded, add_spi_connection
from esploader.commands.on_device import OnDevice
from esploader.commands.values import count, number

if TYPE_CHECKING:
    import argparse

    from esploader.commands.output import Json, Output
    from esploader.device.device import Device


def _flash_id(device: Device, _: argparse.Namespace, output: Output) -> dict[str, Json]:
    from esploader.flash.jedec import name_of_size

    flash = device.flash.id()
    wiring = device.flash.wiring()
    kind, voltage = wiring.type, wiring.voltage
    size = None if flash.size is None else name_of_size(flash.size)
    output.line("Flash Memory Information:")
    output.line("=========================")
    output.line(f"Manufacturer: {flash.manufacturer:02x}")
    output.line(f"Device: {flash.device:04x}")
    if flash.manufacturer_name is not None:
        names = (flash.manufacturer_name, flash.device_name)
        output.line(f"Flash chip: {' '.join(name for name in names if name)}")
    output.line(f"Detected flash size: {size or 'Unknown'}")
    if not flash.is_plausible:
        output.note("this is the id of no flash chip: none answers")
    if kind is not None:
        output.line(f"Flash type set in eFuse: {kind}")
    if voltage is not None:
        output.line(f"Flash voltage set by {voltage.source.value}: {voltage}")
    return {
        "flash": {
            "manufacturer": flash.manufacturer,
            "manufacturer_name": flash.manufacturer_name,
            "device": flash.device,
            "device_name": flash.device_name,
            "size": flash.size,
            "data_lines": None if kind is None else kind.value,
            "millivolts": None if voltage is None else voltage.millivolts,
            "voltage_source": None if voltage is None else voltage.source.name.lower(),
        }
    }


def _read_flash_status(
    device: Device, arguments: argparse.Namespace, output: Output
) -> dict[str, Json]:
    status = device.flash.status(arguments.bytes)
    output.line(f"Status value: {status:#0{2 + 2 * arguments.bytes}x}")
    return {"status": status}


def _write_flash_status(
    device: Device, arguments: argparse.Namespace, output: Output
) -> dict[str, Json]:
    digits = 2 + 2 * arguments.bytes
    before = device.flash.status(arguments.bytes)
    output.line(f"Initial flash status: {before:#0{digits}x}")
    after = device.flash.write_status(
        arguments.value, arguments.bytes, non_volatile=arguments.non_volatile
    )
    output.line(f"After flash status: {after:#0{digits}x}")
    return {"status": after, "status_before": before}


def _read_flash_sfdp(
    device: Device, arguments: argparse.Namespace, output: Output
) -> dict[str, Json]:
    data = device.flash.sfdp(arguments.offset, arguments.size)
    output.line(f"SFDP[{arguments.offset}..{arguments.offset + len(data) - 1}]: {data.hex(' ')}")
    return {"offset": arguments.offset, "data": data.hex()}


def _add_register_count(parser: argparse.ArgumentParser) -> None:
    add_spi_connection(parser)
    parser.add_argument(
        "--bytes",
        type=count,
        choices=(1, 2, 3),
        default=2,
        help="how many registers (default: 2)",
    )


def _add_write_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("value", type=number, metavar="VALUE", help="register 1 lowest")
    parser.add_argument(
        "--non-volatile",
        action="store_true",
        help="for good, not until the power goes",
    )
    _add_register_count(parser)


def _add_sfdp(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("offset", type=number, metavar="OFFSET", help="where in the tables")
    parser.add_argument("size", type=number, metavar="SIZE", help="1 to 64 bytes")
    for short, name in (("-fm", "mode"), ("-ff", "freq"), ("-fs", "size")):
        parser.add_argument(
            short,
            f"--flash-{name}",
            action=Unheeded,
            why="nothing is written",
            metavar=name.upper(),
            help="has no effect (default: none)",
        )
    add_spi_connection(parser)


COMMANDS: Final = (
    Command(
        name="flash-id",
        help="read the JEDEC id of the flash chip",
        add_arguments=add_spi_connection,
        run=OnDevice(_flash_id),
        example="--port /dev/ttyUSB0 flash-id",
        only_prints=True,
    ),
    Command(
        name="read-flash-status",
        help="read the flash chip's status registers",
        add_arguments=_add_register_count,
        run=OnDevice(_read_flash_status),
        example="--port /dev/ttyUSB0 read-flash-status --bytes 1",
        only_prints=True,
    ),
    Command(
        name="write-flash-status",
        help="set the flash chip's status registers",
        add_arguments=_add_write_status,
        run=OnDevice(_write_flash_status),
        example="--port /dev/ttyUSB0 write-flash-status --bytes 1 0",
    ),
    Command(
        name="read-flash-sfdp",
        help="read the flash chip's SFDP tables",
        add_arguments=_add_sfdp,
        run=OnDevice(_read_flash_sfdp),
        example="--port /dev/ttyUSB0 read-flash-sfdp 0 16",
        only_prints=True,
    ),
)
