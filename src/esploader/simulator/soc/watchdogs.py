"""The watchdogs of a device, which reset it unless somebody sees to them.

Sources: Technical Reference Manuals, "Watchdog Timers": the bits of the RTC watchdog's first
register, its write protection, and the super watchdog, whose time is just under one second.
The 9 s are those for which ESP-IDF's bootloader sets the RTC watchdog
(``CONFIG_BOOTLOADER_WDT_TIME_MS``): it goes on when the USB-Serial/JTAG port restarts the chip.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.simulator.soc.program import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.chips.model.bits import Bits
    from esploader.chips.model.chip import Chip
    from esploader.chips.model.watchdog import RtcWatchdog, SuperWatchdog
    from esploader.simulator.soc.memory import Memory

RTC_PERIOD: Final = 9.0
"""In seconds."""
SUPER_PERIOD: Final = 1.0
"""In seconds."""

_ENABLED: Final = 1 << 31
_FIRST_STAGE_LSB: Final = 28
_FIRST_STAGE_MASK: Final = 0x7
# The ones below raise an interrupt, or reset a CPU alone.
_FIRST_RESETTING_STAGE: Final = 3

_TICK: Final = 1 / 136_000
"""Of the slow clock, typically; in seconds."""


@define(eq=False)
class Watchdogs:
    """The RTC watchdog and the super watchdog, as far as the chip's facts tell of them."""

    chip: Chip
    memory: Memory
    now: Callable[[], float]
    due: float = attrs.field(default=NEVER, init=False)
    """When the first of them resets the chip."""
    _rtc_due: float = attrs.field(default=NEVER, init=False)
    _super_due: float = attrs.field(default=NEVER, init=False)

    def __attrs_post_init__(self) -> None:
        rtc, behind = self.chip.rtc_watchdog, self.chip.super_watchdog
        if rtc is not None:
            self._guard(rtc.config0, rtc, partial(self._configure, rtc))
            self._guard(rtc.config1, rtc, _keep)
        if behind is not None:
            address = behind.feeds_itself.address
            self._guard(address, behind, partial(self._feed, behind.feeds_itself))

    def start(self, at: float) -> None:
        """Let those run that nobody feeds while a loader is there.

        Nobody could stop them in Secure Download Mode, where registers are out of reach.
        """
        if self.memory.extract(self.chip.secure_download):
            return
        if self.chip.rtc_watchdog is not None:
            self._rtc_due = at + RTC_PERIOD
        if self.chip.super_watchdog is not None:
            self._super_due = at + SUPER_PERIOD
        self._note_due()

    def stop(self) -> None:
        """Stop both, and lock them: what runs now feeds them, or a reset has ended them."""
        self._rtc_due = self._super_due = self.due = NEVER
        for watchdog in (self.chip.rtc_watchdog, self.chip.super_watchdog):
            if watchdog is not None:
                self.memory.write_word(watchdog.write_protect, 0)

    def _note_due(self) -> None:
        self.due = min(self._rtc_due, self._super_due)

    def _guard(
        self, address: int, watchdog: RtcWatchdog | SuperWatchdog, write: Callable[[int], None]
    ) -> None:
        """Let a register be written only while the watchdog is unlocked."""
        self.memory.hook(address, write=partial(self._written, address, watchdog, write))

    def _written(
        self,
        address: int,
        watchdog: RtcWatchdog | SuperWatchdog,
        write: Callable[[int], None],
        value: int,
    ) -> int:
        if self.memory.read_word(watchdog.write_protect) != watchdog.key:
            return self.memory.read_word(address)
        write(value)
        return value

    def _configure(self, watchdog: RtcWatchdog, value: int) -> None:
        """Take a new first register, which starts the time anew."""
        stage = value >> _FIRST_STAGE_LSB & _FIRST_STAGE_MASK
        resets = value & _ENABLED and stage >= _FIRST_RESETTING_STAGE
        ticks = self.memory.read_word(watchdog.config1)
        period = (ticks << 1 + self._delay(watchdog)) * _TICK
        self._rtc_due = self.now() + period if resets else NEVER
        self._note_due()

    def _delay(self, watchdog: RtcWatchdog) -> int:
        bits = watchdog.delay
        return (
            0 if bits is None else bits.extract({bits.address: self.memory.read_word(bits.address)})
        )

    def _feed(self, feeds_itself: Bits, value: int) -> None:
        if value >> feeds_itself.lsb & 1:
            self._super_due = NEVER
            self._note_due()


def _keep(_: int) -> None:
    """Do nothing with what is kept in the register."""
