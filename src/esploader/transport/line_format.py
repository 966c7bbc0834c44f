"""How a serial line is set beyond its rate. A loader only ever speaks 8N1."""

from __future__ import annotations

import enum
from typing import Final

from esploader.classes import frozen


@enum.unique
class Parity(enum.Enum):
    """The parity bit; the value is pyserial's name of it."""

    NONE = "N"
    ODD = "O"
    EVEN = "E"
    MARK = "M"
    SPACE = "S"


@enum.unique
class FlowControl(enum.Enum):
    """How the other end says that it can take no more."""

    NONE = enum.auto()
    XON_XOFF = enum.auto()
    RTS_CTS = enum.auto()
    DTR_DSR = enum.auto()


@frozen(kw_only=True)
class LineFormat:
    """What a byte looks like on the line, and what holds it back."""

    data_size: int = 8
    """In bits, 5 to 8."""

    parity: Parity = Parity.NONE
    stop_size: float = 1.0
    """In bits: 1, 1.5 or 2."""

    flow_control: FlowControl = FlowControl.NONE


EIGHT_N_ONE: Final = LineFormat()
"""What every loader speaks."""


@frozen(kw_only=True)
class InputLines:
    """The lines that the other end sets; asserted or not."""

    cts: bool
    dsr: bool
    ri: bool
    dcd: bool
