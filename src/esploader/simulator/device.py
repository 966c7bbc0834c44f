"""A simulated device, as a test holds it: made in a line, looked into, and played with.

Everything that takes time takes that of :attr:`SimulatedDevice.clock`: virtual unless a
:class:`~esploader.simulator.line.transport.RealTimeTransport` connects it in real time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs
from typing_extensions import override

from esploader.chips.model.bits import WORD_SIZE
from esploader.chips.model.chip import MIB, Chip
from esploader.chips.registry import chip_by_name
from esploader.simulator.board import Hardware
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

if TYPE_CHECKING:
    from collections.abc import Iterator

Content: TypeAlias = "bytes | str | os.PathLike[str] | Mapping[int, bytes]"
"""What a flash holds: bytes from its start on, bytes by offset, or the path of a file."""

MAX_ADDRESS: Final = 0xFFFF_FFFF

RESET_PRESS: Final = 0.1
"""How long somebody holds a button who only wants to have pressed it, in seconds."""


@attrs.define(eq=False, init=False)
class SimulatedDevice(Hardware):
    """One device of one chip model.

    Its methods may be called from any thread while it is served to other programs.

    Raises:
        UnsupportedError: there is no such chip.
        TypeError: an option is of another kind than it has to be.
        ValueError: the chip cannot have what is asked for.
        OSError: the file of the flash cannot be read or written, or another device has it.
    """

    clock: Clock = attrs.field(factory=VirtualClock, kw_only=True)
    """The time it lives in."""

    changed: threading.Condition = attrs.field(factory=threading.Condition, init=False, repr=False)
    """Held by whoever does something with it, and told when that may be news to others."""

    def __init__(  # noqa: PLR0913 - options, all by keyword
        self,
        chip: str | Chip,
        *,
        flash_size: int = 4 * MIB,
        flash: Content = b"",
        flash_presence: FlashPresence | str = FlashPresence.PRESENT,
        flash_condition: FlashCondition | str = FlashCondition.READY,
        state: InitialState | str = InitialState.APPLICATION,
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
            state=state_of(state),
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

    @override
    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if isinstance(self.clock, VirtualClock):
            self.clock.watchers.append(self.advance)

    def open_transport(self, *, baudrate: int | None = DEFAULT_BAUDRATE) -> SimulatedTransport:
        """Connect to it in virtual time. ``None`` for a rate follows the device's own."""
        return SimulatedTransport(self, f"sim://{self.chip.key}", baudrate=baudrate)

    # A look into it.

    @property
    def flash(self) -> bytes:
        """All that the flash holds; :attr:`nor` reads parts of it, and knows how it wears."""
        with self.changed:
            return self.nor.read(0, self.nor.size)

    @property
    def erase_counts(self) -> dict[int, int]:
        """How often each sector was erased, by its number; those that never were are left out."""
        with self.changed:
            return dict(self.nor.erase_counts)

    def read_register(self, address: int) -> int:
        """Return the word at an address, with the effects that reading it has.

        Raises:
            ValueError: no word begins there.
        """
        if address % WORD_SIZE or not 0 <= address <= MAX_ADDRESS:
            raise ValueError(f"address {address:#x}: no word begins there")
        with self.changed:
            return self.memory.read_word(address)

    # What somebody at the bench does with it.

    def press_reset(self, seconds: float = RESET_PRESS) -> None:
        """Press the reset button and release it after some time.

        Raises:
            ValueError: the time is negative.
        """
        _require_duration(seconds)
        with self._acting() as now:
            self.pulse_reset(now, seconds)

    def press_boot(self) -> None:
        """Press the boot button and keep it pressed: the next reset ends in download mode."""
        with self._acting() as now:
            self.hold_boot(now, held=True)

    def release_boot(self) -> None:
        """Release the boot button."""
        with self._acting() as now:
            self.hold_boot(now, held=False)

    def power_off(self) -> None:
        """Cut the power. What the flash is doing it ends; ``cut_power_at`` is the other case."""
        with self._acting() as now:
            self.lose_power(now)

    def power_on(self) -> None:
        """Give it power again; it boots."""
        with self._acting() as now:
            self.gain_power(now)

    def break_line(self, seconds: float = float("inf")) -> None:
        """Pull the cable, for some time or until :meth:`mend_line`.

        Ports raise :exc:`~esploader.errors.TransportClosedError` meanwhile, what is on the
        wire is lost, and the lines are released. Afterwards all work as before.

        Raises:
            ValueError: the time is negative.
        """
        _require_duration(seconds)
        with self._acting() as now:
            self.break_wires(now, until=now + seconds)

    def mend_line(self) -> None:
        """Plug the cable in again."""
        with self._acting() as now:
            self.break_wires(now, until=now)

    @property
    def is_line_broken(self) -> bool:
        """The port is gone for those who are connected to it."""
        return self.clock.now() < self.unheard_until

    def say(self, data: bytes) -> None:
        """Send bytes as if an application did."""
        with self._acting() as now:
            self.advance(now)
            self.send(data, now)

    def run(self, application: Application | None) -> None:
        """Have another application run from the next boot on."""
        with self._acting():
            self.application = application

    @contextmanager
    def _acting(self) -> Iterator[float]:
        with self.changed:
            # Called by a listener, of what may have happened some time ago.
            yield self.moment if self.is_acting else self.clock.now()
            self.changed.notify_all()


def _model(chip: object) -> Chip:
    if isinstance(chip, Chip):
        return chip
    if not isinstance(chip, str):
        raise TypeError(f"{chip!r} is neither a chip nor the name of one")
    return chip_by_name(chip)


def _require_duration(seconds: float) -> None:
    if not seconds >= 0:
        raise ValueError(f"{seconds} seconds: less than none")


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
