"""What a simulated device is made of."""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs

from esploader.chips.model import MIB
from esploader.simulator.flash_chip import FlashCondition
from esploader.simulator.host_port import PortKind
from esploader.simulator.stand_ins import with_stand_ins

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from esploader.chips.model import Chip


@enum.unique
class InitialState(enum.Enum):
    """What a device is doing when it is first connected to."""

    APPLICATION = "app"
    """It has booted the application in its flash long ago."""

    DOWNLOAD = "download"
    """Its ROM loader is waiting, as if somebody had held the boot button."""

    STUB = "stub"
    """A stub loader was started in it long ago, and is waiting."""


@enum.unique
class FlashPresence(enum.Enum):
    """What is at the other end of the flash bus."""

    PRESENT = "present"

    NONE = "none"
    """Nothing: the line from the flash floats high, so that it seems to be busy for ever."""

    SILENT = "silent"
    """A part without power, or held in reset: the line from it is low, whatever it is told."""


@attrs.frozen(kw_only=True)
class DeviceConfig:
    """A chip model, and what differs from one device of it to the next."""

    chip: Chip = attrs.field(converter=with_stand_ins)

    flash_size: int = 4 * MIB
    """In bytes: a power of two from 256 KiB to 128 MiB."""

    flash_presence: FlashPresence = FlashPresence.PRESENT

    flash_condition: FlashCondition = FlashCondition.READY
    """How whatever ran before has left the flash chip."""

    flash_content: bytes = attrs.field(default=b"", repr=False)
    """What the flash holds from its start on, unless there is a file; the rest is blank."""

    flash_file: Path | None = None
    """Where the content of the flash comes from, if it exists, and where every change goes."""

    state: InitialState = InitialState.APPLICATION

    port: PortKind = PortKind.UART
    """What the host is connected to."""

    mac: bytes | None = None
    """Six bytes; by default made from the seed."""

    revision: tuple[int, int] | None = None
    """Major and minor; by default a usual one of the chip."""

    crystal_mhz: int | None = None
    """In MHz, one of those that the chip works with; by default a usual one."""

    assumed_crystal_hz: int | None = None
    """What the ROM takes the crystal to be, where it measures that, in Hz; 0: it did not
    measure, and sets the rate that it is asked for. By default a little wrong."""

    efuses: Mapping[str, int] = MappingProxyType({})
    """Values by name: the chip's :attr:`~esploader.chips.model.Chip.fields`, its security
    fields (``secure_download``, ``flash_crypt_count``, …), ``key_purpose_0`` to ``_5`` and the
    keys themselves, ``key0`` to ``key5``; ``flash_key`` of the ESP32."""

    seed: int = 0
    """Makes two devices of one model differ."""
