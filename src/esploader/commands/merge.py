"""The command ``merge-bin``: one file of many."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.commands.flash_options import add_inputs
from esploader.commands.values import OneOf, flash_frequency, flash_mode, flash_size, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from esploader.commands.output import Output
    from esploader.image.merge import Merged
    from esploader.image.runs import Run

_RAW: Final = "raw"
_HEX: Final = "hex"
_UF2: Final = "uf2"
FORMATS: Final = (_RAW, _UF2, _HEX)

_KEEP: Final = "keep"
_DETECT: Final = "detect"


def _merge_bin(arguments: argparse.Namespace, output: Output) -> None:
    from esploader.commands.merge_inputs import read_inputs
    from esploader.commands.output_file import OutputFile
    from esploader.image.merge import merge

    output.banner()
    parameters = _parameters(arguments, output)
    _check_chip(arguments, parameters)
    _note_unheeded(arguments, output)
    inputs = read_inputs(arguments, output)
    is_changed, runs = _with_parameters(inputs, arguments, parameters, output)
    start = arguments.target_offset
    parts = _parts(merge(runs, start=start), arguments, output)
    with OutputFile.open(Path(arguments.output)) as file:
        size = file.write_parts(parts)
    output.line(f"Wrote {size:#x} bytes to file '{arguments.output}', {_use(arguments)}.")
    output.finish(
        {
            "merged": {
                "file": arguments.output,
                "format": arguments.format,
                "size": size,
                "offset": start,
                "inputs": [
                    {"name": name, "offset": run.address, "size": len(run.data)}
                    for name, run in inputs
                ],
                "header_changed": is_changed,
            },
            "warnings": output.warnings,
        }
    )


def _parts(merged: Merged, arguments: argparse.Namespace, output: Output) -> Iterator[bytes]:
    """Return the file, piece by piece."""
    if arguments.format == _UF2:
        from esploader.chips.registry import chip_by_name, uf2_family_of

        family = uf2_family_of(arguments.chip)
        return merged.uf2(
            # One that is not known says so.
            chip_by_name(arguments.chip).uf2_family if family is None else family,
            chunk_size=arguments.chunk_size,
            has_checksum=not arguments.md5_disable,
        )
    if arguments.format == _HEX:
        return merged.hex()
    parts = merged.raw(pad_to=arguments.pad_to_size)
    gaps = merged.end - merged.start - sum(len(run.data) for run in merged.runs)
    if gaps:
        output.note(f"{gaps} bytes in gaps are filled with 0xFF; --format hex leaves them out")
    return parts


def _use(arguments: argparse.Namespace) -> str:
    """Return what the file is good for, in the words that tools know."""
    if arguments.format == _UF2:
        return "ready to be flashed with any ESP USB Bridge"
    # The addresses are in the file.
    offset = arguments.target_offset if arguments.format == _RAW else 0
    return f"ready to flash to offset {offset:#x}"


def _check_chip(arguments: argparse.Namespace, parameters: dict[str, str]) -> None:
    """See that the chip is named where something depends on it, and that there is one.

    Raises:
        PlanError: it is not named.
        UnsupportedError: there is none of that name.
    """
    from esploader.chips.registry import uf2_family_of
    from esploader.errors import PlanError

    if arguments.chip.lower() != "auto":
        uf2_family_of(arguments.chip)
    elif arguments.format == _UF2:
        raise PlanError("a UF2 file is for one kind of chip: name it with --chip")
    elif parameters:
        raise PlanError("flash parameters are those of one kind of chip: name it with --chip")


def _parameters(arguments: argparse.Namespace, output: Output) -> dict[str, str]:
    """Return the flash parameters that are not to be kept."""
    size = arguments.flash_size
    if size == _DETECT:
        # On the command line it was refused.
        output.note("ESPTOOL_FS=detect is not heeded: there is no flash here")
        size = _KEEP
    named = {"mode": arguments.flash_mode, "frequency": arguments.flash_freq, "size": size}
    return {what: name for what, name in named.items() if name != _KEEP}


def _note_unheeded(arguments: argparse.Namespace, output: Output) -> None:
    for given, name, needed in (
        (arguments.pad_to_size is not None, "--pad-to-size", _RAW),
        (arguments.chunk_size is not None, "--chunk-size", _UF2),
        (arguments.md5_disable, "--md5-disable", _UF2),
    ):
        if given and arguments.format != needed:
            output.note(f"{name} has no effect: it is for --format {needed}")


def _with_parameters(
    inputs: Iterable[tuple[str, Run]],
    arguments: argparse.Namespace,
    parameters: dict[str, str],
    output: Output,
) -> tuple[bool, list[Run]]:
    """Tell the bootloader of the flash; return whether that is new to it, and all runs.

    Raises:
        UnsupportedError: the chip does not know one of the parameters.
    """
    runs = [run for _, run in inputs]
    if not parameters:
        return False, runs
    from esploader.chips.registry import chip_by_name
    from esploader.commands.plan_report import say_header
    from esploader.flash.inputs import check_parameters, put_parameters
    from esploader.flash.parameters import FlashParameters
    from esploader.flash.plan import Piece
    from esploader.image.runs import Run

    chip, wanted = chip_by_name(arguments.chip), FlashParameters(**parameters)
    check_parameters(wanted, chip)
    found = put_parameters([Piece(run.address, run.data) for run in runs], chip, wanted)
    found.warn()
    say_header(found.header, output)
    is_new = found.header is not None and found.header.is_new
    return is_new, [Run(piece.offset, bytes(piece.data)) for piece in found.pieces]


def _size_to_keep(text: str) -> str:
    """Return the name of a flash size; there is no flash that could be asked for its own."""
    if text == _DETECT:
        raise argparse.ArgumentTypeError("there is no flash here whose size could be detected")
    return flash_size(text)


def _add_merge(parser: argparse.ArgumentParser) -> None:
    add_inputs(parser)
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="what to write (default: none, it is needed)",
    )
    parser.add_argument(
        "-f",
        "--format",
        type=OneOf(*FORMATS),
        default=_RAW,
        metavar="FORMAT",
        help="raw, uf2 or hex (default: raw)",
    )
    raw = parser.add_argument_group("raw files")
    raw.add_argument(
        "-t",
        "--target-offset",
        type=number,
        default=0,
        metavar="OFFSET",
        help="where the file will be written to (default: 0)",
    )
    raw.add_argument(
        "--pad-to-size",
        "--fill-flash-size",
        type=number,
        metavar="SIZE",
        help="fill it up to the end of a flash of that size: 4MB, ... (default: not at all)",
    )
    uf2 = parser.add_argument_group("UF2 files")
    uf2.add_argument(
        "--chunk-size",
        type=number,
        metavar="SIZE",
        help="bytes in each block, a multiple of 4 (default: 452, or 476 without checksums)",
    )
    uf2.add_argument("--md5-disable", action="store_true", help="leave out the checksums")
    for short, name, check, values in (
        ("-fm", "mode", flash_mode, "qio, qout, dio, dout or keep"),
        ("-ff", "freq", flash_frequency, "80m, 40m, ... as the chip has them, or keep"),
        ("-fs", "size", _size_to_keep, "1MB, 2MB, ... as the chip has them, or keep"),
    ):
        parser.add_argument(
            short,
            f"--flash-{name}",
            type=check,
            default=_KEEP,
            metavar=name.upper(),
            help=f"what to put into the bootloader's header: {values} "
            f"(default: keep; environment: ESPTOOL_{short[1:].upper()})",
        )


COMMANDS: Final = (
    Command(
        name="merge-bin",
        help="make one file of many, for no device in particular",
        add_arguments=_add_merge,
        heeds_files=False,
        run=_merge_bin,
        example="--chip esp32c3 merge-bin -o all.bin 0 bootloader.bin 0x10000 app.bin",
    ),
)
