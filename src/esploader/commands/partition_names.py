"""Names of partitions where an offset may stand: looked up in the table of the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from esploader.commands.values import PartitionName
from esploader.errors import PlanError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from esploader.commands.output import Output
    from esploader.device.device import Device
    from esploader.device.partitions import DevicePartition
    from esploader.flash.place import Offset
    from esploader.flash.source import Source

    Given: TypeAlias = Sequence[tuple[int | PartitionName, Source]]
    Placed: TypeAlias = list[tuple[Offset, Source]]


def placed_inputs(
    device: Device, arguments: argparse.Namespace, output: Output
) -> tuple[Placed, Placed]:
    """Return what is written as it is, and what is encrypted, each with where it goes.

    Raises:
        PartitionTableError: the device has no partition of a name that is used.
        PlanError: another table would be written in the same go.
        EsploaderError: the table cannot be read.
    """
    inputs: Given = arguments.inputs
    encrypted: Given = getattr(arguments, "encrypt_files", [])
    if getattr(arguments, "encrypt", False):
        inputs, encrypted = [], inputs
    named = [where for where, _ in (*inputs, *encrypted) if isinstance(where, PartitionName)]
    if not named:
        return _placed(inputs, {}), _placed(encrypted, {})
    found = partitions_of(device, arguments, named, output)
    partitions = {name.name: partition for name, partition in zip(named, found, strict=True)}
    placed = _placed(inputs, partitions), _placed(encrypted, partitions)
    if hasattr(arguments, "encrypt_files"):
        _check_table_stays(device, arguments, [*placed[0], *placed[1]])
    return placed


def partitions_of(
    device: Device,
    arguments: argparse.Namespace,
    names: Sequence[PartitionName],
    output: Output,
) -> tuple[DevicePartition, ...]:
    """Return the partitions of those names, and say where they are.

    Raises:
        PartitionTableError: the device has none of that name.
        EsploaderError: the table cannot be read.
    """
    device.partitions.table_offset = arguments.partition_table_offset
    found = device.partitions.select(*(name.name for name in names))
    for partition in dict.fromkeys(found):
        output.line(f"Partition {partition.entry}.")
    return found


def _placed(inputs: Given, partitions: dict[str, DevicePartition]) -> Placed:
    return [
        (
            partitions[where.name].place + where.start
            if isinstance(where, PartitionName)
            else where,
            source,
        )
        for where, source in inputs
    ]


def _check_table_stays(device: Device, arguments: argparse.Namespace, inputs: Placed) -> None:
    """Refuse to go by names of a table that is erased, or in whose place another one is written.

    Raises:
        PlanError: it is not there afterwards.
    """
    from esploader.flash.inputs import read_pieces

    table = device.partitions.raw_table()
    start: int = arguments.partition_table_offset
    pieces = read_pieces(inputs)
    written = [piece for piece in pieces if piece.offset < start + len(table) and start < piece.end]
    if arguments.erase_all and not written:
        raise PlanError(
            "with --erase-all the partition table, by which the names go, would be lost: write "
            "it in the same go, or give offsets"
        )
    for piece in written:
        first, last = max(piece.offset, start), min(piece.end, start + len(table))
        new = piece.data[first - piece.offset : last - piece.offset]
        others = [each for each in pieces if each.place is not None and each is not piece]
        if others and new != table[first - start : last - start]:
            raise PlanError(
                f"what goes to {piece.offset:#x} is another partition table than the one in "
                "flash, by which the names go: write the table first, then the partitions"
            )
