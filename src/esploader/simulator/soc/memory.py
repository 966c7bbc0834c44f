"""The address space of a simulated device, as its loader sees it.

RAM and ROM are pages that exist once something is in them; registers are single words.
What nobody wrote reads as zero.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esploader.chips.model.bits import BitField
    from esploader.chips.model.chip import Region

    ReadHook = Callable[[], int]
    WriteHook = Callable[[int], int]

_PAGE_SIZE: Final = 4096
_WORD: Final = struct.Struct("<I")
_WORD_SIZE: Final = 4
_WORD_MASK: Final = 0xFFFF_FFFF

# A client may write to any address; this bounds what it can make us keep.
_MAX_REGISTER_COUNT: Final = 0x4000


@attrs.define(eq=False)
class Memory:
    """Words and bytes by address.

    Only regions hold bulk data; elsewhere there are registers, which a peripheral may
    take over with hooks. Addresses that are not aligned are rounded down to a word: what
    a real device does then is a crash, which no client provokes on purpose.
    """

    regions: tuple[Region, ...]
    _pages: dict[int, bytearray] = attrs.field(factory=dict, init=False, repr=False)
    _registers: dict[int, int] = attrs.field(factory=dict, init=False, repr=False)
    _constants: dict[int, int] = attrs.field(factory=dict, init=False, repr=False)
    _read_hooks: dict[int, ReadHook] = attrs.field(factory=dict, init=False, repr=False)
    _write_hooks: dict[int, WriteHook] = attrs.field(factory=dict, init=False, repr=False)

    def fix(self, words: Mapping[int, int]) -> None:
        """Make words constant: ROM, eFuses, straps. Writing to them changes nothing."""
        self._constants.update(words)

    def hook(
        self, address: int, *, read: ReadHook | None = None, write: WriteHook | None = None
    ) -> None:
        """Let a peripheral answer for the register at ``address``.

        ``write`` returns what the register holds after it was written to.
        """
        if read is not None:
            self._read_hooks[address] = read
        if write is not None:
            self._write_hooks[address] = write

    def extract(self, field: BitField | None) -> int:
        """Return the value of a field; 0 where the chip has no such field."""
        if field is None:
            return 0
        return field.extract({address: self.read_word(address) for address in field.addresses})

    def forget(self) -> None:
        """Lose what RAM and registers hold, as without power."""
        self._pages.clear()
        self._registers.clear()

    def was_written(self, address: int) -> bool:
        """Tell whether something was put into RAM at that address, or close to it."""
        return address // _PAGE_SIZE in self._pages

    def read_word(self, address: int) -> int:
        """Return the word at ``address``, with the effects that reading a register has."""
        address = address & _WORD_MASK & -_WORD_SIZE
        hook = self._read_hooks.get(address)
        if hook is not None:
            return hook() & _WORD_MASK
        constant = self._constants.get(address)
        if constant is not None:
            return constant
        if self._is_bulk(address):
            return int(_WORD.unpack(self.read(address, _WORD_SIZE))[0])
        return self._registers.get(address, 0)

    def write_word(self, address: int, value: int) -> None:
        """Write the word at ``address``, with the effects that writing a register has."""
        address = address & _WORD_MASK & -_WORD_SIZE
        value &= _WORD_MASK
        if address in self._constants:
            return
        hook = self._write_hooks.get(address)
        if hook is not None:
            value = hook(value)
        if self._is_bulk(address):
            self.write(address, _WORD.pack(value))
        elif address in self._registers or len(self._registers) < _MAX_REGISTER_COUNT:
            self._registers[address] = value

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes of the regions from ``address`` on."""
        data = bytearray()
        while len(data) < size:
            page, start = divmod(address + len(data), _PAGE_SIZE)
            count = min(_PAGE_SIZE - start, size - len(data))
            content = self._pages.get(page)
            data += bytes(count) if content is None else content[start : start + count]
        return bytes(data)

    def write(self, address: int, data: bytes) -> None:
        """Write bytes from ``address`` on; those that are in no region are lost."""
        position = 0
        while position < len(data):
            page, start = divmod(address + position, _PAGE_SIZE)
            piece = data[position : position + _PAGE_SIZE - start]
            if self._is_bulk(page * _PAGE_SIZE + start):
                content = self._pages.setdefault(page, bytearray(_PAGE_SIZE))
                content[start : start + len(piece)] = piece
            position += len(piece)

    def _is_bulk(self, address: int) -> bool:
        # A loop in place of any(): this is done several times for each command.
        for region in self.regions:  # noqa: SIM110
            if region.start <= address < region.end:
                return True
        return False
