"""Bits of registers, and values that are spread over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping


ADDRESS_SPACE_SIZE: Final = 1 << 32


WORD_SIZE: Final = 4


WORD_WIDTH: Final = 32


@frozen
class Bits:
    """``width`` bits of the register at ``address``, from bit ``lsb`` upwards."""

    address: int = attrs.field(repr=hex)
    """Of the register."""
    lsb: int
    """The lowest bit."""
    width: int
    """How many bits."""

    def __attrs_post_init__(self) -> None:
        if self.lsb < 0 or self.width < 1 or self.lsb + self.width > WORD_WIDTH:
            raise ValueError(f"{self!r} does not fit a register")
        if not is_register(self.address):
            raise ValueError(f"{self!r} is not at the address of a register")

    def extract(self, words: Mapping[int, int]) -> int:
        """Return the value, given the word at the address."""
        return (words[self.address] >> self.lsb) & ((1 << self.width) - 1)


@frozen(init=False)
class BitField:
    """One value spread over registers, most significant part first."""

    parts: tuple[Bits, ...]
    """Where it is, most significant part first."""
    addresses: tuple[int, ...] = attrs.field(init=False, eq=False, repr=False)
    """The registers to read, each once."""

    def __init__(self, *parts: Bits) -> None:
        if not parts:
            raise ValueError("a bit field has at least one part")
        self.__attrs_init__(parts)

    def __attrs_post_init__(self) -> None:
        addresses = tuple(dict.fromkeys(part.address for part in self.parts))
        object.__setattr__(self, "addresses", addresses)

    @property
    def width(self) -> int:
        """How many bits the value has."""
        return sum(part.width for part in self.parts)

    def extract(self, words: Mapping[int, int]) -> int:
        """Return the value, given the words at the parts' addresses."""
        value = 0
        for part in self.parts:
            value = (value << part.width) | part.extract(words)
        return value

    def insert(self, value: int, words: Mapping[int, int]) -> dict[int, int]:
        """Return the words at the parts' addresses, given ``value`` and what they held.

        Raises :exc:`ValueError` when the value does not fit.
        """
        if not 0 <= value < 1 << self.width:
            raise ValueError(f"{value:#x} does not fit {self.width} bits")
        changed: dict[int, int] = {}
        for part in reversed(self.parts):
            mask = (1 << part.width) - 1
            old = changed.get(part.address, words.get(part.address, 0))
            changed[part.address] = (old & ~(mask << part.lsb)) | ((value & mask) << part.lsb)
            value >>= part.width
        return changed


def is_register(address: int) -> bool:
    """Return whether a register can be there."""
    return 0 <= address < ADDRESS_SPACE_SIZE and address % WORD_SIZE == 0


def value_or_zero(bits: BitField | None, words: Mapping[int, int]) -> int:
    """Return the value of ``bits``, or 0 where a chip has no such bits."""
    return 0 if bits is None else bits.extract(words)
