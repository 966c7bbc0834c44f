"""NOR flash: programming clears bits, erasing sets them, as long as the cells do.

Sources: datasheets of 3 V NOR flash parts (Winbond W25Q32JV, GigaDevice GD25Q32E); the
codes for sizes in JEDEC ids as such parts carry them.
"""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final

import attrs

from esploader.classes import define
from esploader.simulator.flash.file import FlashFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from esploader.simulator.flash.timings import Timings

PAGE_SIZE: Final = 256
SECTOR_SIZE: Final = 4096
BLOCK_SIZE: Final = 64 * 1024

MIN_FLASH_SIZE: Final = 256 * 1024
MAX_FLASH_SIZE: Final = 128 * 1024 * 1024

DEFAULT_MANUFACTURER: Final = 0xC8
"""GigaDevice."""

_MEMORY_TYPE: Final = 0x40
_LARGEST_PLAIN_SIZE: Final = 32 * 1024 * 1024
_SIZE_CODE_GAP: Final = 0x06

_ALL_BITS: Final = 0xFF
_BLANK_SECTOR: Final = b"\xff" * SECTOR_SIZE


def jedec_id(size: int, manufacturer: int = DEFAULT_MANUFACTURER) -> bytes:
    """Return manufacturer, memory type and size code of a part of ``size`` bytes."""
    # The code is the binary logarithm, except that it skips 0x1A to 0x1F.
    code = size.bit_length() - 1
    if size > _LARGEST_PLAIN_SIZE:
        code += _SIZE_CODE_GAP
    return bytes((manufacturer, _MEMORY_TYPE, code))


class EverBusyError(Exception):
    """The program waits for the flash, and does so for ever."""


class PowerLostError(Exception):
    """The power failed in the middle of an operation, which is half done."""

    def __init__(self, elapsed: float) -> None:
        super().__init__(f"the power failed after {elapsed} s")
        self.elapsed = elapsed


def _check_size(_: object, __: object, size: int) -> None:
    if size.bit_count() != 1 or not MIN_FLASH_SIZE <= size <= MAX_FLASH_SIZE:
        raise ValueError(f"flash of {size} bytes: a power of two from 256 KiB to 128 MiB is needed")


@define(eq=False)
class NorFlash:
    """The cells of a flash chip.

    Sectors that are blank take no memory. Offsets wrap at the end of the chip, as the
    address lines do. Methods that take time on a real part return it, in seconds.
    """

    size: int = attrs.field(validator=_check_size)
    timings: Timings
    erase_counts: dict[int, int] = attrs.field(factory=dict, init=False)
    """How often a sector was erased, by its number; absent when never."""
    operation_count: int = attrs.field(default=0, init=False)
    """How many pages were programmed and how many sectors or blocks erased."""
    fails_after: int | None = attrs.field(default=None, init=False)
    """The power fails in the middle of the operation after that many."""

    _sectors: dict[int, bytes] = attrs.field(factory=dict, init=False, repr=False)
    _worn: set[int] = attrs.field(factory=set, init=False)
    """Sectors that no longer erase, by number."""
    _bad_bits: dict[int, dict[int, int]] = attrs.field(factory=dict, init=False)
    """Bits that no longer program, by sector and position."""
    _file: FlashFile | None = attrs.field(default=None, init=False)
    """Where every change is written at once."""

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset`` on."""
        return b"".join(self._pieces(offset, size))

    def md5(self, offset: int, size: int) -> bytes:
        """Return the MD5 of ``size`` bytes from ``offset`` on."""
        import hashlib

        digest = hashlib.md5(usedforsecurity=False)
        for piece in self._pieces(offset, size):
            digest.update(piece)
        return digest.digest()

    def is_blank(self, offset: int, size: int) -> bool:
        """Tell whether all bits of ``size`` bytes from ``offset`` on are set."""
        return all(piece.count(0xFF) == len(piece) for piece in self._pieces(offset, size))

    def program(self, offset: int, data: bytes) -> float:
        """Clear the bits that are clear in ``data``.

        Raises :exc:`PowerLostError`.
        """
        if not data:
            return 0.0
        first, last = offset // PAGE_SIZE, (offset + len(data) - 1) // PAGE_SIZE
        count = last - first + 1
        done = self._count_operations(count)
        if done < count:
            start = max((first + done) * PAGE_SIZE - offset, 0)
            end = min((first + done + 1) * PAGE_SIZE - offset, len(data))
            self._clear_bits(offset, data[: (start + end) // 2])
            raise PowerLostError((done + 0.5) * self.timings.page_program)
        self._clear_bits(offset, data)
        return count * self.timings.page_program

    def program_page(self, offset: int, data: bytes) -> float:
        """Program as the part does: within one page, from whose end it wraps to its start.

        Of more data than a page holds the last bytes count.
        """
        page = offset - offset % PAGE_SIZE
        image = bytearray(b"\xff" * PAGE_SIZE)
        for position, value in enumerate(data):
            image[(offset + position) % PAGE_SIZE] = value
        return self.program(page, bytes(image)) if data else 0.0

    def erase(self, offset: int, size: int) -> float:
        """Set all bits of the sectors that ``size`` bytes from ``offset`` touch.

        Aligned blocks of 64 KiB are erased in one go, which is faster.

        Raises :exc:`PowerLostError`.
        """
        seconds = 0.0
        position = offset - offset % SECTOR_SIZE if size else offset
        while position < offset + size:
            if position % BLOCK_SIZE == 0 and offset + size - position >= BLOCK_SIZE:
                step, cost = BLOCK_SIZE, self.timings.block_erase
            else:
                step, cost = SECTOR_SIZE, self.timings.sector_erase
            if not self._count_operations(1):
                self._set_bits(position, step // 2)
                raise PowerLostError(seconds + cost / 2)
            for sector_offset in range(position, position + step, SECTOR_SIZE):
                self._erase_sector(sector_offset % self.size // SECTOR_SIZE)
            position += step
            seconds += cost
        return seconds

    def wear_out(self, offset: int, size: int = 1) -> None:
        """Let the sectors that ``size`` bytes from ``offset`` touch no longer be erased.

        They take the time of it, and hold what they held.

        Raises:
            ValueError: there are no such bytes.
        """
        if size < 1 or not 0 <= offset <= self.size - size:
            raise ValueError(f"{size} bytes at {offset:#x}: a flash of {self.size} has none there")
        self._worn.update(range(offset // SECTOR_SIZE, -(-(offset + size) // SECTOR_SIZE)))

    def mark_bad(self, offset: int, bits: int = _ALL_BITS) -> None:
        """Let those bits of the byte at ``offset`` no longer be programmed: a 1 stays a 1.

        Raises:
            ValueError: there is no such byte, or a byte has no such bits.
        """
        if not 0 <= offset < self.size:
            raise ValueError(f"offset {offset:#x}: a flash of {self.size} bytes has none there")
        if not 0 < bits <= _ALL_BITS:
            raise ValueError(f"bits {bits:#x}: a byte has not those")
        index, position = divmod(offset, SECTOR_SIZE)
        bad_bits = self._bad_bits.setdefault(index, {})
        bad_bits[position] = bad_bits.get(position, 0) | bits

    def load(self, path: Path) -> None:
        """Take the content from a file; what it lacks is blank.

        Raises:
            OSError: the file cannot be read.
            ValueError: the file is larger than the flash.
        """
        if path.stat().st_size > self.size:
            raise ValueError(f"{path} is larger than a flash of {self.size} bytes")
        with path.open("rb") as file:
            self._fill(file)

    def fill(self, content: bytes) -> None:
        """Take the content, which stands in the cells in no time; what it lacks is blank.

        Raises:
            ValueError: it is larger than the flash.
        """
        if len(content) > self.size:
            raise ValueError(f"{len(content)} bytes are more than a flash of {self.size} holds")
        self._fill(io.BytesIO(content))

    def sectors(self) -> dict[int, bytes]:
        """Return what is in the sectors now, by number; those that never held anything lack.

        It takes next to no time: what does not change is not copied.
        """
        return dict(self._sectors)

    def put_sectors(self, sectors: Mapping[int, bytes]) -> None:
        """Let whole sectors, by number, hold that, in no time.

        Raises:
            ValueError: there is no such sector, or a sector has another size.
        """
        count = self.size // SECTOR_SIZE
        for index, content in sectors.items():
            if not 0 <= index < count or len(content) != SECTOR_SIZE:
                raise ValueError(f"{len(content)} bytes for sector {index} of {count}")
        self._sectors.update(sectors)
        for index, content in sectors.items():
            self._store(index * SECTOR_SIZE, content)

    def _fill(self, file: BinaryIO) -> None:
        self._sectors.clear()
        for index in range(self.size // SECTOR_SIZE):
            content = file.read(SECTOR_SIZE)
            if not content:
                break
            if content != _BLANK_SECTOR[: len(content)]:
                self._sectors[index] = content.ljust(SECTOR_SIZE, b"\xff")

    def keep_in(self, path: Path) -> None:
        """Take the content from a file, if there is one, and write every change to it at once.

        A change that cannot be written to it stays to be written by :meth:`save_changes`, and
        :attr:`file_failure` says why. Nobody else can have the file until :meth:`leave_file`.

        Raises:
            OSError: the file cannot be read or written, or another device has it.
            ValueError: the file is larger than the flash.
        """
        file = FlashFile(path)
        try:
            self.load(path)
            # A change in the middle needs a file that reaches so far.
            file.is_stale = path.stat().st_size < self.size
            if file.is_stale:
                file.save(self._pieces(0, self.size))
        except BaseException:
            file.discard()
            raise
        self._file = file

    @property
    def file_failure(self) -> OSError | None:
        """Why a change is not in the file of :meth:`keep_in`; ``None`` if all are."""
        return None if self._file is None else self._file.failure

    def save_changes(self) -> None:
        """Write what has not reached the file of :meth:`keep_in`. Raises :exc:`OSError`."""
        if self._file is not None and self._file.is_stale:
            self._file.save(self._pieces(0, self.size))

    def leave_file(self) -> None:
        """Write what has not reached the file; from then on it is not this one's any more.

        Raises :exc:`OSError`; then it still is.
        """
        self.save_changes()
        if self._file is not None:
            self._file.release()
            self._file = None

    def _store(self, offset: int, data: bytes) -> None:
        file = self._file
        if file is None or file.is_stale:
            return
        file.store(offset, data)
        with suppress(OSError):
            # A file that has vanished, or a full disk in which there is room beside it.
            self.save_changes()

    def _count_operations(self, count: int) -> int:
        """Count programmed pages or erases; return how many succeed before the power fails."""
        done = count
        if self.fails_after is not None:
            done = max(min(self.fails_after - self.operation_count, count), 0)
        self.operation_count += done
        return done

    def _clear_bits(self, offset: int, data: bytes) -> None:
        position = 0
        while position < len(data):
            index, start = divmod((offset + position) % self.size, SECTOR_SIZE)
            piece = data[position : position + SECTOR_SIZE - start]
            position += len(piece)
            piece = self._without_bad_bits(piece, index, start)
            end = start + len(piece)
            sector = self._sectors.get(index)
            if sector is None:
                if piece.count(0xFF) == len(piece):
                    continue
                sector, programmed = _BLANK_SECTOR, piece
            else:
                merged = int.from_bytes(sector[start:end], "big") & int.from_bytes(piece, "big")
                programmed = merged.to_bytes(len(piece), "big")
            self._sectors[index] = sector[:start] + programmed + sector[end:]
            self._store(index * SECTOR_SIZE + start, programmed)

    def _without_bad_bits(self, data: bytes, index: int, start: int) -> bytes:
        """Return the data that programs what can be programmed in a sector from ``start`` on."""
        bad_bits = self._bad_bits.get(index)
        if not bad_bits:
            return data
        possible = bytearray(data)
        for position, bits in bad_bits.items():
            if start <= position < start + len(data):
                possible[position - start] |= bits
        return bytes(possible)

    def _set_bits(self, offset: int, size: int) -> None:
        for position in range(offset, offset + size, SECTOR_SIZE):
            index = position % self.size // SECTOR_SIZE
            sector = self._sectors.get(index)
            count = min(SECTOR_SIZE, offset + size - position)
            if sector is not None and index not in self._worn:
                self._sectors[index] = _BLANK_SECTOR[:count] + sector[count:]
                self._store(position % self.size, _BLANK_SECTOR[:count])

    def _erase_sector(self, index: int) -> None:
        if index not in self._worn and self._sectors.pop(index, None) is not None:
            self._store(index * SECTOR_SIZE, _BLANK_SECTOR)
        self.erase_counts[index] = self.erase_counts.get(index, 0) + 1

    def _pieces(self, offset: int, size: int) -> Iterator[bytes]:
        position = offset
        while position < offset + size:
            index, start = divmod(position % self.size, SECTOR_SIZE)
            count = min(SECTOR_SIZE - start, offset + size - position)
            sector = self._sectors.get(index, _BLANK_SECTOR)
            yield sector if count == SECTOR_SIZE else sector[start : start + count]
            position += count
