"""What GET_SECURITY_INFO says.

Sources: Espressif, "Serial Protocol" (esptool documentation); the meaning of single flags
was read off what esptool 5.6.0 prints for them. Their names are those of the eFuses in
ESP-IDF, ``components/efuse/esp32s3/esp_efuse_table.csv``.
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING, Final

from esploader.classes import frozen
from esploader.errors import ProtocolError

if TYPE_CHECKING:
    from typing import Self

    from esploader.chips.model.chip import Chip


class SecurityFlag(enum.IntFlag, boundary=enum.KEEP):
    """The flags of the security info, named as the eFuses they stand for."""

    SECURE_BOOT_EN = 1 << 0
    SECURE_BOOT_AGGRESSIVE_REVOKE = 1 << 1
    ENABLE_SECURITY_DOWNLOAD = 1 << 2
    SECURE_BOOT_KEY_REVOKE0 = 1 << 3
    SECURE_BOOT_KEY_REVOKE1 = 1 << 4
    SECURE_BOOT_KEY_REVOKE2 = 1 << 5
    SOFT_DIS_JTAG = 1 << 6
    HARD_DIS_JTAG = 1 << 7
    DIS_USB = 1 << 8
    DIS_DOWNLOAD_DCACHE = 1 << 9
    DIS_DOWNLOAD_ICACHE = 1 << 10


# flags u32 | flash crypt count u8 | key purposes u8 x 7
_SHORT: Final = struct.Struct("<IB7s")
# ... | chip id u32 | API version u32
_LONG: Final = struct.Struct("<IB7sII")

SIZE: Final = _LONG.size
"""Bytes of security info from a chip that says which one it is."""

SIZE_WITHOUT_CHIP_ID: Final = _SHORT.size
"""Bytes of security info from a chip that does not say which one it is."""


@frozen(kw_only=True)
class SecurityInfo:
    """The security state of a device, as its ROM loader tells it."""

    flags: SecurityFlag
    """All bits, those without a name included."""

    flash_crypt_count: int
    """SPI_BOOT_CRYPT_CNT."""

    key_purposes: tuple[int, ...]
    """What the six key blocks are for, and a seventh number whose meaning is not known."""

    chip_id: int | None
    """Image chip id; ``None`` from the ESP32-S2, which does not tell."""

    api_version: int | None
    """Version of the ROM's API, also called ECO version; ``None`` from the ESP32-S2."""

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Return what the body of a response says.

        Raises :exc:`~esploader.errors.ProtocolError` unless it has 12 or 20 bytes.
        """
        chip_id: int | None = None
        api_version: int | None = None
        if len(body) == SIZE:
            flags, count, purposes, chip_id, api_version = _LONG.unpack(body)
        elif len(body) == SIZE_WITHOUT_CHIP_ID:
            flags, count, purposes = _SHORT.unpack(body)
        else:
            raise ProtocolError(
                f"the security info has {len(body)} bytes, "
                f"expected {SIZE_WITHOUT_CHIP_ID} or {SIZE}"
            )
        return cls(
            flags=SecurityFlag(flags),
            flash_crypt_count=count,
            key_purposes=tuple(purposes),
            chip_id=chip_id,
            api_version=api_version,
        )

    @property
    def flag_names(self) -> tuple[str, ...]:
        """Names of the flags that are set and have one, the lowest bit first."""
        return tuple(flag.name for flag in SecurityFlag if flag in self.flags and flag.name)

    @property
    def secure_boot(self) -> bool:
        """The ROM boots only signed images."""
        return SecurityFlag.SECURE_BOOT_EN in self.flags

    @property
    def secure_download_mode(self) -> bool:
        """The loader restricts itself to a few commands."""
        return SecurityFlag.ENABLE_SECURITY_DOWNLOAD in self.flags

    @property
    def flash_encryption(self) -> bool:
        """Flash is decrypted as it is read: the count has an odd number of bits set."""
        return self.flash_crypt_count.bit_count() % 2 == 1


def key_purpose_names(info: SecurityInfo, chip: Chip) -> tuple[str, ...]:
    """Return what the key blocks of ``chip`` are for; ``UNKNOWN`` where it has no name.

    Nothing where nobody knows which number is for which block.
    """
    if not (chip.knows("key_purposes") and chip.knows("key_purpose_names")):
        return ()
    names = dict(chip.key_purpose_names)
    used = info.key_purposes[: len(chip.key_purposes)]
    return tuple(names.get(purpose, "UNKNOWN") for purpose in used)
