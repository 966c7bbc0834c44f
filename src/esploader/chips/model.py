"""What a chip is, as data.

Frozen classes without behaviour beyond arithmetic on their own fields. Nothing here
takes a session: the layers above read registers and hand the words back. What is wrong
with a description is found when it is constructed, and is a :exc:`ValueError`.
"""

from __future__ import annotations

import enum
import string
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs
from typing_extensions import override

from esploader.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from esploader.protocol.dialect import Dialect

KIB: Final = 1024
MIB: Final = 1024 * 1024

ADDRESS_SPACE_SIZE: Final = 1 << 32
WORD_SIZE: Final = 4
WORD_WIDTH: Final = 32

MAJOR: Final = "major"
"""In a condition: the major part of the revision."""

MINOR: Final = "minor"
"""In a condition: the minor part of the revision."""


@enum.unique
class _Absence(enum.Enum):
    UNKNOWN = enum.auto()


# Typed as what it stands for, whatever that is: it is never seen, see Chip.
UNKNOWN: Final[Any] = _Absence.UNKNOWN
"""Instead of a fact of a chip: nobody who could be asked knows it."""


@enum.unique
class Quirk(enum.Enum):
    """Behaviour no number can express. Ask for the quirk, never for the chip."""

    ECO0_READS_AS_LATER_REVISION = enum.auto()
    """Devices of revision 0.0 carry another one in their eFuses.

    They are known by eFuse block version 1.1 together with a minor revision whose lower
    three bits are 0. ESP-IDF, components/hal/esp32s3/efuse_hal.c.
    """

    SECURE_BOOT_BLOCKS_STUB = enum.auto()
    """With secure boot on, the ROM loader does not jump into what was uploaded.

    esptool documentation, "Flasher Stub", and its notes on the ESP32-C3.
    """

    FIRST_MAJOR_REVISION_BLOCKS_STUB = enum.auto()
    """Devices of a revision before 1.0 do not run what was uploaded.

    esptool documentation, "Flasher Stub", and what esptool 5.6.0 does.
    """

    LEGACY_IMAGE_REVISION_IS_MINOR = enum.auto()
    """The minimum revision in the header of old images is the minor part, not the major.

    ESP-IDF, components/bootloader_support/include/esp_app_format.h, ``min_chip_rev``.
    """

    BEGIN_ERASES_HEAD_TWICE = enum.auto()
    """FLASH_BEGIN of the ROM loader erases more sectors than it is told.

    Those in front of the first boundary of 64 KiB are counted once more: it erases them one
    by one, and then as many sectors as if it had not. esptool documentation, "Serial
    Protocol", "Erase Size Bug".
    """

    STUB_RESTARTS_UART = enum.auto()
    """The stub listens at 115200 baud at first, whatever rate the ROM was changed to.

    It changes the clock of the UART and then sets the rate that the ROM remembers, which is
    the one from the reset. esp-flasher-stub, src/main.c; read off a run in an emulator.
    """


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
        if self.lsb < 0 or self.width < 1 or self.lsb + self.width > WORD_WIDTH:
            raise ValueError(f"{self!r} does not fit a register")
        if not _is_register(self.address):
            raise ValueError(f"{self!r} is not at the address of a register")

    def extract(self, words: Mapping[int, int]) -> int:
        """Return the value, given the word at the address."""
        return (words[self.address] >> self.lsb) & ((1 << self.width) - 1)


@attrs.frozen(init=False)
class BitField:
    """One value spread over registers, most significant part first."""

    parts: tuple[Bits, ...]

    def __init__(self, *parts: Bits) -> None:
        if not parts:
            raise ValueError("a bit field has at least one part")
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


_NOT_RAM: Final = frozenset({"drom", "irom", "drom_mask", "irom_mask", "extram"})
"""Regions in which flash is seen, or the ROM, or external RAM that no loader sets up."""


@attrs.frozen
class Region:
    """A range of the address space, ``end`` excluded."""

    name: str
    start: int = attrs.field(repr=hex)
    end: int = attrs.field(repr=hex)

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.start < self.end <= ADDRESS_SPACE_SIZE:
            raise ValueError(f"{self!r} is not a range of the address space")

    @property
    def takes_programs(self) -> bool:
        """A loader can put bytes there."""
        return self.name not in _NOT_RAM

    @property
    def size(self) -> int:
        """How many bytes the region has."""
        return self.end - self.start


@attrs.frozen
class Field:
    """A named value in the registers that tells devices of one chip apart."""

    name: str
    bits: BitField
    names: tuple[tuple[int, str], ...] = ()
    """What values are called, where they have names."""

    def name_of(self, value: int) -> str:
        """Return what ``value`` is called; empty where it has no name."""
        return dict(self.names).get(value, "")


@attrs.frozen
class When:
    """A condition: the named field has one of the values.

    Besides the fields of the chip, :data:`MAJOR` and :data:`MINOR` name the parts of the
    revision.
    """

    field: str
    values: tuple[int, ...]


@attrs.frozen
class Label:
    """A text that applies when all conditions hold.

    ``{name}`` in the text stands for what the value of the field of that name is called.
    """

    text: str
    when: tuple[When, ...] = ()

    @property
    def placeholders(self) -> frozenset[str]:
        """Names of the fields in the text."""
        return frozenset(name for _, name, _, _ in string.Formatter().parse(self.text) if name)

    @property
    def fields(self) -> frozenset[str]:
        """Names of all fields that the label depends on."""
        return self.placeholders | {condition.field for condition in self.when}


@attrs.frozen(kw_only=True)
class SpiRegisters:
    """The SPI peripheral in front of the flash, as offsets from ``base``."""

    base: int = attrs.field(repr=hex)
    cmd: int = attrs.field(repr=hex)
    addr: int = attrs.field(repr=hex)
    usr: int = attrs.field(repr=hex)
    usr1: int = attrs.field(repr=hex)
    usr2: int = attrs.field(repr=hex)
    mosi_dlen: int | None
    """``None`` where the sizes are fields of ``usr1``."""
    miso_dlen: int | None
    w0: int = attrs.field(repr=hex)
    addr_is_msb_aligned: bool
    """A short address stands in the upper bits of ``addr``."""

    def __attrs_post_init__(self) -> None:
        offsets = (self.cmd, self.addr, self.usr, self.usr1, self.usr2, self.w0)
        optional = (self.mosi_dlen, self.miso_dlen)
        present = [*offsets, *(offset for offset in optional if offset is not None)]
        if not all(_is_register(self.base + offset) for offset in present):
            raise ValueError(f"{self!r} has a register outside the address space")
        _require_unique("SPI register", present)


@attrs.frozen(kw_only=True)
class FlashPinChoices:
    """Where else than at its usual pins the loaders can find the flash, when they are told.

    esptool documentation, "Flasher options", SPI connection; the numbers are those that
    esptool 5.6.0 accepts.
    """

    gpios: tuple[int, ...]
    last_hold_gpio: int
    """The highest one for HD: its field in SPI_ATTACH may have no room for more."""
    usb_gpios: tuple[int, ...]
    """Those of them that are also the chip's own USB port."""
    has_hspi: bool
    """The pins of the second SPI peripheral have a name of their own, HSPI."""


@attrs.frozen(kw_only=True)
class SupplyControl:
    """Bits with which software or eFuses decide on the voltage of the flash."""

    decides: Bits
    """Without it the others have no effect."""
    enabled: Bits
    """The flash is supplied at all."""
    tied_high: Bits
    """With 3.3 V from the supply of the chip; else with 1.8 V from the regulator."""
    raised: Bits | None
    """Not 0: the regulator gives 1.9 V instead of 1.8 V."""


@attrs.frozen(kw_only=True)
class FlashSupply:
    """Who decides on the voltage of the flash: software, else the eFuses, else a strap."""

    software: SupplyControl | None
    """``None`` where no software is known to do that."""
    efuse: SupplyControl
    strap: Bits
    """1 means 1.8 V, 0 means 3.3 V."""


@attrs.frozen(kw_only=True)
class Crystal:
    """The frequency of the crystal, or how to find it.

    Where there is a choice, the divider that the ROM chose for the UART tells:
    frequency = baud rate x divider / ``uart_clock_ratio``, rounded to a choice.
    """

    choices_mhz: tuple[int, ...]
    """In MHz, ascending."""

    bounds_mhz: tuple[int, ...]
    """Between each two choices, the estimate up to which the lower one is meant."""

    uart_clock_ratio: int
    """How many times the crystal's frequency the UART is clocked with in the ROM."""

    def __attrs_post_init__(self) -> None:
        if len(self.choices_mhz) != len(self.bounds_mhz) + 1:
            raise ValueError(f"{self!r} needs one bound between each two choices")
        ladder = sorted((*self.choices_mhz, *self.bounds_mhz))
        if self.uart_clock_ratio < 1 or ladder[::2] != list(self.choices_mhz):
            raise ValueError(f"{self!r} makes no sense")


@attrs.frozen(kw_only=True)
class AssumedCrystal:
    """What the ROM takes the crystal to be when it is asked for another baud rate.

    In Hz: ``numerator`` x the product of ``factors`` / ``denominator``. From that it
    computes the divider of the UART, so a wrong assumption makes a wrong rate.
    """

    factors: tuple[BitField, ...]
    """Registers and eFuses that it looks at; empty where it always assumes the same."""

    numerator: int
    denominator: int = 1

    def __attrs_post_init__(self) -> None:
        if self.numerator < 1 or self.denominator < 1:
            raise ValueError(f"{self!r} makes no sense")

    @property
    def addresses(self) -> tuple[int, ...]:
        """The registers to read, each once."""
        return tuple(dict.fromkeys(a for factor in self.factors for a in factor.addresses))

    def frequency(self, words: Mapping[int, int]) -> float:
        """Return the frequency in Hz, given the words at the addresses; 0 for none."""
        product = self.numerator
        for factor in self.factors:
            product *= factor.extract(words)
        return product / self.denominator


@attrs.frozen
class EfuseBlock:
    """Words of eFuses that are read at consecutive addresses."""

    name: str
    address: int = attrs.field(repr=hex)
    word_count: int

    def __attrs_post_init__(self) -> None:
        last = self.address + WORD_SIZE * (self.word_count - 1)
        if self.word_count < 1 or not (_is_register(self.address) and _is_register(last)):
            raise ValueError(f"{self!r} is not a range of registers")


@attrs.frozen
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


@attrs.frozen
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


@attrs.frozen(kw_only=True)
class FixedFlashKey:
    """The key of flash encryption where it has a block of its own, and no stated purpose.

    There is a key when the block cannot be read, or holds more than zeros.
    """

    block: EfuseBlock
    read_protected: BitField


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Chip:
    """One chip model. Two devices of the same model share one ``Chip``.

    A fact that is given as :data:`UNKNOWN` is absent: reading it raises
    :exc:`~esploader.errors.UnsupportedError`. :meth:`knows` asks before.
    """

    name: str
    """As Espressif writes it: ``ESP32-C3``."""

    architecture: Architecture

    image_chip_id: int | None
    """In the header of images and, from the ESP32-S3 on, in GET_SECURITY_INFO."""

    magic: int | None
    """The word at 0x4000_1000, for chips that are told apart by it."""

    security_info_size: int | None
    """Bytes that GET_SECURITY_INFO returns; ``None`` where the ROM does not know it."""

    rom: Dialect
    """What the ROM loader speaks."""

    mac: BitField
    """The MAC address from the factory, 48 bits."""
    mac_extension: BitField | None
    """The 16 bits that go into its middle to make an EUI-64; ``None`` where there are none."""
    mac_oui_code: BitField | None
    """Stands for the upper half of the MAC address where that half was not burnt."""
    mac_ouis: tuple[tuple[int, int], ...]
    """Codes, and the upper half of the MAC address that each stands for."""
    unique_id: BitField | None
    """The number that users of the ESP8266 know as its chip id."""

    major_revision: BitField | None
    """``None`` where the silicon does not tell its revision."""
    major_revision_codes: tuple[tuple[int, int], ...]
    """What values of ``major_revision`` mean, others 0; empty where they mean themselves."""
    minor_revision: BitField | None

    fields: tuple[Field, ...]
    descriptions: tuple[Label, ...]
    """The first that applies names the device: package and variant."""
    features: tuple[tuple[Label, ...], ...]
    """Of each group the first that applies is a feature of the device."""

    efuse_blocks: tuple[EfuseBlock, ...]
    efuse_write_protection: EfuseProtection | None
    """``None`` where eFuses cannot be protected from being burnt."""
    efuse_read_protection: EfuseProtection | None
    """``None`` where eFuses cannot be hidden. What is hidden reads as 0."""
    flash_crypt_count: BitField | None
    """Flash encryption is on when it has an odd number of bits set."""
    secure_boot_v1: BitField | None
    secure_boot_v2: BitField | None
    """On the ESP32 it has an effect from revision 3.0 on."""
    secure_download: BitField | None
    """Restricts the loader to Secure Download Mode."""
    manual_encrypt_disabled: BitField | None
    """The loader cannot encrypt what it writes."""
    flash_crypt_config: BitField | None
    """How the key depends on the offset; flash can be encrypted when all bits are set.
    ``None`` where there is no such choice."""
    flash_crypt_config_hidden: BitField | None
    """Set where ``flash_crypt_config`` reads as 0, whatever it is."""
    fixed_flash_key: FixedFlashKey | None
    """``None`` where key blocks have purposes."""
    flash_key_purposes: tuple[frozenset[int], ...]
    """Purposes of key blocks; those of any one entry together are a flash encryption key."""
    key_purposes: tuple[BitField, ...]
    """What each of the key blocks is for."""
    key_purpose_names: tuple[tuple[int, str], ...]

    spi: SpiRegisters
    flash_pads: tuple[BitField, ...]
    """The GPIOs of the flash as SPI_ATTACH takes them, most significant first: HD, CS, D,
    Q, CLK, each in 6 bits. Empty where the ROM looks them up by itself."""
    flash_pin_choices: FlashPinChoices | None
    """``None`` where the flash can only be at its usual pins."""
    octal_flash: BitField | None
    """Set for a flash with 8 data lines; ``None`` where there is no such choice."""
    flash_supply: FlashSupply | None
    """``None`` where the chip does not decide on it."""
    uart_clock_divider: Bits
    uart_date_register: int
    """A harmless register, to write to when only the delay of WRITE_REG is wanted."""
    crystal: Crystal
    assumed_crystal: AssumedCrystal | None
    """``None`` where the ROM sets the baud rate that it is asked for."""

    memory: tuple[Region, ...]
    """Address order is not promised, and regions may overlap."""

    bootloader_offset: int
    flash_sizes: tuple[tuple[str, int], ...]
    """Names of flash sizes and their code in the high nibble of the image header."""
    flash_frequencies: tuple[tuple[str, int], ...]
    """Names of flash frequencies and their code in the low nibble of the image header."""
    flash_modes: tuple[tuple[str, int], ...]
    """Names of flash modes and their code in the image header."""
    encrypted_write_alignment: int | None
    """In bytes; ``None`` where flash cannot be encrypted."""
    supports_4_byte_addresses: bool
    """Flash beyond 16 MiB is within reach."""
    mmu_page_sizes: tuple[int, ...]
    """In bytes; empty where flash is not mapped in pages."""
    uf2_family: int

    strapping: Bits
    """The straps as they were latched at reset."""
    boot_strap: Bits
    """Which of them is 0 in download mode."""
    boot_strap_gpio: int
    """Low at reset: the ROM enters download mode."""
    has_usb_serial_jtag: bool
    usb_otg_pid: int | None
    """USB product id in download mode over USB-OTG; ``None`` where there is none."""

    quirks: frozenset[Quirk]

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(type(self)):
            if getattr(self, field.name) is UNKNOWN:
                # Leaves the slot empty, which __getattr__ then speaks for.
                object.__delattr__(self, field.name)
        if self.image_chip_id is None and self.magic is None:
            raise ValueError(f"{self.name} cannot be recognised")
        if self.knows("uart_date_register") and not _is_register(self.uart_date_register):
            raise ValueError(f"{self.uart_date_register:#x} is not the address of a register")
        if (self.mac_oui_code is None) != (not self.mac_ouis):
            raise ValueError(f"{self.name} needs a code for the OUI and their list, or neither")
        if (self.major_revision is None) != (self.minor_revision is None):
            raise ValueError(f"{self.name} has one half of a revision")
        self._check_names()
        self._check_labels()
        if self.knows("efuse_blocks"):
            self._check_protection()

    def _check_names(self) -> None:
        _require_unique("field", [field.name for field in self.fields])
        if self.knows("memory"):
            _require_unique("region", [region.name for region in self.memory])
        if self.knows("efuse_blocks"):
            _require_unique("eFuse block", [block.name for block in self.efuse_blocks])
        for table in ("flash_sizes", "flash_frequencies", "flash_modes"):
            if self.knows(table):
                _require_unique("flash parameter", [name for name, _ in getattr(self, table)])

    def _check_protection(self) -> None:
        widths = {block.name: WORD_WIDTH * block.word_count for block in self.efuse_blocks}
        for protection in (self.efuse_write_protection, self.efuse_read_protection):
            for _, span in () if protection is None else protection.covers:
                if span.first + span.width > widths.get(span.block, 0):
                    raise ValueError(f"{self.name} has no {span!r}")

    def _check_labels(self) -> None:
        known = {field.name for field in self.fields}
        in_conditions = known | {MAJOR, MINOR}
        for label in (*self.descriptions, *(label for group in self.features for label in group)):
            if not label.placeholders <= known or not label.fields <= in_conditions:
                raise ValueError(f"{self.name}: {label!r} depends on a field that is not there")
        if not self.descriptions or self.descriptions[-1].when:
            raise ValueError(f"{self.name} needs a description that always applies")

    @override
    def __repr__(self) -> str:
        # All the facts would bury whatever they are printed with.
        return f"<Chip {self.name}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            # Only asked for what is not there.
            if name in attrs.fields_dict(type(self)):
                what = name.replace("_", " ")
                raise UnsupportedError(
                    f"{what} of the {self.name}", "it is not known yet; docs/chips.md says what is"
                )
            raise AttributeError(f"a chip has no {name!r}")

    def knows(self, fact: str) -> bool:
        """Return whether the field of that name is there."""
        try:
            getattr(self, fact)
        except UnsupportedError:
            return False
        return True

    @property
    def is_described(self) -> bool:
        """Whether more is known of it than how to recognise it."""
        return self.knows("spi")

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


def _is_register(address: int) -> bool:
    return 0 <= address < ADDRESS_SPACE_SIZE and address % WORD_SIZE == 0


def _require_unique(what: str, values: Iterable[object]) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"there are two of {what} {value!r}")
        seen.add(value)
