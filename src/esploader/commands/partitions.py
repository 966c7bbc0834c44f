"""The command that shows, converts and changes what is said of partitions."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.commands.flash_options import add_spi_connection, add_table_offset
from esploader.commands.on_device import OnDevice
from esploader.commands.values import flash_size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from esploader.chips.model.chip import Chip
    from esploader.commands.output import Json, Output
    from esploader.device.device import Device
    from esploader.image.otadata import OtaData
    from esploader.image.partitions import PartitionTable

_log: Final = logging.getLogger(__name__)

_MAX_TEXT_SIZE: Final = 1024 * 1024
"""Of a table as text, in bytes: it may have comments."""


def _run(arguments: argparse.Namespace, output: Output) -> None:
    """Do the work on a device, unless a file is named."""
    if arguments.file is None:
        OnDevice(_on_device)(arguments, output)
    else:
        _on_file(arguments, output)


def _on_device(device: Device, arguments: argparse.Namespace, output: Output) -> dict[str, Json]:
    from esploader.flash.jedec import name_of_size

    partitions = device.partitions
    partitions.table_offset = arguments.partition_table_offset
    with _outputs(arguments, output) as write:
        table = partitions.table
        size = device.flash.id().size
        place = f"at {arguments.partition_table_offset:#x}"
        of = "" if size is None else f" of a flash of {name_of_size(size)}"
        output.line(f"Partition table {place}{of}:")
        document = _show_table(table, arguments.partition_table_offset, size, output)
        write(table)
    changed: bool | None = None
    if arguments.boot is not None:
        changed = partitions.boot(arguments.boot, force=arguments.force)
    document |= _show_choice(table, partitions.otadata(table), output)
    if changed is not None:
        output.line("Written, and seen to be there." if changed else "That was so already.")
    return {**document, "boot_changed": changed}


def _on_file(arguments: argparse.Namespace, output: Output) -> None:
    from esploader.errors import PlanError
    from esploader.flash.limits import named_size
    from esploader.flash.source import read_source

    if arguments.boot is not None:
        raise PlanError("--boot is for a device: leave out the file")
    output.banner()
    data = read_source(arguments.file)
    table = _table_of(data, arguments)
    size = named_size(arguments.table_flash_size)
    output.line(f"Partition table in '{arguments.file}':")
    with _outputs(arguments, output) as write:
        document = _show_table(table, arguments.partition_table_offset, size, output)
        write(table)
    output.finish({"file": arguments.file, **document, "warnings": output.warnings})


def _table_of(data: bytes, arguments: argparse.Namespace) -> PartitionTable:
    """Return the table that a file holds: as it is in flash, as text, or in all of a flash.

    Raises:
        PartitionTableError: it holds none.
        UnknownChipError: there is no such chip.
    """
    from esploader.errors import PartitionTableError
    from esploader.image.foreign import foreign_kind
    from esploader.image.partition import TABLE_SIZE
    from esploader.image.partitions import is_table, parse_csv, parse_table

    offset = arguments.partition_table_offset
    try:
        for start in (0, offset):
            if is_table(data[start : start + TABLE_SIZE]):
                return parse_table(data[start : start + TABLE_SIZE])
        chip = _chip(arguments)
        return parse_csv(
            _text_of(data),
            table_offset=offset,
            bootloader_offset=None if chip is None else chip.bootloader_offset,
        )
    except PartitionTableError as exc:
        kind = foreign_kind(data)
        reason = str(exc) if kind in {None, "text"} or not data else f"it is {kind}"
        raise PartitionTableError(f"'{arguments.file}' is no partition table: {reason}") from exc


def _chip(arguments: argparse.Namespace) -> Chip | None:
    from esploader.chips.registry import chip_by_name

    return None if arguments.chip.lower() == "auto" else chip_by_name(arguments.chip)


def _text_of(data: bytes) -> str:
    """Return a file as text: UTF-8, or UTF-16 that begins by saying so.

    Raises:
        PartitionTableError: it is neither.
    """
    from esploader.errors import PartitionTableError

    if len(data) > _MAX_TEXT_SIZE:
        raise PartitionTableError(f"as text it has no more than {_MAX_TEXT_SIZE} bytes")
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as exc:
        raise PartitionTableError("it is neither a table in flash nor text") from exc


@contextlib.contextmanager
def _outputs(
    arguments: argparse.Namespace, output: Output
) -> Iterator[Callable[[PartitionTable], None]]:
    """Open the files that a table is to be written to, and yield what does that.

    Raises:
        PlanError: one cannot be written.
    """
    from esploader.commands.output_file import OutputFile

    with contextlib.ExitStack() as stack:
        paths = {"CSV": arguments.csv, "binary": arguments.binary}
        files = {
            kind: (path, stack.enter_context(OutputFile.open(Path(path))))
            for kind, path in paths.items()
            if path is not None
        }

        def write(table: PartitionTable) -> None:
            for kind, (path, file) in files.items():
                file.write(table.to_csv().encode() if kind == "CSV" else table.to_bytes())
                output.line(f"Written to '{path}' as {kind}.")

        yield write


def _show_table(
    table: PartitionTable, offset: int, size: int | None, output: Output
) -> dict[str, Json]:
    """Show a table and what is free, and warn of what is wrong with it."""
    from esploader.image.partition import size_name
    from esploader.image.partitions import table_lines

    for line in table_lines(table):
        output.line(line)
    gaps = None if size is None else table.gaps(size, table_offset=offset)
    if gaps is not None:
        free = [f"{size_name(gap.size)} at {gap.offset:#x}" for gap in gaps]
        output.line(f"Free: {', '.join(free) or 'nothing'}")
    if not table.has_md5:
        output.line("The table has no MD5.")
    for problem in table.problems(table_offset=offset, flash_size=size):
        _log.warning("ESP-IDF would refuse this table: %s", problem)
    partitions: list[Json] = [
        {
            "name": each.shown_name,
            "type": each.type_name,
            "subtype": each.subtype_name,
            "offset": each.offset,
            "size": each.size,
            "flags": list(each.flag_names),
        }
        for each in table
    ]
    return {
        "table_offset": offset,
        "has_md5": table.has_md5,
        "flash_size": size,
        "partitions": partitions,
        "free": None
        if gaps is None
        else [{"offset": gap.offset, "size": gap.size} for gap in gaps],
    }


def _show_choice(table: PartitionTable, otadata: OtaData | None, output: Output) -> dict[str, Json]:
    """Show which application boots, why, and where the next update goes."""
    from esploader.image.otadata import booting, next_slot

    boots, following = booting(table, otadata), next_slot(table, otadata)
    if boots is None:
        output.line("Boots: nothing, there is no partition for an app")
    else:
        output.line(f"Boots: {boots.shown_name} ({_reason(otadata)})")
    if following is not None:
        output.line(f"Next update: {following.shown_name}")
    return {
        "boots": None if boots is None else boots.shown_name,
        "next_update": None if following is None else following.shown_name,
        "otadata": None
        if otadata is None
        else [
            {"sequence": entry.sequence, "state": entry.state_name, "valid": entry.is_valid}
            for entry in otadata.entries
        ],
    }


def _reason(otadata: OtaData | None) -> str:
    if otadata is None:
        return "there is no otadata"
    if otadata.active is None:
        return "otadata chooses none"
    entry = otadata.entries[otadata.active]
    return f"entry {otadata.active} of otadata, update {entry.sequence}, {entry.state_name}"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="a table as CSV or binary, in place of a device's"
    )
    parser.add_argument("--csv", metavar="FILE", help="write it as CSV (default: to no file)")
    parser.add_argument(
        "--binary", metavar="FILE", help="write it as it is in flash (default: to no file)"
    )
    parser.add_argument(
        "--boot",
        metavar="NAME",
        help="have the app in this slot boot from now on (default: as otadata says)",
    )
    parser.add_argument(
        "--force", action="store_true", help="do not check that the slot holds an app"
    )
    parser.add_argument(
        "-fs",
        "--flash-size",
        # ESPTOOL_FS is about bootloaders.
        dest="table_flash_size",
        type=flash_size,
        default="keep",
        metavar="SIZE",
        help="size of the flash that the table in a file is for (default: unknown)",
    )
    add_table_offset(parser)
    add_spi_connection(parser)


COMMANDS: Final = (
    Command(
        name="partition-table",
        help="show or convert a partition table, or choose what boots",
        add_arguments=_add_arguments,
        run=_run,
        example="--port /dev/ttyUSB0 partition-table --boot ota_1",
        only_prints=True,
        works_with=("boot", "csv", "binary"),
    ),
)
