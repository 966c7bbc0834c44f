"""The frequency of the crystal: what it is, and what the ROM takes it to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.classes import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.chips.model.bits import BitField


@frozen(kw_only=True)
class Crystal:
    """The frequency of the crystal, or how to find it.

    Where there is a choice, the divider that the ROM chose for the UART tells:
    frequency = baud rate x divider / ``uart_clock_ratio``, rounded to a choice.
    """

    choices_mhz: tuple[int, ...]
    """In MHz, ascending."""

    bounds_mhz: tuple[int, ...]
    """Between each two choices, the estimate up to which the lower one is meant."""

    uart_clock_ratio: int
    """How many times the crystal's frequency the UART is clocked with in the ROM."""

    def __attrs_post_init__(self) -> None:
        if len(self.choices_mhz) != len(self.bounds_mhz) + 1:
            raise ValueError(f"{self!r} needs one bound between each two choices")
        ladder = sorted((*self.choices_mhz, *self.bounds_mhz))
        if self.uart_clock_ratio < 1 or ladder[::2] != list(self.choices_mhz):
            raise ValueError(f"{self!r} makes no sense")


@frozen(kw_only=True)
class AssumedCrystal:
    """What the ROM takes the crystal to be when it is asked for another baud rate.

    In Hz: ``numerator`` x the product of ``factors`` / ``denominator``. From that it
    computes the divider of the UART, so a wrong assumption makes a wrong rate.
    """

    factors: tuple[BitField, ...]
    """Registers and eFuses that it looks at; empty where it always assumes the same."""

    numerator: int
    denominator: int = 1

    def __attrs_post_init__(self) -> None:
        if self.numerator < 1 or self.denominator < 1:
            raise ValueError(f"{self!r} makes no sense")

    @property
    def addresses(self) -> tuple[int, ...]:
        """The registers to read, each once."""
        return tuple(dict.fromkeys(a for factor in self.factors for a in factor.addresses))

    def frequency(self, words: Mapping[int, int]) -> float:
        """Return the frequency in Hz, given the words at the addresses; 0 for none."""
        product = self.numerator
        for factor in self.factors:
            product *= factor.extract(words)
        return product / self.denominator
