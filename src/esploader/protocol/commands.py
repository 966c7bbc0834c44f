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

from esploader.classes import frozen, override
from esploader.protocol.opcodes import Opcode

if TYPE_CHECKING:
    from esploader.protocol.dialect import Dialect
    from esploader.protocol.packet import Response

ResultT_co = TypeVar("ResultT_co", covariant=True)

DEFAULT_TIMEOUT: Final = 3.0
"""For commands that may touch the flash, in seconds."""

REGISTER_TIMEOUT: Final = 1.0
"""For commands that only look at memory, in seconds."""


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


class Acknowledged(Command[None]):
    """A command whose response says no more than that it was carried out."""

    @override
    def decode_result(self, response: Response, dialect: Dialect) -> None:
        return None


# 07 07 12 20 | 55 x 32
_SYNC_BODY: Final = b"\x07\x07\x12\x20" + 32 * b"\x55"

SYNC_RESPONSE_COUNT: Final = 8
"""A loader answers one SYNC with this many equal responses."""

SYNC_VALUE_OF_STUB: Final = 0
SYNC_VALUE_OF_ROM: Final = 0x2012_0707
"""The value word of a loader's answer to SYNC, which tells the two apart."""


@frozen
class Sync(Command[int]):
    """Let the loader find the baud rate. The result is the value word of its answer."""

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


@frozen
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


@frozen
class RegisterWrite:
    """One entry of WRITE_REG: wait, then replace the bits under ``mask``."""

    address: int = attrs.field(repr=hex)
    value: int = attrs.field(repr=hex)
    mask: int = attrs.field(default=ALL_BITS, repr=hex)
    delay_us: int = 0
    """Microseconds to wait before the write."""


@frozen
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


# flash id u32 | total size u32 | block size u32 | sector size u32 | page size u32 | mask u32
_SPI_SET_PARAMS: Final = struct.Struct("<6I")


@frozen(kw_only=True)
class SpiSetParams(Acknowledged):
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


@frozen
class SpiAttach(Acknowledged):
    """Connect the SPI peripheral to the flash.

    ``pins`` is 0 for the usual ones, 1 for HSPI of the ESP32, or five pin numbers of six
    bits each: HD, CS, D, Q, CLK from bit 24 down.
    """

    opcode: ClassVar = Opcode.SPI_ATTACH

    pins: int = attrs.field(default=0, repr=hex)

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return _SPI_ATTACH.pack(self.pins)[: dialect.spi_attach_size]


# new baud rate u32 | old baud rate u32
_CHANGE_BAUDRATE: Final = struct.Struct("<II")


@frozen(kw_only=True)
class ChangeBaudrate(Acknowledged):
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


@frozen
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
