"""Commands that read and write memory, or run a program there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.commands.flash_options import pace
from esploader.commands.on_device import OnDevice
from esploader.commands.values import number

if TYPE_CHECKING:
    import argparse

    from esploader.commands.output import Json, Output
    from esploader.device.device import Device


def _read_mem(device: Device, arguments: argparse.Namespace, output: Output) -> dict[str, Json]:
    value = device.memory.read_register(arguments.address)
    output.line(f"{arguments.address:#010x} = {value:#010x}")
    return {"address": arguments.address, "value": value}


def _write_mem(device: Device, arguments: argparse.Namespace, output: Output) -> dict[str, Json]:
    device.memory.write_register(arguments.address, arguments.value, arguments.mask)
    output.line(f"Wrote {arguments.value:#010x}, mask {arguments.mask:#010x}")
    return {"address": arguments.address, "value": arguments.value, "mask": arguments.mask}


def _dump_mem(device: Device, arguments: argparse.Namespace, output: Output) -> dict[str, Json]:
    from esploader.commands.output_file import OutputFile

    address, size, path = arguments.address, arguments.size, Path(arguments.output)
    clock = device.session.transport.clock
    with OutputFile.open(path) as file:
        start = clock.now()
        data = device.memory.read(address, size, on_progress=output.progress)
        taken = pace(size, clock.now() - start)
        file.write(data)
    output.line(f"Dumped {size} bytes from {address:#010x} {taken} to '{path}'.")
    return {"read": {"address": address, "size": size, "file": str(path)}}


def _read_program(arguments: argparse.Namespace) -> None:
    from esploader.flash.source import read_source

    arguments.program = read_source(arguments.file)


def _load_ram(device: Device, arguments: argparse.Namespace, output: Output) -> dict[str, Json]:
    device.memory.load(arguments.program)
    output.line("The program runs now.")
    return {"loaded": arguments.file}


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", type=number, metavar="ADDRESS", help="a multiple of 4")


def _add_write(parser: argparse.ArgumentParser) -> None:
    _add_address(parser)
    parser.add_argument("value", type=number, metavar="VALUE", help="what to write")
    parser.add_argument(
        "mask",
        type=number,
        metavar="MASK",
        nargs="?",
        default=0xFFFF_FFFF,
        help="which bits to change (default: all)",
    )


def _add_dump(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", type=number, metavar="ADDRESS", help="where to begin")
    parser.add_argument("size", type=number, metavar="SIZE", help="bytes, 64k, 1M")
    parser.add_argument("output", metavar="FILE", help="written when all has been read")


def _add_load(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a firmware image that needs no flash")


COMMANDS: Final = (
    Command(
        name="read-mem",
        help="read a word of memory",
        add_arguments=_add_address,
        run=OnDevice(_read_mem),
        example="--port /dev/ttyUSB0 read-mem 0x40001000",
        only_prints=True,
    ),
    Command(
        name="write-mem",
        help="write a word of memory",
        add_arguments=_add_write,
        run=OnDevice(_write_mem),
        example="--port /dev/ttyUSB0 write-mem 0x3fc90000 0x12 0xff",
    ),
    Command(
        name="dump-mem",
        help="read memory into a file",
        add_arguments=_add_dump,
        run=OnDevice(_dump_mem),
        example="--port /dev/ttyUSB0 dump-mem 0x40000000 64k rom.bin",
    ),
    Command(
        name="load-ram",
        help="run a program from RAM",
        add_arguments=_add_load,
        run=OnDevice(_load_ram, _read_program, starts_program=True),
        example="--port /dev/ttyUSB0 load-ram program.bin",
    ),
)
