"""Supplying a flash that download mode leaves without power."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.classes import frozen

if TYPE_CHECKING:
    from esploader.chips.model.bits import Bits


@frozen
class Setting:
    """Bits of a register, what is written there, and how long it takes to have its effect."""

    bits: Bits
    value: int
    wait_us: int = attrs.field(default=0, kw_only=True)
    """In microseconds."""


@frozen(kw_only=True)
class FlashPower:
    """How the flash gets its supply on devices whose ROM loader does not turn it on."""

    revisions: tuple[tuple[int, int], ...]
    """Major and minor of those devices."""

    settings: tuple[Setting, ...]
    """What turns it on, in order."""

    rom_revision: tuple[int, int]
    rom_turns_on: Bits
    """Devices of that revision with this eFuse turn it on by themselves."""

    forced: Bits
    """There it must not be turned on from here as well, as it is when all these are set."""
