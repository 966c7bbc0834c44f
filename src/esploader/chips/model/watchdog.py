"""The watchdogs that go on counting while a loader is reached by the chip's own USB port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.classes import frozen

if TYPE_CHECKING:
    from esploader.chips.model.bits import Bits


@frozen(kw_only=True)
class RtcWatchdog:
    """A watchdog that can reset the whole chip, straps included.

    Technical Reference Manuals, "Watchdog Timers": bit 31 of ``config0`` enables it, and the
    three bits below say what its first stage does.
    """

    config0: int = attrs.field(repr=hex)
    config1: int = attrs.field(repr=hex)
    """For how many ticks of its clock the first stage lasts, before ``delay`` lengthens it."""
    write_protect: int = attrs.field(repr=hex)
    """Holds ``key`` while the others can be written."""
    key: int = attrs.field(repr=hex)
    delay: Bits | None = None
    """The eFuse WDT_DELAY_SEL, with which the first stage lasts ``config1 << (1 + delay)`` ticks
    (ESP-IDF, ``esp_efuse_table.csv``). ``None``: nobody has looked where it is."""


@frozen(kw_only=True)
class SuperWatchdog:
    """The watchdog behind all others, which cannot be turned off, only made to feed itself."""

    feeds_itself: Bits
    write_protect: int = attrs.field(repr=hex)
    """Holds ``key`` while ``feeds_itself`` can be written."""
    key: int = attrs.field(repr=hex)
