"""What images say of themselves: descriptors of applications and of bootloaders.

Sources: ESP-IDF, ``components/esp_app_format/include/esp_app_desc.h`` (``esp_app_desc_t``) and
``components/esp_bootloader_format/include/esp_bootloader_desc.h`` (``esp_bootloader_desc_t``).
All words are little-endian.
"""

from __future__ import annotations

import struct
from typing import Final

from esploader.chips.model.revision import Revision
from esploader.classes import frozen, override

_APP_MAGIC: Final = 0xABCD_5432
_BOOTLOADER_MAGIC: Final = 0x50

# magic u32 | secure version u32 | reserved 8 bytes | version 32 bytes | project name 32 bytes
# | time 16 bytes | date 16 bytes | version of ESP-IDF 32 bytes | SHA-256 of the ELF file 32 bytes
# | minimum and maximum revision of the eFuse block u16 x 2 | log2 of the MMU page size u8
# | reserved 75 bytes
_APP: Final = struct.Struct("<2I8x32s32s16s16s32s32s2HB75x")

# magic u8 | reserved 3 bytes | version u32 | version of ESP-IDF 32 bytes | date and time 24 bytes
# | reserved 16 bytes
_BOOTLOADER: Final = struct.Struct("<B3xI32s24s16x")

APP_DESCRIPTOR_SIZE: Final = _APP.size
"""256 bytes."""

BOOTLOADER_DESCRIPTOR_SIZE: Final = _BOOTLOADER.size
"""80 bytes."""

APP_DIGEST: Final = slice(0x90, 0xB0)
"""The bytes of an application's descriptor that hold the SHA-256 digest of the ELF file."""

_REVISION_RADIX: Final = 100  # a revision in 16 bits is major x 100 + minor
_SHORT: Final = 60
_LARGEST_LOG2: Final = 31


@frozen(kw_only=True, repr=False)
class AppDescriptor:
    """What an application says of itself. Texts are as they stand there; trust none."""

    project: str
    """What it is called."""

    version: str
    """Which version it is, as its makers count."""

    time: str
    """When it was compiled: hours, minutes and seconds."""

    date: str
    """When it was compiled: the day."""

    idf_version: str
    """The version of ESP-IDF that it was built with."""

    elf_digest: bytes
    """SHA-256 of the ELF file that the image was made of; 32 bytes."""

    secure_version: int
    """Applications with a lower one are refused where anti-rollback is on."""

    minimum_efuse_revision: Revision
    """The earliest of the eFuse block that it can deal with."""

    maximum_efuse_revision: Revision
    """The latest of the eFuse block that it can deal with."""

    mmu_page_size: int | None
    """In bytes, as the application was linked for; ``None`` where it does not say."""

    @override
    def __repr__(self) -> str:
        return f"<AppDescriptor {_short(self.project)}, version {_short(self.version)}>"


@frozen(kw_only=True, repr=False)
class BootloaderDescriptor:
    """What a bootloader says of itself. Texts are as they stand there; trust none."""

    version: int
    """Which version it is, as its makers count."""

    idf_version: str
    """The version of ESP-IDF that it was built with."""

    compiled: str
    """When it was compiled: date and time."""

    @override
    def __repr__(self) -> str:
        idf_version = _short(self.idf_version)
        return f"<BootloaderDescriptor version {self.version}, ESP-IDF {idf_version}>"


def parse_app_descriptor(data: bytes | memoryview) -> AppDescriptor | None:
    """Return the descriptor that ``data`` begin with; ``None`` when they begin with none."""
    if len(data) < _APP.size:
        return None
    magic, secure_version, *texts, digest, minimum, maximum, page = _APP.unpack_from(data)
    if magic != _APP_MAGIC:
        return None
    version, project, time, date, idf_version = map(_text, texts)
    return AppDescriptor(
        project=project,
        version=version,
        time=time,
        date=date,
        idf_version=idf_version,
        elf_digest=digest,
        secure_version=secure_version,
        minimum_efuse_revision=Revision(*divmod(minimum, _REVISION_RADIX)),
        maximum_efuse_revision=Revision(*divmod(maximum, _REVISION_RADIX)),
        mmu_page_size=1 << page if 0 < page <= _LARGEST_LOG2 else None,
    )


def parse_bootloader_descriptor(data: bytes | memoryview) -> BootloaderDescriptor | None:
    """Return the descriptor that ``data`` begin with; ``None`` when they begin with none."""
    if len(data) < _BOOTLOADER.size:
        return None
    magic, version, idf_version, compiled = _BOOTLOADER.unpack_from(data)
    texts = _text(idf_version), _text(compiled)
    # The magic is one byte, which data may begin with as well.
    if magic != _BOOTLOADER_MAGIC or not all(map(str.isascii, texts)):
        return None
    return BootloaderDescriptor(version=version, idf_version=texts[0], compiled=texts[1])


def _short(text: str) -> str:
    """Return a text of an image for a log: it may be anything."""
    return repr(text)[:_SHORT]


def _text(field: bytes) -> str:
    text, _, _ = field.partition(b"\0")
    return text.decode("utf-8", "replace")
