"""What connects a device to its host, and what DTR and RTS do there.

Sources: the usual circuit of two transistors (esptool documentation, "Boot Mode Selection");
Technical Reference Manual of the ESP32-C3, "USB Serial/JTAG Controller", "CDC-ACM Firmware
Interface"; for USB-OTG the behaviour that makes sense of what esptool 5.6.0 does. Which resets take
a port off the bus: the same manual, "Reset and Clock" (a reset of the cores leaves its
USB-Serial/JTAG controller alone); of USB-OTG it is not known, and the worse case is taken.
"""

from __future__ import annotations

import abc
import enum
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.quirks import Quirk
from esploader.classes import define, override
from esploader.simulator.config import PortKind
from esploader.simulator.personality import ResetCause

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

ESPRESSIF_VID: Final = 0x303A
_SERIAL_JTAG_PID: Final = 0x1001

_KEEP_SERIAL_JTAG: Final = frozenset({ResetCause.USB, ResetCause.SOFTWARE})

# A block of 2 KiB, with what stands in front of it. What becomes of a larger frame is not known,
# only that nobody gets away with one.
_MAX_OTG_FRAME_SIZE: Final = 0x800 + 24


@enum.unique
class Effect(enum.Enum):
    """What a change of the lines does to the chip."""

    NONE = enum.auto()

    HOLD = enum.auto()
    """It is held in reset."""

    RELEASE = enum.auto()
    """It is no longer held in reset, and boots as its straps say."""

    RESTART = enum.auto()
    """It boots, as the port says or as it did before: its straps are not looked at."""


@define(eq=False)
class HostPort(abc.ABC):
    """The lines of one port."""

    dtr: bool = attrs.field(default=False, init=False)
    """Asserted."""
    rts: bool = attrs.field(default=False, init=False)
    """Asserted."""
    usb_ids: tuple[int, int] | None = attrs.field(default=None, init=False)
    """Vendor and product; ``None`` for a bridge, of which nobody asks."""
    max_frame_size: int | None = attrs.field(default=None, init=False)
    """Bytes of the largest frame that gets through to a ROM loader; ``None`` for any."""
    keeps_early_bytes: bool = attrs.field(default=True, init=False)
    """What comes while a ROM loader works goes to its ring."""
    asks_for_download: bool = attrs.field(default=False, init=False)
    """The last restart was to end in download mode."""
    absent_until: float = attrs.field(default=float("-inf"), init=False)
    """Until then the host has no such port: a reset has taken it off the bus."""

    @property
    def holds_reset(self) -> bool:
        """The chip is held in reset."""
        return False

    @property
    def pulls_strap(self) -> bool:
        """The boot strap is pulled."""
        return False

    @abc.abstractmethod
    def set_lines(self, *, dtr: bool, rts: bool) -> Effect:
        """Assert (``True``) or release both lines."""

    def outlasts(self, cause: ResetCause) -> bool:  # noqa: ARG002 - for those on USB
        """Tell whether the host keeps the port over a reset for that cause."""
        return True

    def leave(self, until: float) -> None:
        """Be off the bus until the host has found the device again; the lines are released."""
        self.set_lines(dtr=False, rts=False)
        self.absent_until = until


@define(eq=False)
class Uart(HostPort):
    """RTS alone holds the chip in reset, DTR alone pulls its boot strap; both do nothing."""

    @property
    @override
    def holds_reset(self) -> bool:
        return self.rts and not self.dtr

    @property
    @override
    def pulls_strap(self) -> bool:
        return self.dtr and not self.rts

    @override
    def set_lines(self, *, dtr: bool, rts: bool) -> Effect:
        held = self.holds_reset
        self.dtr, self.rts = dtr, rts
        if held == self.holds_reset:
            return Effect.NONE
        return Effect.RELEASE if held else Effect.HOLD


@define(eq=False)
class UsbSerialJtag(HostPort):
    """DTR alone asks for download mode, none takes that back, RTS alone restarts at once."""

    _request: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.usb_ids = (ESPRESSIF_VID, _SERIAL_JTAG_PID)

    @override
    def set_lines(self, *, dtr: bool, rts: bool) -> Effect:
        is_change = (dtr, rts) != (self.dtr, self.rts)
        self.dtr, self.rts = dtr, rts
        if not rts:
            self._request = dtr
        if not is_change or not rts or dtr:
            return Effect.NONE
        self.asks_for_download = self._request
        return Effect.RESTART

    @override
    def outlasts(self, cause: ResetCause) -> bool:
        return cause in _KEEP_SERIAL_JTAG


@define(eq=False)
class UsbOtg(HostPort):
    """After RTS alone, DTR alone restarts into download mode, and none restarts.

    Software in the chip listens to that, in some chips none.
    """

    chip: Chip
    _is_armed: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.max_frame_size = _MAX_OTG_FRAME_SIZE
        # How much is kept is not known, so nothing is.
        self.keeps_early_bytes = False
        if self.chip.usb_otg_pid is not None:
            self.usb_ids = (ESPRESSIF_VID, self.chip.usb_otg_pid)

    @override
    def set_lines(self, *, dtr: bool, rts: bool) -> Effect:
        self.dtr, self.rts = dtr, rts
        if Quirk.OTG_LINES_DO_NOT_RESET in self.chip.quirks:
            return Effect.NONE
        if rts:
            self._is_armed = self._is_armed or not dtr
            return Effect.NONE
        if not self._is_armed:
            return Effect.NONE
        self._is_armed, self.asks_for_download = False, dtr
        return Effect.RESTART

    @override
    def outlasts(self, cause: ResetCause) -> bool:
        return False


def host_port(kind: PortKind, chip: Chip) -> HostPort:
    """Return a port of that kind.

    Raises:
        ValueError: the chip has none.
    """
    match kind:
        case PortKind.UART:
            return Uart()
        case PortKind.USB_SERIAL_JTAG if chip.has_usb_serial_jtag:
            return UsbSerialJtag()
        case PortKind.USB_OTG if chip.usb_otg_pid is not None:
            return UsbOtg(chip)
    raise ValueError(f"the {chip.name} has no port {kind.value}")
