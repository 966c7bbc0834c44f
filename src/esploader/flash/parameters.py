"""What a bootloader is to be told of the flash: names of mode, clock and size."""

from __future__ import annotations

from typing import Final

from esploader.classes import frozen

KEEP: Final = "keep"
"""What leaves a flash parameter of an image as it is."""

DETECT: Final = "detect"
"""As a flash size: that of the flash that is there."""


@frozen(kw_only=True)
class FlashParameters:
    """What to put into the header of the bootloader; :data:`KEEP` for what it has."""

    mode: str = KEEP
    """One of the names that the chip has for the modes, such as ``dio``."""
    frequency: str = KEEP
    """One of the names that the chip has for the clocks, such as ``40m``."""
    size: str = KEEP
    """One of the names that the chip has for the sizes, such as ``4MB``."""


KEEP_PARAMETERS: Final = FlashParameters()
"""Leaves the header of the bootloader alone."""
