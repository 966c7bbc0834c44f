"""How much of the flash a command is about, where that is said by ``all``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.commands.values import number
from esploader.errors import PlanError
from esploader.flash.jedec import name_of_size
from esploader.flash.parameters import DETECT, KEEP

if TYPE_CHECKING:
    import argparse

    from esploader.device.device import Device


def size_from_offset(device: Device, arguments: argparse.Namespace, name: str) -> int:
    """Return the size that was given, or how many bytes there are from the offset on.

    ``name`` is that of the size of the flash, where it cannot be found out.

    Raises:
        PlanError: there are none, or the size of the flash is not known.
        EsploaderError: the flash cannot be asked.
    """
    size: int | None = arguments.size
    if size is not None:
        return size
    flash_size = _flash_size(device, name)
    if arguments.offset >= flash_size:
        raise PlanError(f"{arguments.offset:#x} is beyond the flash of {name_of_size(flash_size)}")
    return flash_size - int(arguments.offset)


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
