"""What runs in a simulated device, and what it sees of the device."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Final, Protocol

from esploader.classes import override

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esploader.chips.model.chip import Chip
    from esploader.simulator.flash.chip import FlashChip
    from esploader.simulator.flash.nor import NorFlash
    from esploader.simulator.flash.timings import Timings
    from esploader.simulator.history import History
    from esploader.simulator.personality import Personality, ResetCause, Rom
    from esploader.simulator.soc.crystal import SimulatedCrystal
    from esploader.simulator.soc.host_port import HostPort
    from esploader.simulator.soc.memory import Memory

NEVER = float("inf")

USUAL_PINS: Final = 0
"""Where the flash of a device is that has it at no others, in the words of SPI_ATTACH."""

_END: Final = 0xC0


class Machine(Protocol):
    """The device, seen from inside."""

    moment: float
    """The time at which the program does what it is doing."""

    flash_pins: int | None
    """Where a loader last looked for the flash, as SPI_ATTACH has it; ``None``: nowhere yet."""

    port: HostPort
    """What the host is connected to."""

    @property
    def chip(self) -> Chip:
        """The model."""

    @property
    def efuses(self) -> Mapping[int, int]:
        """All words of eFuses by address, those that cannot be read included."""

    @property
    def personality(self) -> Personality:
        """What the chip facts do not say about it."""

    @property
    def rom(self) -> Rom:
        """That of its revision."""

    @property
    def crystal(self) -> SimulatedCrystal:
        """What the UART is clocked with."""

    @property
    def memory(self) -> Memory:
        """The address space."""

    @property
    def nor(self) -> NorFlash:
        """The flash."""

    @property
    def flash_chip(self) -> FlashChip:
        """The flash with its bus."""

    @property
    def timings(self) -> Timings:
        """How long things take."""

    @property
    def history(self) -> History:
        """What it has seen and done."""

    def send(self, data: bytes, at: float) -> float:
        """Send bytes from ``at`` on; return when the last one is out."""

    def set_baudrate(self, baudrate: int) -> None:
        """Set the device's own rate, for what is sent and received from now on."""

    def halt(self) -> None:
        """Stop the program; only a reset brings the device back."""

    def restart(self, cause: ResetCause, at: float) -> None:
        """Stop the program, and boot anew at ``at``."""

    def run_application(self, at: float) -> None:
        """Stop the program, and run the application in flash from ``at`` on."""

    def execute(self, entry: int, at: float) -> None:
        """Stop the program, and run what is in RAM at ``entry`` from ``at`` on."""


class InterruptionError(Exception):
    """Something ends the program in the middle of what it is doing."""

    def __init__(self, action: Callable[[], None]) -> None:
        super().__init__("the program has ended")
        self.action = action


class Program(abc.ABC):
    """A program that talks on the UART."""

    @abc.abstractmethod
    def feed(self, data: bytes, start: float, byte_time: float) -> int:
        """Receive bytes: the one at ``i`` is complete at ``start + (i + 1) * byte_time``.

        Returns how many it took, which is fewer when it ended meanwhile.
        """

    def next_heeded(self, data: bytes, start: int) -> int:
        """Return the index of the byte, from ``start`` on, with which it may have something to say.

        -1 when it has not, whatever follows. By default that is the end of a frame, or
        else the last byte.
        """
        index = data.find(_END, start)
        return len(data) - 1 if index < 0 else index

    def detect_rate(self, baudrate: int) -> bool:  # noqa: ARG002 - for those that can
        """Tell whether it takes over the host's rate, losing what it measured that with."""
        return False

    @abc.abstractmethod
    def advance(self, now: float) -> None:
        """Do what is due by ``now``."""

    @abc.abstractmethod
    def next_event_time(self, next_byte: float) -> float:
        """Return when there is something to do without more input.

        ``next_byte`` is when the next byte will arrive, as far as it is known.
        """


class Deaf(Program):
    """A program that does not listen, or none at all."""

    @override
    def feed(self, data: bytes, start: float, byte_time: float) -> int:
        return len(data)

    @override
    def next_heeded(self, data: bytes, start: int) -> int:
        return -1

    @override
    def advance(self, now: float) -> None:
        pass

    @override
    def next_event_time(self, next_byte: float) -> float:
        return NEVER
