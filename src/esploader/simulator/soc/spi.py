"""The SPI peripheral in front of the flash: commands of the user's choice.

Source: Technical Reference Manuals, "SPI Controller": bits of CMD, USER, USER1, USER2;
where a chip keeps them is a chip fact (:class:`~esploader.chips.model.flash_bus.SpiRegisters`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.classes import define
from esploader.simulator.flash.chip import FlashChip, SpiTransaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.chips.model.flash_bus import SpiRegisters
    from esploader.simulator.soc.memory import Memory

_CMD_USR: Final = 1 << 18

_USR_COMMAND: Final = 1 << 31
_USR_ADDR: Final = 1 << 30
_USR_MISO: Final = 1 << 28
_USR_MOSI: Final = 1 << 27

_ADDR_SIZE_LSB: Final = 26
_ADDR_SIZE_MASK: Final = 0x3F
_OPCODE_MASK: Final = 0xFF

# Where the sizes are fields of USER1 (ESP8266).
_USR1_MOSI_LSB: Final = 17
_USR1_MISO_LSB: Final = 8
_USR1_DATA_MASK: Final = 0x1FF
_DLEN_MASK: Final = 0x3FF

_DATA_WORDS: Final = 16
_WORD_BITS: Final = 32


@define(eq=False)
class SpiPeripheral:
    """Carries out a transaction when bit 18 of CMD is set, at once."""

    registers: SpiRegisters
    memory: Memory
    chip: FlashChip
    now: Callable[[], float]

    def __attrs_post_init__(self) -> None:
        self.memory.hook(self._address(self.registers.cmd), write=self._start)

    def _start(self, command: int) -> int:
        if command & _CMD_USR:
            self._run()
        # The hardware clears the bit when the transaction has ended, which it has.
        return command & ~_CMD_USR

    def _run(self) -> None:
        flags = self._read(self.registers.usr)
        usr1 = self._read(self.registers.usr1)
        address = 0
        if flags & _USR_ADDR:
            size = ((usr1 >> _ADDR_SIZE_LSB) & _ADDR_SIZE_MASK) + 1
            address = self._read(self.registers.addr)
            if self.registers.addr_is_msb_aligned:
                address >>= max(_WORD_BITS - size, 0)
            address &= (1 << size) - 1
        mosi_size, miso_size = self._data_sizes(usr1)
        sent = self._data()[:mosi_size] if flags & _USR_MOSI else b""
        receive_size = miso_size if flags & _USR_MISO else 0
        opcode = self._read(self.registers.usr2) & _OPCODE_MASK
        if not flags & _USR_COMMAND:
            return
        received = self.chip.transact(
            SpiTransaction(
                opcode=opcode,
                address=address,
                sent=sent,
                receive_size=receive_size,
                now=self.now(),
            )
        )
        self._store(received)

    def _data_sizes(self, usr1: int) -> tuple[int, int]:
        """Return how many bytes are sent and received."""
        if self.registers.mosi_dlen is None or self.registers.miso_dlen is None:
            mosi_bits = (usr1 >> _USR1_MOSI_LSB) & _USR1_DATA_MASK
            miso_bits = (usr1 >> _USR1_MISO_LSB) & _USR1_DATA_MASK
        else:
            mosi_bits = self._read(self.registers.mosi_dlen) & _DLEN_MASK
            miso_bits = self._read(self.registers.miso_dlen) & _DLEN_MASK
        limit = 4 * _DATA_WORDS
        return min((mosi_bits + 8) // 8, limit), min((miso_bits + 8) // 8, limit)

    def _data(self) -> bytes:
        words = (self._read(self.registers.w0 + 4 * index) for index in range(_DATA_WORDS))
        return b"".join(word.to_bytes(4, "little") for word in words)

    def _store(self, received: bytes) -> None:
        # Of the last word only the bits that were received are defined; the rest is zero.
        for start in range(0, len(received), 4):
            word = int.from_bytes(received[start : start + 4], "little")
            self.memory.write_word(self._address(self.registers.w0 + start), word)

    def _read(self, offset: int) -> int:
        return self.memory.read_word(self._address(offset))

    def _address(self, offset: int) -> int:
        return self.registers.base + offset
