"""What a chip is, as data.

Frozen classes without behaviour beyond arithmetic on their own fields. Nothing here
takes a session: the layers above read registers and hand the words back.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.protocol.dialect import Dialect

KIB: Final = 1024
MIB: Final = 1024 * 1024

ADDRESS_SPACE_SIZE: Final = 1 << 32


@enum.unique
class Quirk(enum.Enum):
    """Behaviour no number can express. Ask for the quirk, never for the chip."""

    MAC_OUI_FROM_CODE = enum.auto()
    """The upper three bytes of the MAC are chosen by a code, unless they are burnt (ESP8266)."""

    SCATTERED_MAJOR_REVISION = enum.auto()
    """The major revision is looked up from three bits in three registers (ESP32)."""

    ECO0_BLOCK_REVISION = enum.auto()
    """Some devices of revision 0.0 carry a wrong revision field (ESP32-S3)."""


@enum.unique
class Architecture(enum.Enum):
    """The instruction set of the CPU."""

    XTENSA = "xtensa"
    RISCV = "riscv"


@attrs.frozen
class Bits:
    """``width`` bits of the register at ``address``, from bit ``lsb`` upwards."""

    address: int = attrs.field(repr=hex)
    lsb: int
    width: int

    def __attrs_post_init__(self) -> None:
        if not (0 <= self.lsb and 0 < self.width and self.lsb + self.width <= 32):
            raise ValueError(f"{self!r} does not fit a 32-bit register")
        if self.address % 4 or not 0 <= self.address < ADDRESS_SPACE_SIZE:
            raise ValueError(f"{self!r} is not the address of a register")


@attrs.frozen(init=False)
class BitField:
    """One value spread over registers, most significant part first."""

    parts: tuple[Bits, ...]

    def __init__(self, *parts: Bits) -> None:
        self.__attrs_init__(parts)

    @property
    def addresses(self) -> tuple[int, ...]:
        """The registers to read, each once."""
        return tuple(dict.fromkeys(part.address for part in self.parts))

    @property
    def width(self) -> int:
        """How many bits the value has."""
        return sum(part.width for part in self.parts)

    def extract(self, words: Mapping[int, int]) -> int:
        """Return the value, given the words at the parts' addresses."""
        value = 0
        for part in self.parts:
            bits = (words[part.address] >> part.lsb) & ((1 << part.width) - 1)
            value = (value << part.width) | bits
        return value

    def insert(self, value: int, words: Mapping[int, int]) -> dict[int, int]:
        """Return the words at the parts' addresses, given ``value`` and what they held."""
        changed: dict[int, int] = {}
        for part in reversed(self.parts):
            mask = (1 << part.width) - 1
            old = changed.get(part.address, words.get(part.address, 0))
            changed[part.address] = (old & ~(mask << part.lsb)) | ((value & mask) << part.lsb)
            value >>= part.width
        return changed


@attrs.frozen
class Region:
    """A range of the address space, ``end`` excluded."""

    name: str
    start: int = attrs.field(repr=hex)
    end: int = attrs.field(repr=hex)


@attrs.frozen
class Field:
    """A named value in the registers: an eFuse field, a strap."""

    name: str
    bits: BitField
    names: tuple[tuple[int, str], ...] = ()
    """What values are called, where they have names."""


@attrs.frozen
class When:
    """A condition: the named field has one of the values.

    Besides the fields of the chip, ``major`` and ``minor`` name the parts of the revision.
    """

    field: str
    values: tuple[int, ...]


@attrs.frozen
class Label:
    """A text that applies when all conditions hold.

    ``{name}`` in the text stands for what the field of that name is called.
    """

    text: str
    when: tuple[When, ...] = ()


@attrs.frozen(kw_only=True)
class SpiRegisters:
    """The SPI peripheral in front of the flash, as offsets from ``base``."""

    base: int = attrs.field(repr=hex)
    cmd: int = attrs.field(default=0x00, repr=hex)
    addr: int = attrs.field(default=0x04, repr=hex)
    usr: int = attrs.field(repr=hex)
    usr1: int = attrs.field(repr=hex)
    usr2: int = attrs.field(repr=hex)
    mosi_dlen: int | None
    """``None`` where the sizes are fields of ``usr1``."""
    miso_dlen: int | None
    w0: int = attrs.field(repr=hex)
    addr_is_msb_aligned: bool
    """A short address stands in the upper bits of ``addr``."""


@attrs.frozen(kw_only=True)
class Crystal:
    """How to find the frequency of the crystal: from the divider the ROM chose.

    frequency = baud rate x divider / ``uart_clock_ratio``, rounded to a choice.
    """

    choices_mhz: tuple[int, ...]
    uart_clock_ratio: int


@attrs.frozen
class EfuseBlock:
    """Words of eFuses that are read at consecutive addresses."""

    name: str
    address: int = attrs.field(repr=hex)
    word_count: int


@attrs.frozen(kw_only=True)
class Chip:
    """One chip model. Two devices of the same model share one ``Chip``."""

    name: str
    """As Espressif writes it: ``ESP32-C3``."""

    architecture: Architecture

    image_chip_id: int | None
    """In the header of images and in GET_SECURITY_INFO."""

    magic: int | None = attrs.field(repr=lambda value: "None" if value is None else hex(value))
    """The word at 0x4000_1000, for chips that are told apart by it."""

    security_info_size: int | None
    """Bytes that GET_SECURITY_INFO returns; ``None`` where the ROM does not know it."""

    rom: Dialect
    """What the ROM loader speaks."""

    mac: BitField
    major_revision: BitField
    minor_revision: BitField
    fields: tuple[Field, ...]
    descriptions: tuple[Label, ...]
    """The first that applies names the device: package and variant."""
    features: tuple[tuple[Label, ...], ...]
    """Of each group the first that applies is a feature of the device."""

    efuse_blocks: tuple[EfuseBlock, ...]
    spi: SpiRegisters
    uart_clock_divider: Bits
    uart_date_register: int = attrs.field(repr=hex)
    """A harmless register, to write to when only the delay of WRITE_REG is wanted."""
    crystal: Crystal

    memory: tuple[Region, ...]

    bootloader_offset: int = attrs.field(repr=hex)
    flash_sizes: tuple[tuple[str, int], ...]
    """Names of flash sizes and their code in the high nibble of the image header."""
    flash_frequencies: tuple[tuple[str, int], ...]
    """Names of flash frequencies and their code in the low nibble of the image header."""
    flash_modes: tuple[tuple[str, int], ...] = (("qio", 0), ("qout", 1), ("dio", 2), ("dout", 3))
    encrypted_write_alignment: int | None
    supports_4_byte_addresses: bool
    mmu_page_sizes: tuple[int, ...]
    uf2_family: int = attrs.field(repr=hex)

    boot_strap_gpio: int
    """Low at reset: the ROM enters download mode."""
    has_usb_serial_jtag: bool
    usb_otg_pid: int | None
    """USB product id in download mode over USB-OTG; ``None`` where there is none."""

    quirks: frozenset[Quirk] = frozenset()

    @property
    def key(self) -> str:
        """The name as it is typed: ``esp32c3``."""
        return self.name.lower().replace("-", "")

    def field(self, name: str) -> Field:
        """Return the field of that name. Raises :exc:`KeyError`."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)
