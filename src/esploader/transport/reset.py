"""Reset sequences as data.

On the usual circuit RTS drives EN and DTR drives IO0, both inverted through two
cross-coupled transistors: an asserted RTS alone holds the chip in reset, an asserted DTR
alone pulls the boot strap, both asserted (or both released) is neutral.
Source: Espressif, "Boot Mode Selection" (automatic bootloader), esptool documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from esploader.errors import UrlError

if TYPE_CHECKING:
    from esploader.transport.base import Transport


@attrs.frozen
class SetLines:
    """Assert or release lines; ``None`` leaves one as it is."""

    dtr: bool | None = None
    rts: bool | None = None


@attrs.frozen
class Wait:
    """Let time pass."""

    seconds: float


ResetStep: TypeAlias = SetLines | Wait
ResetSequence: TypeAlias = tuple[ResetStep, ...]

STRAP_DELAY: Final = 0.05
"""How long the boot strap is held after EN is released, in seconds."""

LONG_STRAP_DELAY: Final = 0.55
"""The same for boards with a large capacitor on EN, in seconds."""

_RESET_HOLD: Final = 0.1
