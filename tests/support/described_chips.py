"""The chips that more is known of than how to recognise them."""

from __future__ import annotations

from typing import Final

from esploader.chips.registry import CHIPS

DESCRIBED: Final = tuple(chip for chip in CHIPS if chip.is_described)
