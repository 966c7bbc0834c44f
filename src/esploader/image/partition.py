"""One partition: a row of a partition table, and what its numbers are called.

Sources: ESP-IDF, "Partition Tables" (API guides), ``esp_flash_partitions.h`` (the row in flash),
``esp_partition.h`` (types and subtypes) and ``components/partition_table/gen_esp32part.py``,
version 1.5 (the names of both in CSV).
"""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import attrs
from typing_extensions import override

from esploader.chips.model.chip import KIB
from esploader.errors import PartitionTableError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAGIC: Final = b"\xaa\x50"
"""What a row with a partition begins with."""

# magic 2 bytes | type u8 | subtype u8 | offset u32 | size u32 | name, filled with zeros | flags u32
_ROW: Final = struct.Struct("<2sBBII16sI")

ROW_SIZE: Final = _ROW.size

NAME_SIZE: Final = 16
"""Bytes that a row has for the name."""

TABLE_SIZE: Final = 0xC00
"""Bytes of a table; behind it, in the same sector, is room for a signature."""

SECTOR_SIZE: Final = 0x1000
"""What a table occupies, and the unit in which the flash is erased, in bytes."""

APP_ALIGNMENT: Final = 0x1_0000
"""Where an app may begin: the unit in which flash is mapped into the address space."""

APP: Final = 0x00
DATA: Final = 0x01
BOOTLOADER: Final = 0x02
TABLE: Final = 0x03

PRIMARY: Final = 0x00
"""The subtype of the bootloader, and of the table, that the chip uses."""
RECOVERY: Final = 0x02
"""The subtype of the bootloader that the ROM falls back to, of chips that know one."""
FACTORY: Final = 0x00
FIRST_OTA: Final = 0x10
OTA_COUNT: Final = 16
TEST: Final = 0x20
OTADATA: Final = 0x00
NVS: Final = 0x02
COREDUMP: Final = 0x03
UNDEFINED: Final = 0x06
"""The subtype of what is no app and has none."""
TEE_OTADATA: Final = 0x90

_FIRST_TEE: Final = 0x30
_TEE_COUNT: Final = 2

TYPES: Final[Mapping[str, int]] = MappingProxyType(
    {"app": APP, "data": DATA, "bootloader": BOOTLOADER, "partition_table": TABLE}
)

SUBTYPES: Final[Mapping[int, Mapping[str, int]]] = MappingProxyType(
    {
        APP: {
            "factory": FACTORY,
            **{f"ota_{slot}": FIRST_OTA + slot for slot in range(OTA_COUNT)},
            "test": TEST,
            **{f"tee_{slot}": _FIRST_TEE + slot for slot in range(_TEE_COUNT)},
        },
        DATA: {
            "ota": OTADATA,
            "phy": 0x01,
            "nvs": NVS,
            "coredump": COREDUMP,
            "nvs_keys": 0x04,
            "efuse": 0x05,
            "undefined": UNDEFINED,
            "esphttpd": 0x80,
            "fat": 0x81,
            "spiffs": 0x82,
            "littlefs": 0x83,
            "tee_ota": TEE_OTADATA,
        },
        BOOTLOADER: {"primary": PRIMARY, "ota": 0x01, "recovery": RECOVERY},
        TABLE: {"primary": PRIMARY, "ota": 0x01},
    }
)
"""The names of subtypes, by type; other types have none."""

FLAGS: Final[Mapping[str, int]] = MappingProxyType({"encrypted": 1 << 0, "readonly": 1 << 1})


@attrs.frozen(kw_only=True)
class Partition:
    """A part of the flash that has a name."""

    name: str
    """At most 16 bytes of UTF-8; what is none, in a table from a device, is kept by surrogates."""
    type: int
    """0 to 254: :data:`TYPES`, or of the application."""
    subtype: int
    """0 to 254: :data:`SUBTYPES`."""
    offset: int = attrs.field(repr=hex)
    """Where it begins in flash."""
    size: int = attrs.field(repr=hex)
    """Bytes of it."""
    flags: int = attrs.field(default=0, repr=hex)
    """32 bits: :data:`FLAGS`, and perhaps others of a later ESP-IDF."""

    @property
    def end(self) -> int:
        """The offset behind its last byte."""
        return self.offset + self.size

    @property
    def is_app(self) -> bool:
        """It is for an application."""
        return self.type == APP

    @property
    def is_otadata(self) -> bool:
        """It says which application boots."""
        return (self.type, self.subtype) == (DATA, OTADATA)

    @property
    def is_primary(self) -> bool:
        """It is the bootloader or the table in use: its place is given, not chosen."""
        return is_primary(self.type, self.subtype)

    @property
    def ota_slot(self) -> int | None:
        """0 to 15 for a slot that updates over the air go to; ``None`` for all else."""
        slot = self.subtype - FIRST_OTA
        return slot if self.is_app and 0 <= slot < OTA_COUNT else None

    @property
    def is_encrypted(self) -> bool:
        """With flash encryption on it is encrypted; so is every app, without this flag, too."""
        return bool(self.flags & FLAGS["encrypted"])

    @property
    def is_read_only(self) -> bool:
        """The application does not write to it."""
        return bool(self.flags & FLAGS["readonly"])

    @property
    def type_name(self) -> str:
        """The name of its type, or the number."""
        return _name_of(self.type, TYPES)

    @property
    def subtype_name(self) -> str:
        """The name of its subtype, or the number."""
        return _name_of(self.subtype, SUBTYPES.get(self.type, {}))

    @property
    def flag_names(self) -> tuple[str, ...]:
        """The flags that are set, as far as they have names."""
        return tuple(name for name, bit in FLAGS.items() if self.flags & bit)

    @property
    def unknown_flags(self) -> int:
        """The flags that are set and have no names."""
        return self.flags & ~sum(FLAGS.values())

    @property
    def shown_name(self) -> str:
        """The name for people: what is no printable character is spelled out.

        A name in flash may be anything, also what moves the cursor of a terminal.
        """
        return printable(self.name)

    @override
    def __str__(self) -> str:
        return f"{self.shown_name}: {self.size:#x} bytes at {self.offset:#x}"

    def to_bytes(self) -> bytes:
        """Return the row in flash, 32 bytes.

        Raises:
            PartitionTableError: a number or the name has no room there.
        """
        name = self.name.encode("utf-8", "surrogateescape")
        if len(name) > NAME_SIZE:
            raise PartitionTableError(
                f"the name {self.shown_name} has {len(name)} bytes; {NAME_SIZE} are possible"
            )
        if "\0" in self.name:
            raise PartitionTableError(f"the name {self.shown_name} has a zero byte")
        try:
            return _ROW.pack(
                MAGIC, self.type, self.subtype, self.offset, self.size, name, self.flags
            )
        except struct.error as exc:
            raise PartitionTableError(f"{self}: no table can hold it: {exc}") from exc


def parse_row(row: bytes) -> Partition:
    """Return the partition in a row of 32 bytes, whose beginning has been seen to.

    A name ends with its first zero byte, or takes all 16 bytes.
    """
    _, kind, subtype, offset, size, name, flags = _ROW.unpack(row)
    return Partition(
        name=name.partition(b"\0")[0].decode("utf-8", "surrogateescape"),
        type=kind,
        subtype=subtype,
        offset=offset,
        size=size,
        flags=flags,
    )


def is_primary(kind: int, subtype: int) -> bool:
    """Tell whether these are of the bootloader or the table in use."""
    return kind in {BOOTLOADER, TABLE} and subtype == PRIMARY


def printable(text: str) -> str:
    """Return text that changes nothing but the place it is printed at."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def size_name(size: int) -> str:
    """Return a number of bytes in the largest unit that has no remainder: ``24K``, ``1M``."""
    for unit, name in ((KIB * KIB, "M"), (KIB, "K")):
        if size and size % unit == 0:
            return f"{size // unit}{name}"
    return f"{size:#x}"


def _name_of(number: int, names: Mapping[str, int]) -> str:
    return next((name for name, value in names.items() if value == number), str(number))
