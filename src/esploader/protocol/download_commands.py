"""Commands that bring data into the flash or the memory of a device, block by block.

Sources: Espressif, "Serial Protocol" (esptool documentation), "Commands"; where that and the
recorded answers of real loaders differ, the recordings (``tests/vectors``).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from esploader.classes import frozen, override
from esploader.errors import UnsupportedError
from esploader.protocol.commands import DEFAULT_TIMEOUT, Acknowledged
from esploader.protocol.flash_commands import ERASE_SECONDS_PER_MIB
from esploader.protocol.opcodes import Opcode
from esploader.protocol.packet import checksum

if TYPE_CHECKING:
    from esploader.protocol.dialect import Dialect

_MIB: Final = 1024 * 1024

# size u32 | block count u32 | block size u32 | offset u32 [| encrypt u32]
_FLASH_BEGIN: Final = struct.Struct("<5I")
_FLASH_BEGIN_SIZE_WITHOUT_ENCRYPT: Final = 16


@frozen(kw_only=True)
class FlashBegin(Acknowledged):
    """Start a download to flash.

    A ROM loader erases the region at once. A stub takes the size as that of the data to
    come, and erases ahead of it.
    """

    opcode: ClassVar = Opcode.FLASH_BEGIN
    is_repeatable: ClassVar = False

    size: int = attrs.field(repr=hex)
    """Bytes to erase, and to come."""
    block_count: int
    block_size: int = attrs.field(repr=hex)
    offset: int = attrs.field(repr=hex)
    encrypt: bool = False
    """The device encrypts what it writes. Only for a dialect with a word for that."""

    @property
    @override
    def timeout(self) -> float:
        return max(DEFAULT_TIMEOUT, ERASE_SECONDS_PER_MIB * self.size / _MIB)

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        if self.encrypt and not dialect.begin_has_encrypt_word:
            raise UnsupportedError("encrypting", f"the {dialect.name} loader does not know it")
        body = _FLASH_BEGIN.pack(
            self.size, self.block_count, self.block_size, self.offset, self.encrypt
        )
        return body if dialect.begin_has_encrypt_word else body[:_FLASH_BEGIN_SIZE_WITHOUT_ENCRYPT]


@frozen(kw_only=True)
class EmptyBegin(FlashBegin):
    """Start a download of no bytes: nothing is erased, so it is repeatable.

    The ROM loader of the ESP8266 attaches the flash for it.
    """

    is_repeatable: ClassVar = True

    size: int = attrs.field(default=0, init=False)
    block_count: int = attrs.field(default=0, init=False)
    block_size: int = attrs.field(default=0, init=False)
    offset: int = attrs.field(default=0, init=False)


@frozen(kw_only=True)
class FlashDeflBegin(FlashBegin):
    """Start a compressed download to flash; the size is that of the data inflated."""

    opcode: ClassVar = Opcode.FLASH_DEFL_BEGIN


# size u32 | sequence number u32 | reserved u32 x 2 | data
_BLOCK_HEADER: Final = struct.Struct("<II8x")


def _size_repr(data: bytes) -> str:
    return f"<{len(data)} bytes>"


@frozen(kw_only=True)
class BlockCommand(Acknowledged):
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


@frozen(kw_only=True)
class FlashData(BlockCommand):
    """Write one block at the place where the one before it ended."""

    opcode: ClassVar = Opcode.FLASH_DATA


@frozen(kw_only=True)
class FlashDeflData(BlockCommand):
    """Inflate one block and write what comes out where the one before it ended."""

    opcode: ClassVar = Opcode.FLASH_DEFL_DATA


# 0 to restart the device, 1 to run its application | u32
_FLASH_END: Final = struct.Struct("<I")


@frozen(kw_only=True)
class FlashEnd(Acknowledged):
    """End a download; the ROM loader leaves either way."""

    opcode: ClassVar = Opcode.FLASH_END
    is_repeatable: ClassVar = False

    reboot: bool
    work_time: float = 0.0
    """For how long a stub may still be busy with the last block, in seconds."""

    @property
    @override
    def timeout(self) -> float:
        return DEFAULT_TIMEOUT + self.work_time

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _FLASH_END.pack(0 if self.reboot else 1)


# size u32 | block count u32 | block size u32 | address u32
_MEM_BEGIN: Final = struct.Struct("<4I")


@frozen(kw_only=True)
class MemBegin(Acknowledged):
    """Start a download to memory."""

    opcode: ClassVar = Opcode.MEM_BEGIN

    size: int = attrs.field(repr=hex)
    block_count: int
    block_size: int = attrs.field(repr=hex)
    address: int = attrs.field(repr=hex)

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _MEM_BEGIN.pack(self.size, self.block_count, self.block_size, self.address)


@frozen(kw_only=True)
class MemData(BlockCommand):
    """Put one block into memory behind the one before it."""

    opcode: ClassVar = Opcode.MEM_DATA


# 1 to stay in the loader, 0 to jump | entry u32
_MEM_END: Final = struct.Struct("<II")


@frozen(kw_only=True)
class MemEnd(Acknowledged):
    """End a download to memory and jump to ``entry``.

    Whatever starts there may say something of its own, and some ROM loaders jump before
    their response has left.
    """

    opcode: ClassVar = Opcode.MEM_END
    is_repeatable: ClassVar = False
    starts_stream: ClassVar = True

    entry: int = attrs.field(repr=hex)

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _MEM_END.pack(0, self.entry)


@frozen
class MemStay(Acknowledged):
    """End a download to memory, and stay in the loader."""

    opcode: ClassVar = Opcode.MEM_END

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _MEM_END.pack(1, 0)
