"""Commands for firmware images: make one of an ELF file, and say what is in one."""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.commands.flash_options import add_table_offset
from esploader.commands.values import (
    FLASH_MODES,
    OneOf,
    PartitionName,
    flash_frequency,
    flash_size,
    number,
)
from esploader.commands.values import offset as place_in_flash
from esploader.numerals import shown, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from esploader.chips.model.chip import Chip
    from esploader.commands.output import Json, Output
    from esploader.device.device import Device
    from esploader.errors import ImageError
    from esploader.image.build import BuiltImage
    from esploader.image.inspection import ImageReport
    from esploader.image.options import ImageOptions

_MAX_REVISION: Final = 0xFFFF
_LARGEST_FLASH: Final = 256 * 1024 * 1024
"""In bytes; what an image is padded to at most."""

_MMU_PAGE_SIZES: Final = ("8KB", "16KB", "32KB", "64KB", "128KB", "256KB")
_UNSAID: Final = frozenset({"keep", "detect"})
"""What the environment may have for other commands, and means nothing to a new image."""

_MODE, _SIZE = "qio", "1MB"


def _elf2image(arguments: argparse.Namespace, output: Output) -> None:
    from esploader.chips.registry import chip_by_name
    from esploader.errors import UnsupportedError
    from esploader.flash.source import read_source
    from esploader.image.build import build_image

    output.banner()
    if arguments.chip.lower() == "auto":
        raise UnsupportedError(
            "elf2image without --chip", "an ELF file does not say which chip it is for"
        )
    chip = chip_by_name(arguments.chip)
    options = _image_options(arguments)
    output.line(f"Creating {chip.name} image...")
    built = build_image(read_source(arguments.file), chip, options)
    for remark in built.remarks:
        output.note(remark)
    if built.joined_count:
        plural = "" if built.joined_count == 1 else "s"
        output.line(f"Merged {built.joined_count} ELF section{plural}.")
    files = _write(built, chip, arguments, output)
    output.line(f"Successfully created {chip.name} image.")
    output.finish(
        {
            "chip": chip.name,
            "files": files,
            "joined": built.joined_count,
            "remarks": list(built.remarks),
            "warnings": output.warnings,
        }
    )


def _image_options(arguments: argparse.Namespace) -> ImageOptions:
    from esploader.chips.model.revision import Revision
    from esploader.image.options import ImageOptions, Signature

    mode, frequency, size = (
        None if value in _UNSAID else value
        for value in (arguments.flash_mode, arguments.flash_freq, arguments.flash_size)
    )
    signature = Signature.V1 if arguments.secure_pad else None
    page_size = arguments.flash_mmu_page_size
    return ImageOptions(
        flash_mode=mode or _MODE,
        flash_frequency=frequency,
        flash_size=size or _SIZE,
        legacy_minimum_revision=arguments.min_rev,
        minimum_revision=Revision(*divmod(arguments.min_rev_full, 100)),
        maximum_revision=Revision(*divmod(arguments.max_rev_full, 100)),
        has_digest=not arguments.dont_append_digest,
        signature=Signature.V2 if arguments.secure_pad_v2 else signature,
        # As in esptool, 0 is no place for it.
        elf_digest_offset=arguments.elf_sha256_offset or None,
        pad_to=arguments.pad_to_size,
        use_segments=arguments.use_segments,
        mmu_page_size=None if page_size is None else number(page_size),
        ram_only_header=arguments.ram_only_header,
        esp8266_version=int(arguments.image_version),
    )


def _write(
    built: BuiltImage, chip: Chip, arguments: argparse.Namespace, output: Output
) -> list[Json]:
    from esploader.commands.output_file import OutputFile
    from esploader.errors import PlanError

    if arguments.output is None and not os.path.isfile(arguments.file):
        # Of a pipe the name would be one in a folder of the system.
        raise PlanError(f"{arguments.file} is no file to write an image beside: name --output")
    documents: list[Json] = []
    for path, data, offset in _files(built, chip, arguments):
        if _is_same(path, arguments.file):
            raise PlanError(f"{path} is the ELF file itself: name another file with --output")
        with OutputFile.open(path) as file:
            file.write(data)
        where = "" if offset is None else f", for offset {offset:#x} of the flash"
        output.line(f"Wrote {len(data)} bytes to '{path}'{where}.")
        documents.append({"file": str(path), "size": len(data), "offset": offset})
    return documents


def _is_same(path: Path, other: str) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        # There is none yet, or none can be there.
        return False


def _files(
    built: BuiltImage, chip: Chip, arguments: argparse.Namespace
) -> Iterator[tuple[Path, bytes, int | None]]:
    """Yield what is written: where to, what, and where that belongs in the flash, if anywhere."""
    elf, given = Path(arguments.file), arguments.output
    version = int(arguments.image_version)
    if chip.image_chip_id is not None or version > 2:  # noqa: PLR2004 - of the forms of images
        yield Path(given or elf.with_suffix(".bin")), built.data, None
    elif version == 1:
        prefix = given or f"{elf}-"
        if built.mapped is not None:
            offset, data = built.mapped
            yield Path(f"{prefix}{offset:#07x}.bin"), data, offset
        yield Path(f"{prefix}{0:#07x}.bin"), built.data, 0
    else:
        default = elf.with_name(f"{elf.stem}-{built.offset or 0:#07x}.bin")
        yield Path(given or default), built.data, built.offset


def _padded_size(text: str) -> int:
    found = number(text)
    if not 1 <= found <= _LARGEST_FLASH:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to {_LARGEST_FLASH // 1024**2}MB")
    return found


def _bounded(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            return whole(text, low, high)
        except ValueError as exc:
            raise argparse.ArgumentTypeError(str(exc)) from None

    return read


def _add_elf2image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="ELF", help="what the linker made")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="what to write, of version 1 for the ESP8266 how the names of both files begin "
        "(default: like the ELF file, with .bin)",
    )
    _add_header_options(parser)
    _add_layout_options(parser)


def _for_new_header(check: Callable[[str], str], examples: str) -> Callable[[str], str]:
    """Return what takes as ``check`` does, but for what only a header that is there can have."""

    def named(text: str) -> str:
        with contextlib.suppress(argparse.ArgumentTypeError):
            if text not in _UNSAID:
                return check(text)
        raise argparse.ArgumentTypeError(f"{shown(text)} is none of {examples} or the like")

    return named


def _add_header_options(parser: argparse.ArgumentParser) -> None:
    for short, name, check, values in (
        ("-fm", "mode", OneOf(*FLASH_MODES), "qio, qout, dio or dout"),
        (
            "-ff",
            "freq",
            _for_new_header(flash_frequency, "80m, 40m"),
            "80m, 40m, ... as the chip has them",
        ),
        (
            "-fs",
            "size",
            _for_new_header(flash_size, "1MB, 2MB"),
            "1MB, 2MB, ... as the chip has them",
        ),
    ):
        usual = {"mode": _MODE, "freq": "code 0", "size": _SIZE}[name]
        parser.add_argument(
            short,
            f"--flash-{name}",
            type=check,
            default=None,
            metavar=name.upper(),
            help=f"for the header: {values} "
            f"(default: {usual}; environment: ESPTOOL_{short[1:].upper()})",
        )
    for name, which in (("min", "earliest"), ("max", "latest")):
        parser.add_argument(
            f"--{name}-rev-full",
            type=_bounded(0, _MAX_REVISION),
            default=0 if name == "min" else _MAX_REVISION,
            metavar="N",
            help=f"the {which} revision of the chip that will do: 100 x major + minor "
            "(default: any)",
        )
    parser.add_argument(
        "-r",
        "--min-rev",
        type=_bounded(0, 255),
        default=0,
        metavar="N",
        help="likewise, for bootloaders from before there was --min-rev-full (default: 0)",
    )


def _add_layout_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-e",
        "--version",
        dest="image_version",
        choices=("1", "2", "3"),
        default="1",
        help="form of an image for the ESP8266 (default: 1)",
    )
    for name, what in (
        ("secure-pad", "leave room for a signature of Secure Boot V1 (ESP32)"),
        ("secure-pad-v2", "leave room for a signature of Secure Boot V2"),
        ("dont-append-digest", "let no SHA-256 digest follow the checksum"),
        ("use-segments", "take the segments of the ELF file, and not its sections"),
        ("ram-only-header", "announce only what goes into RAM; no digest follows"),
    ):
        parser.add_argument(f"--{name}", action="store_true", help=what)
    parser.add_argument(
        "--elf-sha256-offset",
        type=number,
        metavar="OFFSET",
        help="where in the image the SHA-256 digest of the ELF file goes (default: into the "
        "descriptor of the application, if there is one)",
    )
    parser.add_argument(
        "--flash-mmu-page-size",
        type=OneOf(*_MMU_PAGE_SIZES),
        metavar="SIZE",
        help=f"{', '.join(_MMU_PAGE_SIZES)}, where the chip has a choice (default: as the "
        "application says)",
    )
    parser.add_argument(
        "--pad-to-size",
        type=_padded_size,
        metavar="SIZE",
        help="fill the file up with 0xFF to a multiple of so many bytes, 64k, 1MB (default: none)",
    )


_BEGINNING_OF_HEX: Final = b":"
_BEGINNING_OF_UF2: Final = b"UF2\n"
_SAMPLE_SIZE: Final = 4096
"""How much of the beginning of a file tells what it is, in bytes."""

_MAX_NOTED: Final = 8
"""Pieces without an image that are named; some programs leave out all that is blank."""

_MAX_IMAGES: Final = 1024
"""What is said of each takes some 10 KiB, and a flash has a handful."""

_IN_FLASH: Final = "flash:"
"""What stands in front of a place in a flash, in place of the path of a file."""


def _image_info(arguments: argparse.Namespace, output: Output) -> None:
    if arguments.file.startswith(_IN_FLASH):
        from esploader.commands.on_device import OnDevice

        OnDevice(_image_in_flash)(arguments, output)
    else:
        _image_in_file(arguments, output)


def _image_in_file(arguments: argparse.Namespace, output: Output) -> None:
    from esploader.chips.registry import chip_by_name
    from esploader.commands.image_report import images_document, say_images

    with output.beside():
        output.banner()
    chip = None if arguments.chip.lower() == "auto" else chip_by_name(arguments.chip)
    documents: list[Json] = []
    for start, data, reports in _images_in(arguments.file, chip, output):
        where = f" at {start:#x}" if start else ""
        output.line(f"Image size: {len(data)} bytes{where}")
        say_images(reports, start, output, is_told_chip=chip is not None)
        documents += images_document(reports, start)
    output.finish({"file": arguments.file, "images": documents, "warnings": output.warnings})


def _images_in(
    path: str, chip: Chip | None, output: Output
) -> list[tuple[int, bytes, tuple[ImageReport, ...]]]:
    """Return the pieces of a file with images in them, and note those without.

    Raises:
        PlanError: the file cannot be read, is a damaged Intel HEX or UF2 file, or has too many
            images.
        ImageError: no piece has an image.
    """
    from esploader.errors import ImageError, PlanError
    from esploader.image.inspection import find_images

    found: list[tuple[int, bytes, tuple[ImageReport, ...]]] = []
    problems: list[tuple[int, ImageError]] = []
    for start, data in _contents(path):
        try:
            found.append((start, data, find_images(data, chip)))
        except ImageError as exc:
            problems.append((start, _told_by(data, exc)))
        if sum(len(reports) for *_, reports in found) > _MAX_IMAGES:
            raise PlanError(f"{path} has more than {_MAX_IMAGES} images: look into a part of it")
    if not found:
        raise problems[0][1]
    for start, problem in problems[:_MAX_NOTED]:
        output.note(f"there is no image at {start:#x}: {problem.reason}")
    if len(problems) > _MAX_NOTED:
        output.note(f"there is none at {len(problems) - _MAX_NOTED} more places")
    return found


def _told_by(data: bytes, problem: ImageError) -> ImageError:
    """Return what ``data`` are in place of an image; the ``problem``, where that cannot be told."""
    from esploader.errors import ImageError
    from esploader.image.foreign import foreign_kind

    kind = foreign_kind(data)
    return problem if kind is None else ImageError(f"it is {kind}")


def _contents(path: str) -> list[tuple[int, bytes]]:
    """Return what a file has, and at which address, 0 where that is not said.

    Raises:
        PlanError: it cannot be read, or is a damaged Intel HEX or UF2 file.
        ImageError: it is empty.
    """
    from esploader.errors import ImageError
    from esploader.flash.source import MAX_SOURCE_SIZE, begin, open_source, read_all

    with open_source(path) as file:
        beginning, whole = begin(file, _SAMPLE_SIZE)
        if not beginning:
            raise ImageError("it is empty")
        # It takes a while to load what knows of other files.
        if beginning.startswith(_BEGINNING_OF_UF2):
            from esploader.image import uf2

            return [(run.address, run.data) for run in uf2.read_file(whole).runs]
        if beginning[:64].lstrip()[:1] == _BEGINNING_OF_HEX:
            from esploader.image import hexfile

            if hexfile.is_hex(beginning):
                return [(run.address, run.data) for run in hexfile.read_file(whole)]
        return [(0, read_all(whole, MAX_SOURCE_SIZE))]


def _image_in_flash(
    device: Device, arguments: argparse.Namespace, output: Output
) -> dict[str, Json]:
    from esploader.commands.image_report import images_document, say_images
    from esploader.commands.partition_names import partitions_of
    from esploader.errors import ImageError
    from esploader.image.header import MAX_HEADER_SIZE
    from esploader.image.inspection import inspect_image
    from esploader.image.measuring import measure_image

    where = place_in_flash(arguments.file.removeprefix(_IN_FLASH))
    if isinstance(where, PartitionName):
        (partition,) = partitions_of(device, arguments, [where], output)
        start = partition.entry.offset
    else:
        start = where
    try:
        size = measure_image(lambda at, size: device.flash.read(start + at, size), device.chip)
    except ImageError as exc:
        raise _told_by(device.flash.read(start, MAX_HEADER_SIZE), exc) from None
    data = device.flash.read(start, size, on_progress=output.progress)
    output.line(f"Image size: {size} bytes at {start:#x} of the flash")
    reports = (inspect_image(data, device.chip),)
    say_images(reports, start, output, is_told_chip=True)
    return {"images": images_document(reports, start)}


def _image_place(text: str) -> str:
    if text.startswith(_IN_FLASH):
        place_in_flash(text.removeprefix(_IN_FLASH))
    return text


def _add_image_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        type=_image_place,
        metavar="FILE",
        help="an image, several in one file, an Intel HEX or UF2 file, or flash:OFFSET or "
        "flash:part:NAME: what the flash of a device has there",
    )
    add_table_offset(parser)


COMMANDS: Final = (
    Command(
        name="elf2image",
        help="make a firmware image of an ELF file",
        add_arguments=_add_elf2image,
        heeds_files=False,
        run=_elf2image,
        example="--chip esp32c3 elf2image --flash-mode dio --flash-size 4MB app.elf",
    ),
    Command(
        name="image-info",
        help="say what is in a firmware image",
        add_arguments=_add_image_info,
        run=_image_info,
        example="image-info app.bin",
        only_prints=True,
    ),
)
