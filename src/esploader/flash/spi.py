"""Commands to the flash chip itself, through the SPI peripheral's registers.

The loaders have no command "send this to the flash", but they write and read registers,
and the SPI peripheral in front of the flash runs a user-defined transaction.
Source: Technical Reference Manuals, "SPI Controller" (ESP32: SPI_CMD, SPI_USER,
SPI_USER1, SPI_USER2 registers; later chips: SPI_MEM_*); flash opcodes: JEDEC JESD216 and
data sheets of the Winbond W25Q series.
"""

from __future__ import annotations

import itertools
import logging
import struct
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, frozen
from esploader.errors import CommandError, CommandFailedError, ProtocolError, UnsupportedError
from esploader.protocol.commands import Command, ReadReg, RegisterWrite, SpiAttach, WriteReg
from esploader.protocol.opcodes import Opcode
from esploader.protocol.status import RECOVERABLE_CODES
from esploader.session.confirming import read_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from esploader.chips.model.chip import Chip
    from esploader.session.session import Session

_log: Final = logging.getLogger(__name__)

READ_ID: Final = 0x9F
READ_STATUS: Final = (0x05, 0x35, 0x15)
"""Read status register 1, 2, 3."""
READ_SFDP: Final = 0x5A
_READ_DATA: Final = 0x03
_WRITE_ENABLE: Final = 0x06
_ERASE_SECTOR: Final = 0x20
_ENABLE_RESET: Final = 0x66
_RESET: Final = 0x99

ADDRESS_BITS: Final = 24
"""Of the commands above that have an address: 16 MiB are within reach."""

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

# Until the flash heeds commands again, in microseconds; data sheets say 30.
_RESET_US: Final = 1000

# A 64-byte transaction takes under 30 us at 20 MHz; the response takes longer than that.
_TRANSACTION_US: Final = 50
_MAX_POLLS: Final = 10

_ATTEMPTS: Final = 3

_BUSY: Final = 0x01
# A sector takes up to 0.4 s (data sheets, at the end of its life).
_ERASE_POLL_INTERVAL: Final = 0.02
_MAX_ERASE_POLLS: Final = 150

_WORD: Final = struct.Struct("<I")


@frozen(kw_only=True)
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


@define
class FlashPort:
    """The SPI peripheral of one device, in front of its flash."""

    _session: Session
    _chip: Chip
    _pads: int
    """The GPIOs of the flash, as SPI_ATTACH takes them; 0 for the usual ones."""
    is_elsewhere: bool = attrs.field(default=False, init=False)
    """The flash is where the loaders do not look for it by themselves."""
    in_unknown_mode: bool = attrs.field(default=False, init=False)
    """Whatever ran before may have left the flash in a mode of which the loaders know nothing,
    such as that of addresses of four bytes; a reset of the device does not end it."""
    _is_attached: bool = attrs.field(default=False, init=False)

    def transact(self, transaction: SpiTransaction) -> bytes:
        """Run one transaction and return the bytes read, which came twice.

        Nothing protects registers on the wire: one bit makes it another transaction, or another
        answer. Where the loader takes bursts this costs one round trip, with a small ring two,
        attaching the flash included, and resetting it if its mode is not known. The registers
        get back what they held in front of the next command.

        Raises:
            UnsupportedError: the transaction did not end.
            ProtocolError: what it reads never came twice.
            EsploaderError: as :meth:`Session.execute`.
        """
        # Raises where nobody knows the registers, which no other way of writing would help.
        self._changed_registers(transaction)
        try:
            return self._transact(transaction)
        except (CommandError, UnsupportedError):
            if not self._session.abilities.are_batches_doubtful(self._session.dialect):
                raise
        self._session.abilities.note_batches(work=False)
        self._session.resynchronise()
        return self._transact(transaction)

    def _transact(self, transaction: SpiTransaction) -> bytes:
        """Run a transaction until what it reads comes twice."""
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                data = self._transact_twice(transaction)
            except CommandFailedError as exc:
                if exc.code not in RECOVERABLE_CODES or not attempts_left:
                    raise
                _log.warning("%s; once more", exc)
            else:
                if data is not None:
                    return data
                _log.warning("the flash answers differently every time; once more")
            # What is still on its way would be taken for the next answers.
            self._session.resynchronise()
            self._is_attached = False
        raise ProtocolError(f"flash opcode {transaction.opcode:#04x} never comes to the same")

    def _transact_twice(self, transaction: SpiTransaction) -> bytes | None:
        """Run a transaction twice at once; return ``None`` where the answers differ.

        One that reads nothing may be none that can be repeated, and is run once.
        """
        saved = [ReadReg(address) for address in self._changed_registers(transaction)]
        attachment: list[Command[object]] = [] if self._is_attached else [self._attach_command()]
        series = [*self._writes(self._setup(transaction)), *self._result_reads(transaction)]
        # An attachment that was garbled is made good for the second time.
        again = [*attachment, *series] if self._is_attachable else series
        abilities = self._session.abilities
        is_doubtful = is_proven = abilities.are_batches_doubtful(self._session.dialect)
        # A loader that does only the first of several writes says nothing of it.
        proof = [ReadReg(self._chip.spi.base + self._chip.spi.usr2)] if is_doubtful else []
        before = [*attachment, *saved, *saved]
        first = [*self._writes(self._reset()), *series]
        second = again if transaction.input_size else []
        results = iter(self._session.execute_all([*before, *first, *second, *proof]))
        held, once, twice = (
            [*itertools.islice(results, len(part))] for part in (before, first, second)
        )
        self._is_attached = True
        if is_doubtful:
            is_proven = next(results) == _COMMAND_IS_8_BITS | transaction.opcode
            abilities.note_batches(work=is_proven)
        self.in_unknown_mode &= is_doubtful and not is_proven

        values = [_word(value) for value in held[len(attachment) :]]
        words = dict(zip((command.address for command in saved), values, strict=False))
        self._restore(words)
        if is_doubtful and not is_proven:
            return self._transact_twice(transaction)
        count = len(self._result_reads(transaction))
        data = self._data_of(transaction, [_word(value) for value in (twice or once)[-count:]])
        is_sure = values[: len(saved)] == values[len(saved) :] and (
            not twice or once[-count + 1 :] == twice[-count + 1 :]
        )
        return data if is_sure else None

    def _data_of(self, transaction: SpiTransaction, words: list[int]) -> bytes:
        """Return what a transaction has read, when it is over."""
        for _ in range(_MAX_POLLS):
            if not words[0] & _START:
                data = b"".join(map(_WORD.pack, words[1:]))
                return data[: transaction.input_size]
            reads = self._result_reads(transaction)
            words = [_word(value) for value in self._session.execute_all(reads)]
        raise UnsupportedError(
            f"flash opcode {transaction.opcode:#04x}", "the SPI peripheral does not finish"
        )

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes of flash from ``offset`` on, 64 with each transaction.

        Nothing protects registers on the wire, so a bit that flips there is another byte
        here: compare with a second reading, or with what should be there.

        Raises:
            ProtocolError: the last transaction did not end.
            UnsupportedError: the region is out of reach of 24-bit addresses.
            EsploaderError: as :meth:`Session.execute`.
        """
        _check_reach(offset, size)
        self.attach()
        spi = self._chip.spi
        transaction = SpiTransaction(
            opcode=_READ_DATA, address_bits=ADDRESS_BITS, input_size=MAX_READ_SIZE
        )
        held = read_words(self._session, self._changed_registers(transaction))
        data = bytearray()
        try:
            *settings, start = self._setup_registers(transaction)
            self._access(self._writes(settings))
            while len(data) < size:
                address = self._address_register(offset + len(data), ADDRESS_BITS)
                reads = self._data_reads(min(MAX_READ_SIZE, size - len(data)))
                commands = [*self._writes(self._waited([address, start])), *reads]
                words = self._access(commands)[-len(reads) :]
                data += b"".join(_WORD.pack(_word(word)) for word in words)
            (command,) = self._access([ReadReg(spi.base + spi.cmd)])
            if _word(command) & _START:
                raise ProtocolError("the SPI peripheral does not finish")
        finally:
            self._restore(held)
        return bytes(data[:size])

    def erase_sector(self, offset: int) -> None:
        """Erase the sector of 4 KiB at ``offset``, by the command of the flash chip itself.

        Raises:
            ProtocolError: the loader refused, which it does when a request was garbled.
            UnsupportedError: it does not end, or is out of reach of 24-bit addresses.
            EsploaderError: as :meth:`Session.execute`.
        """
        _check_reach(offset, 1)
        erase = SpiTransaction(opcode=_ERASE_SECTOR, address=offset, address_bits=ADDRESS_BITS)
        try:
            self.transact(SpiTransaction(opcode=_WRITE_ENABLE))
            self.transact(erase)
            self._wait_for_erase(offset)
        except CommandFailedError as exc:
            raise ProtocolError(f"registers cannot be used: {exc}") from exc

    def _wait_for_erase(self, offset: int) -> None:
        status = SpiTransaction(opcode=READ_STATUS[0], input_size=1)
        for _ in range(_MAX_ERASE_POLLS):
            if not self.transact(status)[0] & _BUSY:
                return
            self._session.transport.clock.sleep(_ERASE_POLL_INTERVAL)
        raise UnsupportedError(f"erasing the sector at {offset:#x}", "the flash stays busy")

    def attach(self) -> None:
        """Connect the peripheral to the flash, unless that has been done.

        An attachment that was garbled shows by what the flash answers, where that can be seen.
        """
        if self.in_unknown_mode or not self._is_attached:
            if Opcode.READ_REG in self._session.dialect.opcodes:
                # What it takes goes with any transaction.
                self.transact(SpiTransaction(opcode=READ_STATUS[0], input_size=1))
            else:
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

    @property
    def _is_attachable(self) -> bool:
        return Opcode.SPI_ATTACH in self._session.dialect.opcodes

    def _attach_command(self) -> Command[None]:
        if self._is_attachable:
            return SpiAttach(self._pads)
        # The ROM of the ESP8266 attaches the flash when a download begins.
        from esploader.protocol.download_commands import EmptyBegin

        return EmptyBegin()

    def _changed_registers(self, transaction: SpiTransaction) -> list[int]:
        spi = self._chip.spi
        changed = [spi.usr, spi.usr2]
        if self._user1(transaction) is not None:
            changed.append(spi.usr1)
        return [spi.base + offset for offset in changed]

    def _access(self, commands: list[Command[object]]) -> list[object]:
        """Read and write registers; what is refused was garbled, and is tried again.

        Raises:
            ProtocolError: it is refused every time.
        """
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                return self._session.execute_all(commands)
            except CommandFailedError as exc:
                if not attempts_left:
                    raise ProtocolError(f"registers cannot be used: {exc}") from exc
        raise AssertionError

    def _restore(self, held: Mapping[int, int]) -> None:
        """Have registers get back what they held, in front of the next command."""
        for write in self._writes(RegisterWrite(*item) for item in held.items()):
            self._session.defer(write)

    def _reset(self) -> list[RegisterWrite]:
        """Return the register writes that reset the flash, if that is to be done.

        JEDEC JESD216: of two commands, so that none does it by accident.
        """
        if not self.in_unknown_mode:
            return []
        spi = self._chip.spi
        start = RegisterWrite(spi.base + spi.cmd, _START)

        def command(opcode: int) -> RegisterWrite:
            return RegisterWrite(spi.base + spi.usr2, _COMMAND_IS_8_BITS | opcode)

        return [
            RegisterWrite(spi.base + spi.usr, _USE_COMMAND),
            command(_ENABLE_RESET),
            start,
            attrs.evolve(command(_RESET), delay_us=_TRANSACTION_US),
            start,
            # What follows has to find it awake.
            RegisterWrite(self._chip.uart_date_register, 0, mask=0, delay_us=_RESET_US),
        ]

    def _setup(self, transaction: SpiTransaction) -> list[RegisterWrite]:
        """Return the register writes that start the transaction and wait for its end."""
        return self._waited(self._setup_registers(transaction))

    def _setup_registers(self, transaction: SpiTransaction) -> list[RegisterWrite]:
        """Return the register writes of a transaction; the last one starts it."""
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
        output = transaction.output + bytes(-len(transaction.output) % 4)
        for index, (word,) in enumerate(_WORD.iter_unpack(output)):
            writes.append((spi.w0 + 4 * index, word))
        entries = [RegisterWrite(spi.base + offset, value) for offset, value in writes]
        if transaction.address_bits:
            address = self._address_register(transaction.address, transaction.address_bits)
            entries.append(address)
        return [*entries, RegisterWrite(spi.base + spi.cmd, _START)]

    def _address_register(self, address: int, bits: int) -> RegisterWrite:
        spi = self._chip.spi
        shift = 32 - bits if spi.addr_is_msb_aligned else 0
        return RegisterWrite(spi.base + spi.addr, address << shift)

    def _waited(self, entries: list[RegisterWrite]) -> list[RegisterWrite]:
        """Return the entries, with a wait for the end of the transaction that they start."""
        if self._session.max_write_reg_entries > 1:
            # What follows would otherwise arrive before the transaction is over.
            wait = RegisterWrite(self._chip.uart_date_register, 0, mask=0, delay_us=_TRANSACTION_US)
            return [*entries, wait]
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
        return [ReadReg(spi.base + spi.cmd), *self._data_reads(transaction.input_size)]

    def _data_reads(self, size: int) -> list[ReadReg]:
        first = self._chip.spi.base + self._chip.spi.w0
        return [ReadReg(first + start) for start in range(0, size, _WORD.size)]

    def _writes(self, entries: Iterable[RegisterWrite]) -> list[Command[object]]:
        """Return the entries in as few WRITE_REG as the loader takes."""
        entries = tuple(entries)
        step = self._session.max_write_reg_entries
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


def _check_reach(offset: int, size: int) -> None:
    if not 0 <= offset <= offset + size <= 1 << ADDRESS_BITS:
        raise UnsupportedError(
            f"{size:#x} bytes of flash at {offset:#x}", "24 bits of address reach 16 MiB"
        )


def _word(result: object) -> int:
    if not isinstance(result, int):
        raise TypeError(f"{result!r} is no word of a register")
    return result
