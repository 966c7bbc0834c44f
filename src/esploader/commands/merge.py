"""The command ``merge-bin``: one file of many."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.commands.flash_options import add_inputs
from esploader.commands.values import flash_frequency, flash_mode, flash_size, number, one_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from esploader.chips.model.chip import Chip
    from esploader.commands.output import Json, Output
    from esploader.flash.parameters import FlashParameters
    from esploader.flash.plan import HeaderChange, Piece
    from esploader.image.merge import Merged

_RAW: Final = "raw"
_HEX: Final = "hex"
_UF2: Final = "uf2"
FORMATS: Final = (_RAW, _UF2, _HEX)


def _merge_bin(arguments: argparse.Namespace, output: Output) -> None:
    from esploader.commands.output_file import OutputFile
    from esploader.flash.inputs import read_pieces
    from esploader.image.merge import merge
    from esploader.image.runs import Run

    output.banner()
    parameters = _flash_parameters(arguments, output)
    chip = _chip(arguments, parameters)
    _note_unheeded(arguments, output)
    pieces = read_pieces(arguments.inputs)
    for piece in pieces:
        output.line(f"{piece.inputs[0]}.")
    pieces, header = _with_parameters(pieces, chip, parameters)
    if header is not None:
        _say_header(header, output)
    start = arguments.target_offset
    merged = merge((Run(piece.offset, piece.data) for piece in pieces), start=start)
    parts = _parts(merged, chip, arguments, output)
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
                "chip": None if chip is None else chip.name,
                "inputs": _inputs_document(pieces),
                "header_changed": header is not None and header.is_new,
            },
            "warnings": output.warnings,
        }
    )


def _parts(
    merged: Merged, chip: Chip | None, arguments: argparse.Namespace, output: Output
) -> Iterator[bytes]:
    """Return the file, piece by piece."""
    if arguments.format == _UF2 and chip is not None:
        return merged.uf2(
            chip.uf2_family,
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


def _chip(arguments: argparse.Namespace, parameters: FlashParameters) -> Chip | None:
    """Return the chip that was named; ``None`` where nothing depends on it.

    Raises:
        PlanError: something does.
        UnsupportedError: there is no such chip, or it is not known what depends on it.
    """
    from esploader.chips.registry import chip_by_name
    from esploader.errors import PlanError
    from esploader.flash.parameters import KEEP_PARAMETERS

    if arguments.chip.lower() != "auto":
        return chip_by_name(arguments.chip)
    if arguments.format == _UF2:
        raise PlanError("a UF2 file is for one kind of chip: name it with --chip")
    if parameters != KEEP_PARAMETERS:
        raise PlanError("flash parameters are those of one kind of chip: name it with --chip")
    return None


def _flash_parameters(arguments: argparse.Namespace, output: Output) -> FlashParameters:
    from esploader.flash.parameters import DETECT, KEEP, FlashParameters

    size = arguments.flash_size
    if size == DETECT:
        # On the command line it was refused.
        output.note("ESPTOOL_FS=detect is not heeded: there is no flash here")
        size = KEEP
    return FlashParameters(mode=arguments.flash_mode, frequency=arguments.flash_freq, size=size)


def _note_unheeded(arguments: argparse.Namespace, output: Output) -> None:
    for given, name, needed in (
        (arguments.pad_to_size is not None, "--pad-to-size", _RAW),
        (arguments.chunk_size is not None, "--chunk-size", _UF2),
        (arguments.md5_disable, "--md5-disable", _UF2),
    ):
        if given and arguments.format != needed:
            output.note(f"{name} has no effect: it is for --format {needed}")


def _with_parameters(
    pieces: list[Piece], chip: Chip | None, parameters: FlashParameters
) -> tuple[list[Piece], HeaderChange | None]:
    """Return the pieces with what the bootloader is told of the flash, and what that is.

    Raises:
        PlanError: one is from a UF2 file for other chips.
        UnsupportedError: the chip does not know one of the parameters.
    """
    from esploader.flash.inputs import check_families, check_parameters, put_parameters
    from esploader.flash.parameters import KEEP_PARAMETERS

    if chip is None:
        return pieces, None
    check_families(pieces, chip)
    if parameters == KEEP_PARAMETERS:
        return pieces, None
    check_parameters(parameters, chip)
    return put_parameters(pieces, chip, parameters)


def _say_header(header: HeaderChange, output: Output) -> None:
    if not header.is_new:
        output.line(f"Flash parameters are {header.word:#06x} already ({header.names}).")
        return
    output.line(f"Flash parameters set to {header.word:#06x} ({header.names}).")
    if header.digest_renewed:
        output.line("SHA digest in image updated.")


def _inputs_document(pieces: Iterable[Piece]) -> list[Json]:
    return [
        {"name": part.name, "offset": part.offset, "size": part.size}
        for piece in pieces
        for part in piece.inputs
    ]


def _size_to_keep(text: str) -> str:
    """Return the name of a flash size; there is no flash that could be asked for its own."""
    if text == "detect":
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
        type=one_of(FORMATS),
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
            default="keep",
            metavar=name.upper(),
            help=f"what to put into the bootloader's header: {values} "
            f"(default: keep; environment: ESPTOOL_{short[1:].upper()})",
        )


COMMANDS: Final = (
    Command(
        name="merge-bin",
        help="make one file of many, for no device in particular",
        add_arguments=_add_merge,
        run=_merge_bin,
        example="--chip esp32c3 merge-bin -o all.bin 0 bootloader.bin 0x10000 app.bin",
    ),
)
