"""What a file is that a device is to run, and where in its flash it goes."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from esploader.device.partitions import APP_NAME
from esploader.errors import ImageError, PartitionTableError, PlanError
from esploader.flash.builds.esp_idf import WORDS
from esploader.flash.builds.zephyr import RUNNERS
from esploader.flash.contents import is_known_as_packed
from esploader.flash.source import is_lasting, read_source
from esploader.image.elf import is_program
from esploader.image.inspection import inspect_image
from esploader.image.partitions import DEFAULT_OFFSET, parse_table

if TYPE_CHECKING:
    from esploader.device.device import Device
    from esploader.flash.place import Offset

Destination: TypeAlias = "int | str"
"""An offset in flash, or ``part:NAME`` for the partition of that name."""

PARTITION: Final = "part:"
"""What the name of a partition begins with, where an offset may stand."""


def is_destination(value: object) -> bool:
    """Tell whether ``value`` says where in flash something goes."""
    if isinstance(value, str):
        return len(value) > len(PARTITION) and value.startswith(PARTITION)
    return type(value) is int and value >= 0


def is_build(path: str) -> bool:
    """Tell whether ``path`` is where a build tool has written to, or describes what it wrote."""
    place = Path(path)
    return place.suffix == ".json" or place.name in (WORDS, RUNNERS) or place.is_dir()


def destination_of(path: str, *, name: str | None = None) -> Destination:
    """Return where the file at ``path`` goes, which it has to say itself.

    ``name`` is what its owner calls it, where that is not ``path``.

    An Intel HEX or UF2 file has its own offsets; an application, also as an ELF file, goes where
    the one is that boots; and what has a partition table at its place begins at 0.

    Raises:
        PlanError: it says nothing, or cannot be read.
    """
    if is_known_as_packed(path):
        return 0
    shown = name or path
    if os.path.exists(path) and not is_lasting(path):
        # What is read of a pipe to look into it is gone.
        raise PlanError(f"nothing says where {shown} goes, which is no file: say at what offset")
    data = read_source(path)
    if is_program(data) or _is_application(data):
        return f"{PARTITION}{APP_NAME}"
    with contextlib.suppress(PartitionTableError):
        parse_table(memoryview(data)[DEFAULT_OFFSET:])
        return 0
    raise PlanError(
        f"nothing says where {shown} goes: it is neither an application nor a merged image, which "
        f"has a partition table at {DEFAULT_OFFSET:#x}; say at what offset"
    )


def place_on(device: Device, destination: Destination) -> Offset:
    """Return the place in the flash of ``device`` that ``destination`` means.

    Raises:
        PartitionTableError: there is no such partition.
        EsploaderError: the table cannot be read.
    """
    if isinstance(destination, str):
        return device.partitions[destination.removeprefix(PARTITION)].place
    return destination


def _is_application(data: bytes) -> bool:
    try:
        return inspect_image(data).application is not None
    except ImageError:
        return False
