"""One frozen class per command of the serial protocol.

A command encodes its request body and reads the response to it, for a dialect. Sources:
Espressif, "Serial Protocol" (esptool documentation), "Commands"; where that and the
recorded answers of real loaders differ, the recordings (``tests/vectors``).
"""

from __future__ import annotations

import abc
import struct
from typing import TYPE_CHECKING, ClassVar, Final, Generic, TypeVar

import attrs
from typing_extensions import override

from esploader.errors import ProtocolError
from esploader.protocol.opcodes import Opcode
from esploader.protocol.packet import checksum

if TYPE_CHECKING:
    from esploader.protocol.dialect import Dialect
    from esploader.protocol.packet import Response

ResultT_co = TypeVar("ResultT_co", covariant=True)

DEFAULT_TIMEOUT: Final = 3.0
"""For commands that may touch the flash, in seconds."""

REGISTER_TIMEOUT: Final = 1.0
"""For commands that only look at memory, in seconds."""

_MIB: Final = 1024 * 1024


class Command(abc.ABC, Generic[ResultT_co]):
    """A request to the loader, and how to read the response to it."""

    opcode: ClassVar[Opcode]

    is_repeatable: ClassVar[bool] = True
    """Carrying it out twice leaves the device as carrying it out once does."""

    starts_stream: ClassVar[bool] = False
    """Frames that are no responses follow."""

    @abc.abstractmethod
    def encode_body(self, dialect: Dialect) -> bytes:
        """Return the request body."""

    @abc.abstractmethod
    def decode_result(self, response: Response, dialect: Dialect) -> ResultT_co:
        """Return what ``response``, relieved of its status bytes, says.

        Raises:
            ProtocolError: it does not say what this command asked for.
        """

    @property
    def checksum(self) -> int:
        """The checksum word of the request; 0 for a command that carries no block."""
        return 0

    @property
    def timeout(self) -> float:
        """How long the loader may take, in seconds, on a line without latency."""
        return DEFAULT_TIMEOUT

    def data_size(self, dialect: Dialect) -> int | None:  # noqa: ARG002 - subclasses use it
        """Return the bytes of data in the response; ``None`` where they vary."""
        return 0


class _Acknowledged(Command[None]):
    """A command whose response says no more than that it was carried out."""

    @override
    def decode_result(self, response: Response, dialect: Dialect) -> None:
        return None


# 07 07 12 20 | 55 x 32
_SYNC_BODY: Final = b"\x07\x07\x12\x20" + 32 * b"\x55"

SYNC_RESPONSE_COUNT: Final = 8
"""A loader answers one SYNC with this many equal responses."""


@attrs.frozen
class Sync(Command[int]):
    """Let the loader find the baud rate. The result is its value word: 0 from a stub."""

    opcode: ClassVar = Opcode.SYNC

    @property
    @override
    def timeout(self) -> float:
        return 0.1

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _SYNC_BODY

    @override
    def decode_result(self, response: Response, dialect: Dialect) -> int:
        return response.value


# address u32
_READ_REG: Final = struct.Struct("<I")


@attrs.frozen
class ReadReg(Command[int]):
    """Read a 32-bit word of the address space."""

    opcode: ClassVar = Opcode.READ_REG

    address: int = attrs.field(repr=hex)

    @property
    @override
    def timeout(self) -> float:
        return REGISTER_TIMEOUT

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _READ_REG.pack(self.address)

    @override
    def decode_result(self, response: Response, dialect: Dialect) -> int:
        return response.value


# address u32 | value u32 | mask u32 | delay u32
_WRITE_REG_ENTRY: Final = struct.Struct("<IIII")

ALL_BITS: Final = 0xFFFF_FFFF


@attrs.frozen
class RegisterWrite:
    """One entry of WRITE_REG: wait, then replace the bits under ``mask``."""

    address: int = attrs.field(repr=hex)
    value: int = attrs.field(repr=hex)
    mask: int = attrs.field(default=ALL_BITS, repr=hex)
    delay_us: int = 0
    """Microseconds to wait before the write."""


@attrs.frozen
class WriteReg(Command[None]):
    """Write words of the address space, in order.

    As many as :attr:`Dialect.max_write_reg_entries` in one request.
    """

    opcode: ClassVar = Opcode.WRITE_REG

    entries: tuple[RegisterWrite, ...]

    @property
    @override
    def timeout(self) -> float:
        return REGISTER_TIMEOUT + sum(entry.delay_us for entry in self.entries) / 1e6

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return b"".join(
            _WRITE_REG_ENTRY.pack(entry.address, entry.value, entry.mask, entry.delay_us)
            for entry in self.entries
        )

    @override
    def decode_result(self, response: Response, dialect: Dialect) -> None:
        return None


ERASE_SECONDS_PER_MIB: Final = 40.0
"""How long a loader may take to erase, in seconds per MiB: slow parts when cold."""

CHIP_ERASE_TIMEOUT: Final = 120.0
"""How long the erasure of a whole flash may take, in seconds."""

# flash id u32 | total size u32 | block size u32 | sector size u32 | page size u32 | mask u32
_SPI_SET_PARAMS: Final = struct.Struct("<6I")


@attrs.frozen(kw_only=True)
class SpiSetParams(_Acknowledged):
    """Tell the loader the geometry of the flash. All sizes in bytes."""

    opcode: ClassVar = Opcode.SPI_SET_PARAMS

    total_size: int = attrs.field(repr=hex)
    block_size: int = attrs.field(default=0x1_0000, repr=hex)
    sector_size: int = attrs.field(default=0x1000, repr=hex)
    page_size: int = attrs.field(default=0x100, repr=hex)
    status_mask: int = attrs.field(default=0xFFFF, repr=hex)

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        flash_id = 0  # The loader keeps its own.
        return _SPI_SET_PARAMS.pack(
            flash_id,
            self.total_size,
            self.block_size,
            self.sector_size,
            self.page_size,
            self.status_mask,
        )


# pins u32 | reserved u32, which the stub does not want
_SPI_ATTACH: Final = struct.Struct("<I4x")


@attrs.frozen
class SpiAttach(_Acknowledged):
    """Connect the SPI peripheral to the flash.

    ``pins`` is 0 for the usual ones, 1 for HSPI of the ESP32, or five pin numbers of six
    bits each: HD, CS, D, Q, CLK from bit 24 down.
    """

    opcode: ClassVar = Opcode.SPI_ATTACH

    pins: int = attrs.field(default=0, repr=hex)

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _SPI_ATTACH.pack(self.pins)[: dialect.spi_attach_size]


# size u32 | block count u32 | block size u32 | offset u32 [| encrypt u32]
_FLASH_BEGIN: Final = struct.Struct("<5I")
_FLASH_BEGIN_SIZE_WITHOUT_ENCRYPT: Final = 16


@attrs.frozen(kw_only=True)
class FlashBegin(_Acknowledged):
    """Start a download to flash.

    A ROM loader erases the region at once. A stub takes the size as that of the data to
    come, and erases ahead of it.
    """

    opcode: ClassVar = Opcode.FLASH_BEGIN

    size: int = attrs.field(repr=hex)
    """Bytes to erase, and to come."""
    block_count: int
    block_size: int = attrs.field(repr=hex)
    offset: int = attrs.field(repr=hex)
    encrypt: bool = False
    """The device encrypts what it writes."""

    @property
    @override
    def timeout(self) -> float:
        return max(DEFAULT_TIMEOUT, ERASE_SECONDS_PER_MIB * self.size / _MIB)

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        body = _FLASH_BEGIN.pack(
            self.size, self.block_count, self.block_size, self.offset, self.encrypt
        )
        return body if dialect.begin_has_encrypt_word else body[:_FLASH_BEGIN_SIZE_WITHOUT_ENCRYPT]


@attrs.frozen(kw_only=True)
class FlashDeflBegin(FlashBegin):
    """Start a compressed download to flash; the size is that of the data inflated."""

    opcode: ClassVar = Opcode.FLASH_DEFL_BEGIN


# size u32 | sequence number u32 | reserved u32 x 2 | data
_BLOCK_HEADER: Final = struct.Struct("<II8x")


def _size_repr(data: bytes) -> str:
    return f"<{len(data)} bytes>"


@attrs.frozen(kw_only=True)
class _BlockCommand(_Acknowledged):
    """A command that carries one block of data."""

    is_repeatable: ClassVar = False

    sequence: int
    data: bytes = attrs.field(repr=_size_repr)
    work_time: float = DEFAULT_TIMEOUT
    """How long the loader may take to respond, in seconds: a stub, with the block before."""

    @property
    @override
    def checksum(self) -> int:
        return checksum(self.data)

    @property
    @override
    def timeout(self) -> float:
        return max(DEFAULT_TIMEOUT, self.work_time)

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _BLOCK_HEADER.pack(len(self.data), self.sequence) + self.data


@attrs.frozen(kw_only=True)
class FlashData(_BlockCommand):
    """Write one block at the place where the one before it ended."""

    opcode: ClassVar = Opcode.FLASH_DATA


@attrs.frozen(kw_only=True)
class FlashDeflData(_BlockCommand):
    """Inflate one block and write what comes out where the one before it ended."""

    opcode: ClassVar = Opcode.FLASH_DEFL_DATA


# size u32 | block count u32 | block size u32 | address u32
_MEM_BEGIN: Final = struct.Struct("<4I")


@attrs.frozen(kw_only=True)
class MemBegin(_Acknowledged):
    """Start a download to memory."""

    opcode: ClassVar = Opcode.MEM_BEGIN

    size: int = attrs.field(repr=hex)
    block_count: int
    block_size: int = attrs.field(repr=hex)
    address: int = attrs.field(repr=hex)

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _MEM_BEGIN.pack(self.size, self.block_count, self.block_size, self.address)


@attrs.frozen(kw_only=True)
class MemData(_BlockCommand):
    """Put one block into memory behind the one before it."""

    opcode: ClassVar = Opcode.MEM_DATA


# 1 to stay in the loader, 0 to jump | entry u32
_MEM_END: Final = struct.Struct("<II")


@attrs.frozen(kw_only=True)
class MemEnd(_Acknowledged):
    """End a download to memory and, unless ``entry`` is 0, jump there.

    Whatever starts there may say something of its own, and some ROM loaders jump before
    their response has left.
    """

    opcode: ClassVar = Opcode.MEM_END
    is_repeatable: ClassVar = False
    starts_stream: ClassVar = True

    entry: int = attrs.field(repr=hex)

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _MEM_END.pack(0 if self.entry else 1, self.entry)


@attrs.frozen
class EraseFlash(_Acknowledged):
    """Erase the whole flash."""

    opcode: ClassVar = Opcode.ERASE_FLASH

    @property
    @override
    def timeout(self) -> float:
        return CHIP_ERASE_TIMEOUT

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return b""


# offset u32 | size u32
_ERASE_REGION: Final = struct.Struct("<II")


@attrs.frozen(kw_only=True)
class EraseRegion(_Acknowledged):
    """Erase whole sectors. A stub ignores what lies outside the flash."""

    opcode: ClassVar = Opcode.ERASE_REGION

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


@attrs.frozen(kw_only=True)
class ReadFlash(_Acknowledged):
    """Have a stub send a region of flash, in pieces that the host acknowledges."""

    opcode: ClassVar = Opcode.READ_FLASH
    starts_stream: ClassVar = True

    offset: int = attrs.field(repr=hex)
    size: int = attrs.field(repr=hex)

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        packets_in_flight = 1
        return _READ_FLASH.pack(self.offset, self.size, READ_PACKET_SIZE, packets_in_flight)


# 0 to restart the device, 1 to run its application | u32
_FLASH_END: Final = struct.Struct("<I")


@attrs.frozen(kw_only=True)
class FlashEnd(_Acknowledged):
    """End a download; the ROM loader leaves either way."""

    opcode: ClassVar = Opcode.FLASH_END
    is_repeatable: ClassVar = False

    reboot: bool

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _FLASH_END.pack(0 if self.reboot else 1)


# offset u32 | size u32
_READ_FLASH_SLOW: Final = struct.Struct("<II")

READ_FLASH_SLOW_SIZE: Final = 64
"""Bytes that READ_FLASH_SLOW returns, however few were asked for."""


@attrs.frozen(kw_only=True)
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


# offset u32 | size u32 | reserved u32 x 2
_SPI_FLASH_MD5: Final = struct.Struct("<II8x")

MD5_SIZE: Final = 16

MD5_SECONDS_PER_MIB: Final = 8.0
"""How long a loader may take to hash, in seconds per MiB."""


@attrs.frozen(kw_only=True)
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


# new baud rate u32 | old baud rate u32
_CHANGE_BAUDRATE: Final = struct.Struct("<II")


@attrs.frozen(kw_only=True)
class ChangeBaudrate(_Acknowledged):
    """Change the baud rate after the response.

    ``old`` is the present rate for a stub and 0 for a ROM loader.
    """

    opcode: ClassVar = Opcode.CHANGE_BAUDRATE
    is_repeatable: ClassVar = False

    new: int
    old: int = 0

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _CHANGE_BAUDRATE.pack(self.new, self.old)


@attrs.frozen
class GetSecurityInfo(Command[bytes]):
    """Ask for the security state; 12 bytes from the ESP32-S2, 20 from later chips."""

    opcode: ClassVar = Opcode.GET_SECURITY_INFO

    @property
    @override
    def timeout(self) -> float:
        return REGISTER_TIMEOUT

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return b""

    @override
    def data_size(self, dialect: Dialect) -> None:
        return None

    @override
    def decode_result(self, response: Response, dialect: Dialect) -> bytes:
        return response.body
