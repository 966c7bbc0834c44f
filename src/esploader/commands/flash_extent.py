"""Which part of the flash a command is about, where that is said by ``all`` or by a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.commands.flash_options import WHOLE_PARTITION
from esploader.commands.partition_names import partitions_of
from esploader.commands.values import PartitionName, number
from esploader.errors import PlanError, UnsupportedError
from esploader.flash.jedec import name_of_size
from esploader.flash.parameters import DETECT, KEEP

if TYPE_CHECKING:
    import argparse

    from esploader.commands.output import Output
    from esploader.device.device import Device


def extent(
    device: Device,
    arguments: argparse.Namespace,
    name: str,
    output: Output,
    *,
    erases: bool = False,
) -> tuple[int, int]:
    """Return the offset and the size that were given, or what they stand for.

    ``name`` is that of the size of the flash, where it cannot be found out. ``erases`` says that
    what is there is lost.

    Raises:
        PlanError: there are no such bytes, or the size of the flash is not known.
        EsploaderError: the flash cannot be asked.
    """
    where, size = arguments.offset, arguments.size
    if isinstance(where, PartitionName):
        (partition,) = partitions_of(device, arguments, [where], output)
        entry = partition.entry
        if erases:
            partition.place.check_alone()
        if size in {None, WHOLE_PARTITION}:
            return entry.offset, entry.size
        if size > entry.size:
            raise PlanError(f"{size:#x} bytes are more than the partition {partition.place} has")
        return entry.offset, size
    offset = int(where)
    if size is not None:
        return offset, size
    try:
        return offset, _size_to_the_end(device, offset, name)
    except UnsupportedError as exc:
        if not erases:
            raise
        raise PlanError(f"{exc}: give a size, or that of the flash by --flash-size") from exc


def _size_to_the_end(device: Device, offset: int, name: str) -> int:
    flash_size = _flash_size(device, name)
    if offset >= flash_size:
        raise PlanError(f"{offset:#x} is beyond the flash of {name_of_size(flash_size)}")
    return flash_size - offset


def _flash_size(device: Device, name: str) -> int:
    from esploader.flash.jedec import check_presence

    is_named = name not in {KEEP, DETECT}
    if not (is_named and device.is_in_secure_download_mode):
        flash = device.flash.id()
        check_presence(flash)
        if flash.size is not None:
            return flash.size
    if not is_named:
        raise PlanError("the size of the flash is not known: give one, or --flash-size")
    # Some names say how an ESP8266 maps the flash, too: 2MB-c1.
    return number(name.partition("-")[0])
