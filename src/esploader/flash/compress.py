"""Data for the wire, block by block, compressed ahead of the sending.

A compressed block of a download is just the next piece of one DEFLATE stream, and the
stub uses the announced number of blocks only to tell its inflater that more may follow
(esp-flasher-stub, ``command_handler.c``: ``compressed_remaining``). So an upper bound will
do for it, and the first block can leave before the last has been compressed. The ROM loader refuses
blocks beyond those announced, and is told the exact number.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, frozen
from esploader.protocol.dialect import STUB
from esploader.protocol.opcodes import Opcode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.chips.model.chip import Chip
    from esploader.protocol.dialect import Dialect

LEVEL: Final = 9

MAX_COVERED: Final = 64 * 1024
"""What one block may stand for, in bytes of flash: a megabyte of the same byte fits into one, and
while a loader works on it there is no progress, and no place to stop."""

# An inflater has read some bytes ahead when it is stopped, for up to 258 bytes a bit.
_CUT_SIZE: Final = MAX_COVERED - 16 * 1024

_SAMPLE_SIZE: Final = 0x8000
_FEED_SIZE: Final = 0x8000


@frozen
class WireBlock:
    """One block as it is sent."""

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")

    covered: int
    """Bytes of flash that all blocks up to and with this one stand for."""


def reason_against_compression(loader: Dialect, chip: Chip) -> str | None:
    """Return why a loader on ``chip`` must get nothing that is compressed, or ``None``."""
    if Opcode.FLASH_DEFL_BEGIN not in loader.opcodes:
        return "it has no command for that"
    if loader is STUB:
        return None
    if not chip.knows("rom_inflates_safely"):
        return f"the ROM of the {chip.name} is not known to spare what lies behind the data"
    if not chip.rom_inflates_safely:
        return f"the ROM of the {chip.name} writes over what lies behind the data then"
    return None


def is_worth_compressing(data: bytes | memoryview) -> bool:
    """Tell from samples whether ``data`` becomes smaller."""
    step = max(len(data) // 4, _SAMPLE_SIZE)
    sample = b"".join(data[start : start + _SAMPLE_SIZE] for start in range(0, len(data), step))
    return len(zlib.compress(sample, 1)) < len(sample)


def max_compressed_size(size: int) -> int:
    """Return the most bytes that ``size`` bytes can become.

    Source: zlib, ``compressBound``.
    """
    return size + (size >> 12) + (size >> 14) + (size >> 25) + 13


def plain_blocks(data: bytes | memoryview, block_size: int) -> Iterator[WireBlock]:
    """Divide ``data`` into blocks; the last may be short."""
    for start in range(0, len(data), block_size):
        block = bytes(data[start : start + block_size])
        yield WireBlock(block, start + len(block))


def max_block_count(size: int, block_size: int) -> int:
    """Return the most blocks that ``size`` bytes can become."""
    return -(-max_compressed_size(size) // block_size) + -(-size // _CUT_SIZE)


def compressed_blocks(data: bytes | memoryview, block_size: int) -> Iterator[WireBlock]:
    """Compress ``data`` into blocks, no further ahead than the next one.

    Blocks are shorter where they would cover more than :data:`MAX_COVERED`, as is the last.
    """
    compressor = zlib.compressobj(LEVEL)
    cutter = _Cutter(block_size)
    for start in range(0, len(data), _FEED_SIZE):
        cutter.pending += compressor.compress(data[start : start + _FEED_SIZE])
        while len(cutter.pending) > block_size:
            yield cutter.cut()
    cutter.pending += compressor.flush()
    while cutter.pending:
        yield cutter.cut()


@define
class _Cutter:
    """Cuts a stream into blocks, by what a loader will get out of each."""

    _block_size: int
    pending: bytearray = attrs.field(factory=bytearray, init=False)
    """Of the stream, what has not been cut."""
    _covered: int = attrs.field(default=0, init=False)
    _inflater: zlib._Decompress = attrs.field(factory=zlib.decompressobj, init=False)

    def cut(self) -> WireBlock:
        """Return the next block."""
        most = bytes(self.pending[: self._block_size])
        self._covered += len(self._inflater.decompress(most, _CUT_SIZE))
        block = most[: len(most) - len(self._inflater.unconsumed_tail)]
        # What the inflater has read and not put out yet, a loader puts out, too.
        self._covered += len(self._inflater.decompress(b""))
        del self.pending[: len(block)]
        return WireBlock(block, self._covered)
