"""Where eFuses are, and what protects them."""

from __future__ import annotations

from itertools import pairwise

import attrs

from esploader.chips.model.bits import WORD_SIZE, BitField, is_register
from esploader.classes import frozen


@frozen
class EfuseBlock:
    """Words of eFuses that are read at consecutive addresses."""

    name: str
    address: int = attrs.field(repr=hex)
    word_count: int

    def __attrs_post_init__(self) -> None:
        last = self.address + WORD_SIZE * (self.word_count - 1)
        if self.word_count < 1 or not (is_register(self.address) and is_register(last)):
            raise ValueError(f"{self!r} is not a range of registers")


@frozen
class EfuseSpan:
    """``width`` eFuses of a block, from bit ``first`` of the block upwards."""

    block: str
    first: int
    width: int

    def __attrs_post_init__(self) -> None:
        if self.first < 0 or self.width < 1:
            raise ValueError(f"{self!r} is empty")

    def overlaps(self, other: EfuseSpan) -> bool:
        """Return whether an eFuse is in both."""
        return (
            self.block == other.block
            and self.first < other.first + other.width
            and other.first < self.first + self.width
        )


@frozen
class EfuseProtection:
    """EFuses that, once burnt, keep others from being burnt, or from being read."""

    register: BitField
    covers: tuple[tuple[int, EfuseSpan], ...]
    """What each bit of ``register`` protects, from bit 0; of BLOCK0 what is a fact of the chip."""

    def __attrs_post_init__(self) -> None:
        for bit, span in self.covers:
            if not 0 <= bit < self.register.width:
                raise ValueError(f"nothing protects {span!r}: there is no bit {bit}")
        spans = sorted((span for _, span in self.covers), key=lambda span: (span.block, span.first))
        for span, following in pairwise(spans):
            if span.overlaps(following):
                raise ValueError(f"{following!r} is protected twice")


@frozen(kw_only=True)
class FixedFlashKey:
    """The key of flash encryption where it has a block of its own, and no stated purpose.

    There is a key when the block cannot be read, or holds more than zeros.
    """

    block: EfuseBlock
    read_protected: BitField
