"""Where on one board something goes that is given the name of a partition.

Names go by the table that the board has afterwards: by one that is written in the same go, or
by that in its flash, where it stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.errors import PartitionTableError, PlanError
from esploader.image.partition import TABLE_SIZE
from esploader.image.partitions import parse_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esploader.device.device import Device
    from esploader.flash.artefact import Artefact
    from esploader.flash.place import Offset
    from esploader.flash.source import Source
    from esploader.fleet.job import DeviceInput, Job
    from esploader.image.partitions import PartitionTable


def with_device_inputs(device: Device, job: Job, inputs: Sequence[DeviceInput]) -> Artefact:
    """Return the artefact of the job with what goes to this board alone.

    Raises:
        PartitionTableError: there is no partition of a name that is used.
        PlanError: an input cannot be read, or the table by which names go would be lost.
        EsploaderError: the table cannot be read.
    """
    names = {each.where for each in inputs if isinstance(each.where, str)}
    places: dict[str, Offset] = {}
    if names:
        device.partitions.table_offset = job.table_offset
        table = _table_written(device, job)
        found = device.partitions.select(*sorted(names), table=table)
        places = {name: each.place for name, each in zip(sorted(names), found, strict=True)}

    def placed(*, encrypted: bool) -> list[tuple[Offset, Source]]:
        return [
            (places[each.where] if isinstance(each.where, str) else each.where, each.source)
            for each in inputs
            if each.encrypted is encrypted
        ]

    return job.artefact.with_inputs(
        placed(encrypted=False), encrypted_inputs=placed(encrypted=True)
    )


def _table_written(device: Device, job: Job) -> PartitionTable | None:
    """Return the table that the job writes; ``None`` where the one in flash stays.

    Raises:
        PlanError: it does not stay, and no other one is written.
        PartitionTableError: what is written in its place is none.
    """
    start, end = job.table_offset, job.table_offset + TABLE_SIZE
    for piece in job.artefact.made_for(device.chip):
        if piece.offset <= start < piece.end:
            data = piece.data[start - piece.offset : end - piece.offset]
            try:
                return parse_table(bytes(data))
            except PartitionTableError as exc:
                reason = f"what is written to {start:#x} is no partition table: {exc.reason}"
                raise PartitionTableError(reason) from exc
        if start < piece.offset < end:
            raise PlanError(
                f"what goes to {piece.offset:#x} is a part of another partition table than the "
                "one in flash, by which the names go: write all of it, or give offsets"
            )
    if job.erase_all:
        raise PlanError(
            "the whole flash is erased, and with it the partition table by which the names go: "
            "write it in the same go, or give offsets"
        )
    return None
