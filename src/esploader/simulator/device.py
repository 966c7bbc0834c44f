"""A simulated device, as a test holds it: made in a line, looked into, and played with.

Everything that takes time takes that of :attr:`SimulatedDevice.clock`: virtual unless a
:class:`~esploader.simulator.line.transport.RealTimeTransport` connects it in real time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from esploader.chips.model.chip import MIB, Chip
from esploader.chips.registry import chip_by_name
from esploader.classes import define
from esploader.simulator.bench import HardwareOnBench
from esploader.simulator.config import (
    DeviceConfig,
    FlashPresence,
    InitialState,
    PortKind,
    choice_of,
    mac_of,
    state_of,
)
from esploader.simulator.flash.chip import FlashCondition
from esploader.simulator.flash.timings import Timings
from esploader.simulator.line.transport import SimulatedTransport
from esploader.simulator.soc.application import Application, hello
from esploader.transport.base import DEFAULT_BAUDRATE
from esploader.transport.clock import Clock, VirtualClock

Content: TypeAlias = "bytes | str | os.PathLike[str] | Mapping[int, bytes]"
"""What a flash holds: bytes from its start on, bytes by offset, or the path of a file."""


@define(eq=False, init=False, repr=False)
class SimulatedDevice(HardwareOnBench):
    """One device of one chip model.

    Its methods may be called from any thread while it is served to other programs.

    Raises:
        UnsupportedError: there is no such chip.
        TypeError: an option is of another kind than it has to be.
        ValueError: the chip cannot have what is asked for.
        OSError: the file of the flash cannot be read or written, or another device has it.
    """

    def __init__(  # noqa: PLR0913 - options, all by keyword
        self,
        chip: str | Chip,
        *,
        flash_size: int = 4 * MIB,
        flash: Content = b"",
        flash_presence: FlashPresence | str = FlashPresence.PRESENT,
        flash_condition: FlashCondition | str = FlashCondition.READY,
        flash_pins: int = 0,
        flash_attached: bool = False,
        state: InitialState | str = InitialState.APPLICATION,
        boot_loop: bool = False,
        port: PortKind | str = PortKind.UART,
        mac: bytes | str | None = None,
        revision: tuple[int, int] | None = None,
        crystal_mhz: int | None = None,
        assumed_crystal_hz: int | None = None,
        efuses: Mapping[str, int] = MappingProxyType({}),
        seed: int = 0,
        application: Application | None = hello,
        timings: Timings | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Make a device.

        ``flash`` is what the flash holds at first: bytes, bytes by offset, or the path of a
        file, to which every change goes, too, until :meth:`close`. ``flash_presence`` may say
        that there is no flash (``none``), or that it does not answer (``silent``).
        ``application`` is what runs when an intact image was booted. The other options are
        those of :class:`~esploader.simulator.config.DeviceConfig`; devices that share a
        ``clock`` live in the same time.
        """
        config = DeviceConfig(
            chip=_model(chip),
            flash_size=flash_size,
            flash_content=b"" if isinstance(flash, str | os.PathLike) else _laid_out(flash),
            flash_file=Path(flash) if isinstance(flash, str | os.PathLike) else None,
            flash_presence=choice_of(FlashPresence, flash_presence),
            flash_condition=choice_of(FlashCondition, flash_condition),
            flash_pins=flash_pins,
            flash_attached=flash_attached,
            state=state_of(state),
            boot_loop=boot_loop,
            port=choice_of(PortKind, port),
            mac=mac_of(mac) if isinstance(mac, str) else mac,
            revision=revision,
            crystal_mhz=crystal_mhz,
            assumed_crystal_hz=assumed_crystal_hz,
            efuses=efuses,
            seed=seed,
        )
        self.__attrs_init__(
            config, timings or Timings(), application, clock=clock or VirtualClock()
        )

    @classmethod
    def from_config(cls, config: DeviceConfig, timings: Timings | None = None) -> SimulatedDevice:
        """Make the device that ``config`` describes."""
        device = cls.__new__(cls)
        device.__attrs_init__(config, timings or Timings())
        return device

    def open_transport(self, *, baudrate: int | None = DEFAULT_BAUDRATE) -> SimulatedTransport:
        """Connect to it in virtual time. ``None`` for a rate follows the device's own."""
        return SimulatedTransport(self, f"sim://{self.chip.key}", baudrate=baudrate)


def _model(chip: object) -> Chip:
    if isinstance(chip, Chip):
        return chip
    if not isinstance(chip, str):
        raise TypeError(f"{chip!r} is neither a chip nor the name of one")
    return chip_by_name(chip)


def _laid_out(content: object) -> bytes:
    """Return what stands in the flash from its start on."""
    if isinstance(content, bytes | bytearray):
        return bytes(content)
    if not isinstance(content, Mapping):
        raise TypeError(f"flash={content!r}: bytes, bytes by offset or a path is needed")
    end = max((offset + len(data) for offset, data in content.items()), default=0)
    whole = bytearray(b"\xff" * end)
    for offset, data in content.items():
        if offset < 0:
            raise ValueError(f"offset {offset}: the flash begins at 0")
        whole[offset : offset + len(data)] = data
    return bytes(whole)
