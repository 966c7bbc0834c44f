"""What a simulated device is made of."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from esploader.chips.model.chip import MIB
from esploader.classes import frozen, override
from esploader.simulator.flash.chip import FlashCondition
from esploader.simulator.stand_ins import with_stand_ins

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.chips.model.chip import Chip

ChoiceT = TypeVar("ChoiceT", bound=enum.Enum)

MAC_SIZE: Final = 6

_MAC: Final = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


@enum.unique
class InitialState(enum.Enum):
    """What a device is doing when it is first connected to."""

    APPLICATION = "app"
    """It has booted the application in its flash long ago."""

    DOWNLOAD = "download"
    """Its ROM loader is waiting, as if somebody had held the boot button."""

    STUB = "stub"
    """A stub loader was started in it long ago, and is waiting."""


@enum.unique
class FlashPresence(enum.Enum):
    """What is at the other end of the flash bus."""

    PRESENT = "present"
    """There is one, and it answers."""

    NONE = "none"
    """Nothing: the line from the flash floats high, so that it seems to be busy for ever."""

    SILENT = "silent"
    """A part without power, or held in reset: the line from it is low, whatever it is told."""


def choice_of(kind: type[ChoiceT], name: ChoiceT | str) -> ChoiceT:
    """Return the member of ``kind`` with that name.

    Raises :exc:`ValueError` where there is none.
    """
    try:
        return kind(name)
    except ValueError:
        choices = ", ".join(str(choice.value) for choice in kind)
        raise ValueError(f"{name!r} is not one of {choices}") from None


def state_of(name: InitialState | str) -> InitialState:
    """Return the state with that name. Raises as :func:`choice_of`."""
    return choice_of(InitialState, name)


def mac_of(text: str) -> bytes:
    """Return the address that is written ``24:0a:c4:00:00:01``.

    Raises :exc:`ValueError` where it is written otherwise.
    """
    if _MAC.fullmatch(text) is None:
        raise ValueError(
            f"{text!r}: a MAC address is {MAC_SIZE} pairs of hexadecimal digits, with colons"
        )
    return bytes.fromhex(text.replace(":", ""))


def _require_number(_: object, attribute: attrs.Attribute[int], value: object) -> None:
    if not isinstance(value, int):
        raise TypeError(f"{attribute.name}={value!r}: a whole number is needed")


def _require_mac(_: object, __: object, value: bytes) -> None:
    if not isinstance(value, bytes):
        raise TypeError(f"mac={value!r}: bytes are needed")
    if len(value) != MAC_SIZE:
        raise ValueError(f"mac={value!r}: a MAC address has {MAC_SIZE} bytes")


def _require_revision(_: object, __: object, value: tuple[int, int]) -> None:
    match value:
        case (int(), int()):
            return
        case _:
            raise TypeError(f"revision={value!r}: (major, minor), two numbers, is needed")


def _require_numbers(
    _: object, attribute: attrs.Attribute[Mapping[str, int]], value: object
) -> None:
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) and isinstance(number, int) for name, number in value.items()
    ):
        raise TypeError(f"{attribute.name}={value!r}: numbers by name are needed")


@enum.unique
class PortKind(enum.Enum):
    """Where the host is connected."""

    UART = "uart"
    """To a UART, through a bridge."""

    USB_SERIAL_JTAG = "usb-serial-jtag"
    """To the chip's own USB-Serial/JTAG port."""

    USB_OTG = "usb-otg"
    """To the chip's own USB-OTG port."""


@frozen(kw_only=True)
class DeviceConfig:
    """A chip model, and what differs from one device of it to the next.

    Raises:
        TypeError: a value is of another kind than it has to be.
        ValueError: the state does not exist, or the MAC address has not six bytes.
    """

    chip: Chip = attrs.field(converter=with_stand_ins)
    """The model."""

    flash_size: int = attrs.field(default=4 * MIB, validator=_require_number)
    """In bytes: a power of two from 256 KiB to 128 MiB."""

    flash_presence: FlashPresence = FlashPresence.PRESENT
    """Whether there is a flash, and whether it answers."""

    flash_condition: FlashCondition = FlashCondition.READY
    """How whatever ran before has left the flash chip."""

    flash_pins: int = attrs.field(default=0, validator=_require_number)
    """Where the flash is, in the words of SPI_ATTACH; 0: at the usual pins of the chip."""

    flash_attached: bool = False
    """The ROM finds the flash without SPI_ATTACH, as in emulators; real ones of few chips do."""

    flash_content: bytes = attrs.field(default=b"", repr=False)
    """What the flash holds from its start on, unless there is a file; the rest is blank."""

    flash_file: Path | None = None
    """Where the content of the flash comes from, if it exists, and where every change goes."""

    state: InitialState = attrs.field(default=InitialState.APPLICATION, converter=state_of)
    """What it does at first."""

    boot_loop: bool = False
    """A boot that failed is repeated, as in a real chip, by the watchdog; else it is left alone."""

    port: PortKind = PortKind.UART
    """What the host is connected to."""

    mac: bytes | None = attrs.field(default=None, validator=attrs.validators.optional(_require_mac))
    """Six bytes; by default made from the seed."""

    revision: tuple[int, int] | None = attrs.field(
        default=None, validator=attrs.validators.optional(_require_revision)
    )
    """Major and minor; by default a usual one of the chip."""

    crystal_mhz: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(_require_number)
    )
    """In MHz, one of those that the chip works with; by default a usual one."""

    assumed_crystal_hz: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(_require_number)
    )
    """What the ROM takes the crystal to be, where it measures that, in Hz; 0: it did not
    measure, and sets the rate that it is asked for. By default a little wrong."""

    efuses: Mapping[str, int] = attrs.field(
        default=MappingProxyType({}), validator=_require_numbers
    )
    """Values by name: the chip's :attr:`~esploader.chips.model.chip.Chip.fields`, its security
    fields (``secure_download``, ``flash_crypt_count``, …), ``key_purpose_0`` to ``_5`` and the
    keys themselves, ``key0`` to ``key5``; ``flash_key`` of the ESP32."""

    seed: int = attrs.field(default=0, validator=_require_number)
    """Makes two devices of one model differ."""

    @override
    def __repr__(self) -> str:
        what = f"{self.chip.name} with {self.flash_size} bytes of flash, {self.state.value}"
        return f"<DeviceConfig {what}>"
