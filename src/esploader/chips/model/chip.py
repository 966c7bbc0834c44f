"""What a chip is, as data.

Frozen classes without behaviour beyond arithmetic on their own fields. Nothing here
takes a session: the layers above read registers and hand the words back. What is wrong
with a description is found when it is constructed, and is a :exc:`ValueError`.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs

from esploader.chips.model.bits import (
    ADDRESS_SPACE_SIZE,
    WORD_WIDTH,
    BitField,
    Bits,
    is_register,
)
from esploader.chips.model.labels import MAJOR, MINOR
from esploader.chips.model.unique import require_unique
from esploader.classes import frozen, override
from esploader.errors import UnsupportedError

if TYPE_CHECKING:
    from esploader.chips.model.crystals import AssumedCrystal, Crystal
    from esploader.chips.model.efuse_layout import EfuseBlock, EfuseProtection, FixedFlashKey
    from esploader.chips.model.flash_bus import FlashPinChoices, FlashSupply, SpiRegisters
    from esploader.chips.model.flash_power import FlashPower
    from esploader.chips.model.labels import Field, Label
    from esploader.chips.model.quirks import Quirk
    from esploader.chips.model.watchdog import RtcWatchdog, SuperWatchdog
    from esploader.protocol.dialect import Dialect

KIB: Final = 1024
MIB: Final = 1024 * 1024


@enum.unique
class _Absence(enum.Enum):
    UNKNOWN = enum.auto()


# Typed as what it stands for, whatever that is: it is never seen, see Chip.
UNKNOWN: Final[Any] = _Absence.UNKNOWN
"""Instead of a fact of a chip: nobody who could be asked knows it."""


@enum.unique
class Architecture(enum.Enum):
    """The instruction set of the CPU."""

    XTENSA = "xtensa"
    RISCV = "riscv"


_NOT_RAM: Final = frozenset({"drom", "irom", "drom_mask", "irom_mask", "extram"})
"""Regions in which flash is seen, or the ROM, or external RAM that no loader sets up."""


@frozen
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


_MARK_OF_DESCRIPTION: Final = "spi"
"""The fact without which nothing can be done with a flash."""


@frozen(kw_only=True, repr=False, eq=False)
class Chip:
    """One chip model. Two devices of the same model share one ``Chip``.

    A fact that is given as :data:`UNKNOWN` is absent: reading it raises
    :exc:`~esploader.errors.UnsupportedError`. :meth:`knows` asks before.
    """

    name: str
    """As Espressif writes it: ``ESP32-C3``."""

    architecture: Architecture
    """The instruction set of its CPU."""

    image_chip_id: int | None
    """In the header of images and, from the ESP32-S3 on, in GET_SECURITY_INFO."""

    magic: int | None
    """The word at 0x4000_1000, for chips that are told apart by it."""

    security_info_size: int | None
    """Bytes that GET_SECURITY_INFO returns; ``None`` where the ROM does not know it."""

    rom: Dialect
    """What the ROM loader speaks."""
    rom_inflates_safely: bool
    """A compressed download through the ROM loader changes nothing behind the data."""
    rom_boots_on: bool
    """The ROM loader goes on to boot what is in flash when FLASH_END has it leave."""

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
    """The minor part of the revision; ``None`` where the silicon does not tell."""

    fields: tuple[Field, ...]
    """Values by name that its texts speak of."""
    descriptions: tuple[Label, ...]
    """The first that applies names the device: package and variant."""
    features: tuple[tuple[Label, ...], ...]
    """Of each group the first that applies is a feature of the device."""

    efuse_blocks: tuple[EfuseBlock, ...]
    """The blocks of eFuses, in order; none where nobody knows them."""
    efuse_write_protection: EfuseProtection | None
    """``None`` where eFuses cannot be protected from being burnt."""
    efuse_read_protection: EfuseProtection | None
    """``None`` where eFuses cannot be hidden. What is hidden reads as 0."""
    flash_crypt_count: BitField | None
    """Flash encryption is on when it has an odd number of bits set."""
    secure_boot_v1: BitField | None
    """Says that Secure Boot V1 is on; ``None`` where there is none."""
    secure_boot_v2: BitField | None
    """On the ESP32 it has an effect from revision 3.0 on."""
    secure_download: BitField | None
    """Restricts the loader to Secure Download Mode."""
    security_flags: tuple[tuple[str, BitField], ...]
    """Flags of GET_SECURITY_INFO besides those of the two fields above, by the names of
    :class:`~esploader.chips.reading.security.SecurityFlag`, as far as their eFuses are known."""
    manual_encrypt_disabled: BitField | None
    """The loader cannot encrypt what it writes."""
    flash_crypt_config: BitField | None
    """How the key depends on the offset; flash can be encrypted when all bits are set.
    ``None`` where there is no such choice."""
    flash_crypt_config_hidden: BitField | None
    """Set where ``flash_crypt_config`` reads as 0, whatever it is."""
    fixed_flash_key: FixedFlashKey | None
    """``None`` where key blocks have purposes."""
    flash_key_in_manager: BitField | None
    """Set where the key manager has the key of flash encryption, and no key block needs to:
    of FORCE_USE_KEY_MANAGER_KEY, the bit for XTS-AES."""
    flash_key_purposes: tuple[frozenset[int], ...]
    """Purposes of key blocks; those of any one entry together are a flash encryption key."""
    key_purposes: tuple[BitField, ...]
    """What each of the key blocks is for."""
    key_purpose_names: tuple[tuple[int, str], ...]
    """What the numbers in :attr:`key_purposes` mean."""

    spi: SpiRegisters
    """The registers of the SPI peripheral in front of the flash."""
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
    """The divider that makes the baud rate of the UART, as the ROM has set it."""
    uart_date_register: int
    """A harmless register, to write to when only the delay of WRITE_REG is wanted."""
    crystal: Crystal
    """Which crystals it may have, and how its ROM finds out."""
    assumed_crystal: AssumedCrystal | None
    """``None`` where the ROM sets the baud rate that it is asked for."""

    memory: tuple[Region, ...]
    """Address order is not promised, and regions may overlap."""

    bootloader_offset: int
    """Where in the flash the bootloader begins, in bytes."""
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
    """The id of its family in UF2 files; ``None`` where it has none."""

    strapping: Bits
    """The straps as they were latched at reset."""
    boot_strap: Bits
    """Which of them is 0 in download mode."""
    boot_strap_gpio: int
    """Low at reset: the ROM enters download mode."""
    has_usb_serial_jtag: bool
    """It has a USB-Serial/JTAG port of its own."""
    usb_otg_pid: int | None
    """USB product id in download mode over USB-OTG; ``None`` where there is none."""

    rtc_watchdog: RtcWatchdog | None
    """``None`` where no loader has to know of it."""
    super_watchdog: SuperWatchdog | None
    """``None`` where no loader has to know of it."""
    watchdog_resets: bool
    """Others have seen the RTC watchdog reset it out of its loader."""
    force_download: Bits | None
    """Sends the next boot to download mode, whatever the straps; ``None`` where not known."""

    stub_files: tuple[Label, ...]
    """The first that applies is the name of the stub's file; empty where there is no stub."""
    stub_hook: int | None
    """Where the ROM keeps the address of what it calls for READ_FLASH_SLOW, on chips that run
    a stub with secure boot on only by way of that; else ``None``."""
    flash_power: FlashPower | None
    """``None`` where the flash has power in download mode."""

    quirks: frozenset[Quirk]
    """What it does that no number expresses."""

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(type(self)):
            if getattr(self, field.name) is UNKNOWN:
                # Leaves the slot empty, which __getattr__ then speaks for.
                object.__delattr__(self, field.name)
        if self.image_chip_id is None and self.magic is None:
            raise ValueError(f"{self.name} cannot be recognised")
        if self.knows("uart_date_register") and not is_register(self.uart_date_register):
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
        require_unique("field", [field.name for field in self.fields])
        if self.knows("memory"):
            require_unique("region", [region.name for region in self.memory])
        if self.knows("efuse_blocks"):
            require_unique("eFuse block", [block.name for block in self.efuse_blocks])
        for table in ("flash_sizes", "flash_frequencies", "flash_modes"):
            if self.knows(table):
                require_unique("flash parameter", [name for name, _ in getattr(self, table)])

    def _check_protection(self) -> None:
        widths = {block.name: WORD_WIDTH * block.word_count for block in self.efuse_blocks}
        for protection in (self.efuse_write_protection, self.efuse_read_protection):
            for _, span in () if protection is None else protection.covers:
                if span.first + span.width > widths.get(span.block, 0):
                    raise ValueError(f"{self.name} has no {span!r}")

    def _check_labels(self) -> None:
        known = {field.name for field in self.fields}
        in_conditions = known | {MAJOR, MINOR}
        groups = (self.descriptions, self.stub_files, *self.features)
        for label in (label for group in groups for label in group):
            if not label.placeholders <= known or not label.fields <= in_conditions:
                raise ValueError(f"{self.name}: {label!r} depends on a field that is not there")
        if not self.descriptions or self.descriptions[-1].when:
            raise ValueError(f"{self.name} needs a description that always applies")
        if self.stub_files and self.stub_files[-1].when:
            raise ValueError(f"{self.name} needs a stub that always applies")

    @override
    def __repr__(self) -> str:
        # All the facts would bury whatever they are printed with.
        return f"<Chip {self.name}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            # Only asked for what is not there.
            if name in attrs.fields_dict(type(self)):
                what = name.replace("_", " ")
                reason = "it is not known yet"
                if name == _MARK_OF_DESCRIPTION or not self.is_described:
                    reason += "; esploader can do no more than recognise this chip"
                raise UnsupportedError(f"{what} of the {self.name}", reason)
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
        return self.knows(_MARK_OF_DESCRIPTION)

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
