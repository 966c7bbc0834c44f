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
    from esploader.flash.plan import WritePlan
    from esploader.flash.source import Source

    Given: TypeAlias = Sequence[tuple[Offset | PartitionName, Source]]
    Placed: TypeAlias = list[tuple[Offset, Source]]


def place_inputs(device: Device, arguments: argparse.Namespace, output: Output) -> None:
    """Put places where the inputs have names of partitions.

    Raises:
        PartitionTableError: the device has no partition of a name that is used.
        EsploaderError: the table cannot be read.
    """
    inputs: Given = arguments.inputs
    encrypted: Given = getattr(arguments, "encrypt_files", [])
    names = [where for where, _ in (*inputs, *encrypted) if isinstance(where, PartitionName)]
    if not names:
        return
    found = partitions_of(device, arguments, names, output)
    partitions = {name.name: partition for name, partition in zip(names, found, strict=True)}
    arguments.inputs = _placed(inputs, partitions)
    arguments.encrypt_files = _placed(encrypted, partitions)


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
        (partitions[where.name].place if isinstance(where, PartitionName) else where, source)
        for where, source in inputs
    ]


def check_table_stays(
    device: Device, inputs: Sequence[tuple[Offset, Source]], plan: WritePlan
) -> None:
    """Refuse to go by names of a table that is erased, or in whose place another one is written.

    Raises:
        PlanError: it is not there afterwards.
        EsploaderError: it cannot be read.
    """
    from esploader.flash.place import Place
    from esploader.image.partition import TABLE_SIZE

    start = device.partitions.table_offset
    # The table itself may be a partition, and go by its name.
    places = [each for each, _ in inputs if isinstance(each, Place) and each.start != start]
    if not places:
        return
    end = start + TABLE_SIZE
    regions = [region for region in plan.regions if region.offset < end and start < region.end]
    if plan.erase_all and not regions:
        raise PlanError(
            "with --erase-all the partition table, by which the names go, would be lost: write "
            "it in the same go, or give offsets"
        )
    for region in regions:
        first, last = max(region.offset, start), min(region.end, end)
        new = region.data[first - region.offset : last - region.offset]
        if new != device.partitions.raw_table()[first - start : last - start]:
            raise PlanError(
                f"what goes to {first:#x} is another partition table than the one in flash, by "
                "which the names go: write the table first, then the partitions"
            )
