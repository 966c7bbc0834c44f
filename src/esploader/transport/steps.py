"""What may be done to the lines of a port, and when."""

from __future__ import annotations

from typing import TypeAlias

from esploader.classes import frozen


@frozen
class SetLines:
    """Assert or release lines; ``None`` leaves one as it is."""

    dtr: bool | None = None
    """Assert or release DTR; ``None`` leaves it."""
    rts: bool | None = None
    """Assert or release RTS; ``None`` leaves it."""


@frozen
class Wait:
    """Let time pass."""

    seconds: float
    """For how long."""


ResetStep: TypeAlias = SetLines | Wait


ResetSequence: TypeAlias = tuple[ResetStep, ...]
