"""Commands to the flash chip itself, through the SPI peripheral's registers.

The loaders have no command "send this to the flash", but they write and read registers,
and the SPI peripheral in front of the flash runs a user-defined transaction.
Source: Technical Reference Manuals, "SPI Controller" (ESP32: SPI_CMD, SPI_USER,
SPI_USER1, SPI_USER2 registers; later chips: SPI_MEM_*); flash opcodes: JEDEC JESD216 and
data sheets of the Winbond W25Q series.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import attrs

from esploader.errors import UnsupportedError
from esploader.protocol.commands import (
    Command,
    ReadReg,
    RegisterWrite,
    SpiAttach,
    WriteReg,
)
from esploader.protocol.download_commands import FlashBegin
from esploader.protocol.opcodes import Opcode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esploader.chips.model import Chip
    from esploader.session import Session

READ_ID: Final = 0x9F
READ_STATUS: Final = (0x05, 0x35, 0x15)
"""Read status register 1, 2, 3."""
READ_SFDP: Final = 0x5A

MAX_READ_SIZE: Final = 64
MAX_WRITE_SIZE: Final = 64
"""Bytes of one transaction: the sixteen words of the data buffer."""

_START: Final = 1 << 18

_USE_COMMAND: Final = 1 << 31
_USE_ADDRESS: Final = 1 << 30
_USE_DUMMY: Final = 1 << 29
_USE_INPUT: Final = 1 << 28
_USE_OUTPUT: Final = 1 << 27

_ADDRESS_BITS_LSB: Final = 26  # in SPI_USER1
_OUTPUT_BITS_LSB: Final = 17  # in SPI_USER1, on chips without a register for it
_INPUT_BITS_LSB: Final = 8
_COMMAND_IS_8_BITS: Final = 7 << 28  # in SPI_USER2

# A 64-byte transaction takes under 30 us at 20 MHz; the response takes longer than that.
_TRANSACTION_US: Final = 50
_MAX_POLLS: Final = 10

_WORD: Final = struct.Struct("<I")


@attrs.frozen(kw_only=True)
class SpiTransaction:
    """One command to the flash chip: opcode, address, dummy cycles, data out or in."""

    opcode: int = attrs.field(repr=hex)
    address: int = attrs.field(default=0, repr=hex)
    address_bits: int = 0
    dummy_bits: int = 0
    output: bytes = b""
    input_size: int = 0
    """Bytes to read."""

    def __attrs_post_init__(self) -> None:
        if self.input_size > MAX_READ_SIZE or len(self.output) > MAX_WRITE_SIZE:
            raise UnsupportedError(
                f"a transaction of the flash with opcode {self.opcode:#04x}",
                f"the SPI peripheral takes {MAX_WRITE_SIZE} bytes at a time",
            )


@attrs.define
class FlashPort:
    """The SPI peripheral of one device, in front of its flash."""

    _session: Session
    _chip: Chip
    _pads: int
    """The GPIOs of the flash, as SPI_ATTACH takes them; 0 for the usual ones."""
    is_elsewhere: bool = attrs.field(default=False, init=False)
    """The flash is where the loaders do not look for it by themselves."""
    _is_attached: bool = attrs.field(default=False, init=False)

    def transact(self, transaction: SpiTransaction) -> bytes:
        """Run one transaction and return the bytes read.

        Where the loader can take a burst this costs one round trip, attaching the flash
        included. The registers get back what they held in front of the next command.

        Raises:
            UnsupportedError: the transaction did not end.
            EsploaderError: as :meth:`Session.execute`.
        """
        saved = self._changed_registers(transaction)
        commands: list[Command[object]] = [] if self._is_attached else [self._attach_command()]
        position_of_saved = len(commands)
        commands += [ReadReg(address) for address in saved]
        commands += self._writes(self._setup(transaction))
        reads = self._result_reads(transaction)
        commands += reads
        results = self._session.execute_all(commands)
        self._is_attached = True

        held = results[position_of_saved : position_of_saved + len(saved)]
        for write in self._writes(
            RegisterWrite(address, _word(value)) for address, value in zip(saved, held, strict=True)
        ):
            self._session.defer(write)
        words = [_word(result) for result in results[-len(reads) :]]
        for _ in range(_MAX_POLLS):
            if not words[0] & _START:
                data = b"".join(map(_WORD.pack, words[1:]))
                return data[: transaction.input_size]
            words = self._session.execute_all(reads)
        raise UnsupportedError(
            f"flash opcode {transaction.opcode:#04x}", "the SPI peripheral does not finish"
        )

    def attach(self) -> None:
        """Connect the peripheral to the flash, unless that has been done."""
        if not self._is_attached:
            self._session.execute(self._attach_command())
            self._is_attached = True

    def move_to(self, pads: int) -> None:
        """Expect the flash at other pins, as SPI_ATTACH takes them."""
        self._pads = pads
        self.is_elsewhere = True
        self._is_attached = False

    def forget(self) -> None:
        """Attach the flash again before the next transaction: the device was reset."""
        self._is_attached = False

    def _attach_command(self) -> Command[None]:
        if Opcode.SPI_ATTACH in self._session.dialect.opcodes:
            return SpiAttach(self._pads)
        # The ROM of the ESP8266 attaches the flash when a download begins.
        return FlashBegin(size=0, block_count=0, block_size=0, offset=0)

    def _changed_registers(self, transaction: SpiTransaction) -> list[int]:
        spi = self._chip.spi
        changed = [spi.usr, spi.usr2]
        if self._user1(transaction) is not None:
            changed.append(spi.usr1)
        return [spi.base + offset for offset in changed]

    def _setup(self, transaction: SpiTransaction) -> list[RegisterWrite]:
        """Return the register writes that start the transaction and wait for its end."""
        spi = self._chip.spi
        writes: list[tuple[int, int]] = []
        if spi.mosi_dlen is not None and transaction.output:
            writes.append((spi.mosi_dlen, 8 * len(transaction.output) - 1))
        if spi.miso_dlen is not None and transaction.input_size:
            writes.append((spi.miso_dlen, 8 * transaction.input_size - 1))
        writes.append((spi.usr, _user(transaction)))
        user1 = self._user1(transaction)
        if user1 is not None:
            writes.append((spi.usr1, user1))
        writes.append((spi.usr2, _COMMAND_IS_8_BITS | transaction.opcode))
        if transaction.address_bits:
            shift = 32 - transaction.address_bits if spi.addr_is_msb_aligned else 0
            writes.append((spi.addr, transaction.address << shift))
        output = transaction.output + bytes(-len(transaction.output) % 4)
        for index, (word,) in enumerate(_WORD.iter_unpack(output)):
            writes.append((spi.w0 + 4 * index, word))
        writes.append((spi.cmd, _START))
        entries = [RegisterWrite(spi.base + offset, value) for offset, value in writes]
        if self._session.dialect.max_write_reg_entries > 1:
            # What follows would otherwise arrive before the transaction is over.
            entries.append(
                RegisterWrite(self._chip.uart_date_register, 0, mask=0, delay_us=_TRANSACTION_US)
            )
        return entries

    def _user1(self, transaction: SpiTransaction) -> int | None:
        """Return SPI_USER1; ``None`` where the transaction does not depend on it."""
        value = 0
        if transaction.address_bits:
            value |= (transaction.address_bits - 1) << _ADDRESS_BITS_LSB
        if transaction.dummy_bits:
            value |= transaction.dummy_bits - 1
        if self._chip.spi.mosi_dlen is None:
            if transaction.output:
                value |= (8 * len(transaction.output) - 1) << _OUTPUT_BITS_LSB
            if transaction.input_size:
                value |= (8 * transaction.input_size - 1) << _INPUT_BITS_LSB
            return value
        return value if transaction.address_bits or transaction.dummy_bits else None

    def _result_reads(self, transaction: SpiTransaction) -> list[ReadReg]:
        spi = self._chip.spi
        word_count = -(-transaction.input_size // 4)
        offsets = [spi.cmd, *(spi.w0 + 4 * index for index in range(word_count))]
        return [ReadReg(spi.base + offset) for offset in offsets]

    def _writes(self, entries: Iterable[RegisterWrite]) -> list[Command[object]]:
        """Return the entries in as few WRITE_REG as the loader takes."""
        entries = tuple(entries)
        step = self._session.dialect.max_write_reg_entries
        return [WriteReg(entries[start : start + step]) for start in range(0, len(entries), step)]


def _user(transaction: SpiTransaction) -> int:
    flags = _USE_COMMAND
    if transaction.address_bits:
        flags |= _USE_ADDRESS
    if transaction.dummy_bits:
        flags |= _USE_DUMMY
    if transaction.input_size:
        flags |= _USE_INPUT
    if transaction.output:
        flags |= _USE_OUTPUT
    return flags


def _word(result: object) -> int:
    if not isinstance(result, int):
        raise TypeError(f"{result!r} is no word of a register")
    return result
