"""A device on a bench: its clock, its lock, a look into it, and what somebody does to it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.bits import WORD_SIZE
from esploader.classes import define, override
from esploader.simulator.board import Hardware
from esploader.simulator.soc.application import require_application
from esploader.transport.clock import Clock, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.simulator.soc.application import Application

MAX_ADDRESS: Final = 0xFFFF_FFFF

RESET_PRESS: Final = 0.1
"""How long somebody holds a button who only wants to have pressed it, in seconds."""


@define(eq=False, repr=False)
class HardwareOnBench(Hardware):
    """One device that somebody can do something with, from any thread."""

    clock: Clock = attrs.field(factory=VirtualClock, kw_only=True)
    """The time it lives in."""

    changed: threading.Condition = attrs.field(factory=threading.Condition, init=False, repr=False)
    """Held by whoever does something with it, and told when that may be news to others."""

    @override
    def __attrs_post_init__(self) -> None:
        require_application(self.application)
        super().__attrs_post_init__()
        if isinstance(self.clock, VirtualClock):
            self.clock.watchers.append(self.advance)

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.chip.name} with {self.nor.size} bytes of flash>"

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
        return self.clock.now() < max(self.unheard_until, self.port.absent_until)

    def say(self, data: bytes) -> None:
        """Send bytes as if an application did."""
        with self._acting() as now:
            self.advance(now)
            self.send(data, now)

    def run(self, application: Application | None) -> None:
        """Have another application run from the next boot on."""
        require_application(application)
        with self._acting():
            self.application = application

    @contextmanager
    def _acting(self) -> Iterator[float]:
        with self.changed:
            # Called by a listener, of what may have happened some time ago.
            yield self.moment if self.is_acting else self.clock.now()
            self.changed.notify_all()


def _require_duration(seconds: float) -> None:
    if not seconds >= 0:
        raise ValueError(f"{seconds} seconds: less than none")
