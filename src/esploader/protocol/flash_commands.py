"""Commands that look at flash or erase it.

Sources: Espressif, "Serial Protocol" (esptool documentation), "Commands"; where that and the
recorded answers of real loaders differ, the recordings (``tests/vectors``).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from esploader.classes import frozen, override
from esploader.errors import ProtocolError
from esploader.protocol.commands import DEFAULT_TIMEOUT, Acknowledged, Command
from esploader.protocol.opcodes import Opcode

if TYPE_CHECKING:
    from esploader.protocol.dialect import Dialect
    from esploader.protocol.packet import Response

_MIB: Final = 1024 * 1024

ERASE_SECONDS_PER_MIB: Final = 40.0
"""How long a loader may take to erase, in seconds per MiB: slow parts when cold."""

CHIP_ERASE_SECONDS_PER_MIB: Final = 12.5
"""The same for a whole flash at once, where cells are erased together: W25Q128JV, W25Q256JV,
data sheets, chip erase time."""

USUAL_FLASH_SIZE: Final = 16 * _MIB
"""Of a flash that does not tell, in bytes: few are larger."""


@frozen
class EraseFlash(Acknowledged):
    """Erase the whole flash, of ``flash_size`` bytes."""

    opcode: ClassVar = Opcode.ERASE_FLASH
    is_repeatable: ClassVar = False

    flash_size: int | None
    """``None`` where it is not known."""

    @property
    @override
    def timeout(self) -> float:
        size = max(self.flash_size or 0, USUAL_FLASH_SIZE)
        return size / _MIB * CHIP_ERASE_SECONDS_PER_MIB

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return b""


# offset u32 | size u32
_ERASE_REGION: Final = struct.Struct("<II")


@frozen(kw_only=True)
class EraseRegion(Acknowledged):
    """Erase whole sectors. A stub ignores what lies outside the flash.

    Not repeatable, as everything that erases: nothing protects offset and size on the line, so
    it is for the caller to look what became of it.
    """

    opcode: ClassVar = Opcode.ERASE_REGION
    is_repeatable: ClassVar = False

    offset: int = attrs.field(repr=hex)
    size: int = attrs.field(repr=hex)

    @property
    @override
    def timeout(self) -> float:
        return max(DEFAULT_TIMEOUT, ERASE_SECONDS_PER_MIB * self.size / _MIB)

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _ERASE_REGION.pack(self.offset, self.size)


# offset u32 | size u32 | packet size u32 | packets in flight u32
_READ_FLASH: Final = struct.Struct("<4I")

READ_PACKET_SIZE: Final = 0x1000
"""The largest piece in which a stub sends what it reads, in bytes."""


@frozen(kw_only=True)
class ReadFlash(Acknowledged):
    """Have a stub send a region of flash, in pieces that the host acknowledges."""

    opcode: ClassVar = Opcode.READ_FLASH
    starts_stream: ClassVar = True

    offset: int = attrs.field(repr=hex)
    size: int = attrs.field(repr=hex)

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        packets_in_flight = 1
        return _READ_FLASH.pack(self.offset, self.size, READ_PACKET_SIZE, packets_in_flight)


# offset u32 | size u32
_READ_FLASH_SLOW: Final = struct.Struct("<II")

READ_FLASH_SLOW_SIZE: Final = 64
"""Bytes that READ_FLASH_SLOW returns, however few were asked for."""


@frozen(kw_only=True)
class ReadFlashSlow(Command[bytes]):
    """Read up to 64 bytes of flash through the ROM loader."""

    opcode: ClassVar = Opcode.READ_FLASH_SLOW

    offset: int = attrs.field(repr=hex)
    size: int = READ_FLASH_SLOW_SIZE

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _READ_FLASH_SLOW.pack(self.offset, self.size)

    @override
    def data_size(self, dialect: Dialect) -> int:
        return READ_FLASH_SLOW_SIZE

    @override
    def decode_result(self, response: Response, dialect: Dialect) -> bytes:
        return response.body[: self.size]


@frozen
class CallHook(Acknowledged):
    """Have a ROM loader call what stands in the place of its function for reading flash.

    Nothing is read, and whatever is called there does not come back: there is no response,
    only what it says itself (:attr:`Chip.stub_hook`).
    """

    opcode: ClassVar = Opcode.READ_FLASH_SLOW
    is_repeatable: ClassVar = False
    starts_stream: ClassVar = True

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _READ_FLASH_SLOW.pack(0, 0)

    @override
    def data_size(self, dialect: Dialect) -> int | None:
        return None


# offset u32 | size u32 | reserved u32 x 2
_SPI_FLASH_MD5: Final = struct.Struct("<II8x")

MD5_SIZE: Final = 16

MD5_SECONDS_PER_MIB: Final = 8.0
"""How long a loader may take to hash, in seconds per MiB."""


@frozen(kw_only=True)
class SpiFlashMd5(Command[bytes]):
    """Hash a flash region on the device. The result is the raw digest."""

    opcode: ClassVar = Opcode.SPI_FLASH_MD5

    offset: int = attrs.field(repr=hex)
    size: int = attrs.field(repr=hex)
    work_time: float = 0.0
    """For how long a stub may still be busy with the last block before it, in seconds."""

    @property
    @override
    def timeout(self) -> float:
        return max(DEFAULT_TIMEOUT, MD5_SECONDS_PER_MIB * self.size / _MIB) + self.work_time

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _SPI_FLASH_MD5.pack(self.offset, self.size)

    @override
    def data_size(self, dialect: Dialect) -> int:
        return 2 * MD5_SIZE if dialect.md5_is_hex else MD5_SIZE

    @override
    def decode_result(self, response: Response, dialect: Dialect) -> bytes:
        if not dialect.md5_is_hex:
            return response.body
        try:
            digest = bytes.fromhex(response.body.decode("ascii"))
        except ValueError as exc:
            raise ProtocolError(f"an MD5 is not hexadecimal: {response.body!r}") from exc
        if len(digest) != MD5_SIZE:  # fromhex() skips blanks.
            raise ProtocolError(f"an MD5 has {len(digest)} bytes, expected {MD5_SIZE}")
        return digest
