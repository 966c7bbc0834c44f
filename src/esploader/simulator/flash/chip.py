"""What a NOR flash chip does with the SPI commands it is sent.

Sources: datasheets of 3 V NOR flash parts (Winbond W25Q32JV, GigaDevice GD25Q32E).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, frozen
from esploader.simulator.flash.nor import (
    BLOCK_SIZE,
    DEFAULT_MANUFACTURER,
    SECTOR_SIZE,
    NorFlash,
    jedec_id,
)
from esploader.simulator.flash.sfdp import build_sfdp

if TYPE_CHECKING:
    from collections.abc import Callable

_BUSY: Final = 0x01
_WRITE_ENABLED: Final = 0x02
# Block protection bits and SRP: what a write to the first status register may change.
_STATUS1_WRITABLE: Final = 0xFC

_HALF_BLOCK_SIZE: Final = 32 * 1024
_UNIQUE_ID: Final = bytes(range(0xD0, 0xD8))

XMC: Final = 0x20
"""The manufacturer."""


@enum.unique
class FlashCondition(enum.Enum):
    """How whatever ran before has left a flash chip, which no reset of the device changes."""

    READY = "ready"

    FOUR_BYTE = "4-byte"
    """It takes four bytes for the address of every command."""

    ASLEEP = "asleep"
    """It has not started up as it should, and tells nothing but its SFDP tables. Parts of
    XMC do so."""


@frozen(kw_only=True)
class SpiTransaction:
    """One selection of the flash chip."""

    opcode: int = attrs.field(repr=hex)
    address: int = attrs.field(default=0, repr=hex)
    sent: bytes = b""
    receive_size: int = 0
    now: float = 0.0


@define(eq=False)
class FlashChip:
    """A flash chip on its SPI bus: an id, status registers, and the cells behind."""

    nor: NorFlash
    jedec_id: bytes
    status: bytearray = attrs.field(factory=lambda: bytearray(3), init=False)
    """The three status registers, without the bits that come and go."""
    busy_until: float = attrs.field(default=0.0, init=False)
    write_enabled: bool = attrs.field(default=False, init=False)
    condition: FlashCondition = attrs.field(default=FlashCondition.READY, init=False)
    has_power: Callable[[], bool] = attrs.field(default=lambda: True, init=False)
    is_connected: Callable[[], bool] = attrs.field(default=lambda: True, init=False)
    """The chip in front of it drives the pins at which it is."""
    _steps: tuple[int, ...] = attrs.field(default=(), init=False)
    """Of a sequence of commands that means something as a whole: those that have come."""
    _last_step_at: float = attrs.field(default=0.0, init=False)

    @classmethod
    def around(cls, nor: NorFlash, condition: FlashCondition = FlashCondition.READY) -> FlashChip:
        """Return a chip around these cells, of the usual manufacturer unless it is of XMC."""
        is_xmc = condition is FlashCondition.ASLEEP
        chip = cls(nor, jedec_id(nor.size, XMC if is_xmc else DEFAULT_MANUFACTURER))
        chip.condition = condition
        return chip

    @property
    def answers(self) -> bool:
        """The loaders can read, program and erase it."""
        is_ready = self.condition is FlashCondition.READY
        return is_ready and self.has_power() and self.is_connected()

    def transact(self, transaction: SpiTransaction) -> bytes:
        """Return what the chip sends.

        While it is busy it answers nothing but its status; what it does not know it
        ignores. The line then floats high.
        """
        silence = b"\xff" * transaction.receive_size
        if not self.has_power() or not self.is_connected():
            return silence
        self._follow(transaction)
        heeded = _HEEDED.get(self.condition)
        if heeded is not None and transaction.opcode not in heeded:
            return silence
        if transaction.now < self.busy_until and transaction.opcode not in _STATUS_READS:
            return silence
        read = _READS.get(transaction.opcode)
        if read is not None:
            answer = read(self, transaction)[: transaction.receive_size]
            return answer.ljust(transaction.receive_size, b"\xff")
        latch = _WRITE_LATCH.get(transaction.opcode)
        if latch is not None:
            self.write_enabled = latch
        change = _CHANGES.get(transaction.opcode)
        if change is not None and self.write_enabled:
            self.busy_until = transaction.now + change(self, transaction)
            self.write_enabled = False
        return silence

    def _follow(self, transaction: SpiTransaction) -> None:
        """Do what a sequence of commands does that ends with this one."""
        sequence = _SEQUENCES[self.condition]
        wait = _WAKING_TIME * self.nor.timings.requested_delay
        is_late_enough = self._steps != _WAKING[:-1] or transaction.now - self._last_step_at >= wait
        steps = (*self._steps, transaction.opcode)
        if steps == sequence and is_late_enough:
            self.condition, self._steps = FlashCondition.READY, ()
        elif steps == sequence[: len(steps)]:
            self._steps, self._last_step_at = steps, transaction.now
        else:
            self._steps = (transaction.opcode,) if sequence[0] == transaction.opcode else ()


def _read_id(chip: FlashChip, transaction: SpiTransaction) -> bytes:
    return chip.jedec_id * (transaction.receive_size // len(chip.jedec_id) + 1)


def _read_status(chip: FlashChip, transaction: SpiTransaction) -> bytes:
    index = _STATUS_READS[transaction.opcode]
    value = chip.status[index]
    if index == 0:
        busy = transaction.now < chip.busy_until
        value |= (_BUSY if busy else 0) | (_WRITE_ENABLED if chip.write_enabled else 0)
    return bytes((value,)) * transaction.receive_size


def _read_sfdp(chip: FlashChip, transaction: SpiTransaction) -> bytes:
    return build_sfdp(chip.nor.size, chip.jedec_id[0])[transaction.address :]


def _read_data(chip: FlashChip, transaction: SpiTransaction) -> bytes:
    return chip.nor.read(transaction.address, transaction.receive_size)


def _read_unique_id(_: FlashChip, __: SpiTransaction) -> bytes:
    return _UNIQUE_ID


def _write_status(chip: FlashChip, transaction: SpiTransaction) -> float:
    first = _STATUS_WRITES[transaction.opcode]
    # 0x01 takes one byte or two: the first register, or the first two.
    for index, value in enumerate(transaction.sent[:2], start=first):
        if index < len(chip.status):
            chip.status[index] = value & _STATUS1_WRITABLE if index == 0 else value
    return chip.nor.timings.status_write


def _program(chip: FlashChip, transaction: SpiTransaction) -> float:
    return chip.nor.program_page(transaction.address, transaction.sent)


def _erase(chip: FlashChip, transaction: SpiTransaction) -> float:
    size = _ERASE_SIZES[transaction.opcode] or chip.nor.size
    return chip.nor.erase(transaction.address - transaction.address % size, size)


# RDSR, RDSR2, RDSR3 and their writes; the index of the register.
_STATUS_READS: Final = {0x05: 0, 0x35: 1, 0x15: 2}
_STATUS_WRITES: Final = {0x01: 0, 0x31: 1, 0x11: 2}

# Enable reset, reset.
_RESET: Final = (0x66, 0x99)

# Deep power-down, ultra-deep power-down, out of that one, and out of the other (ESP-IDF,
# components/bootloader_support/src/bootloader_flash.c, bootloader_flash_xmc_startup).
_WAKING: Final = (0xB9, 0x79, 0xFF, 0xAB)
_WAKING_TIME: Final = 0.002

_SEQUENCES: Final = {
    FlashCondition.READY: _RESET,
    FlashCondition.FOUR_BYTE: _RESET,
    FlashCondition.ASLEEP: _WAKING,
}

_SFDP: Final = 0x5A

# The opcodes that still mean the same; all do where there is no entry.
_HEEDED: Final = {
    FlashCondition.FOUR_BYTE: frozenset({0x9F, _SFDP, 0x05, 0x35, 0x15, 0x06, 0x04}),
    FlashCondition.ASLEEP: frozenset({_SFDP}),
}

# WREN, write enable for volatile status registers, WRDI.
_WRITE_LATCH: Final = {0x06: True, 0x50: True, 0x04: False}

# Sector, half block, block; 0 stands for the whole chip.
_ERASE_SIZES: Final = {
    0x20: SECTOR_SIZE,
    0x52: _HALF_BLOCK_SIZE,
    0xD8: BLOCK_SIZE,
    0x60: 0,
    0xC7: 0,
}

_READS: Final[dict[int, Callable[[FlashChip, SpiTransaction], bytes]]] = {
    0x9F: _read_id,
    _SFDP: _read_sfdp,
    0x03: _read_data,
    0x0B: _read_data,
    0x4B: _read_unique_id,
    **dict.fromkeys(_STATUS_READS, _read_status),
}

_CHANGES: Final[dict[int, Callable[[FlashChip, SpiTransaction], float]]] = {
    0x02: _program,
    **dict.fromkeys(_STATUS_WRITES, _write_status),
    **dict.fromkeys(_ERASE_SIZES, _erase),
}
