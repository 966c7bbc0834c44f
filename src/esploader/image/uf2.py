"""UF2 files: bytes and where they belong, in blocks of 512 bytes, each good by itself.

Read block by block. Nothing is used of a file in which anything is odd: a block that is missing,
that comes twice or out of turn, a checksum that is wrong or that is one of something else.

What esptool writes is written, to the byte. There the checksum of a block stands behind its data,
where Espressif's USB bridge looks for it; the specification has it at the end of the block, and
lets it be that of a larger region. Both are read.

Sources: the specification of UF2 (microsoft/uf2, ``README.md``); what esptool 5.6.0 writes.
"""

from __future__ import annotations

import io
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from esploader.errors import PlanError
from esploader.image.runs import FileKind, Gathering, Readable, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SUFFIXES: Final = frozenset({".uf2"})
"""How the name of such a file ends, in lower case."""

BLOCK_SIZE: Final = 512
"""In bytes; a file has nothing but blocks."""

MAX_SIZE: Final = 256 * 1024 * 1024
"""No flash is larger, in bytes."""

ADDRESS_LIMIT: Final = 1 << 32
"""Addresses are smaller."""

CHUNK_UNIT: Final = 4
"""The data of a block are a multiple of so many bytes; the last ones need not be."""

_DATA_SIZE: Final = 476

# first magic u32 | second magic u32 | flags u32 | address u32 | size of the data u32
# | number of the block u32 | count of blocks u32 | family u32 | data | last magic u32
_BLOCK: Final = struct.Struct(f"<8I{_DATA_SIZE}sI")

# address u32 | size u32 | MD5
_CHECKSUM: Final = struct.Struct("<II16s")

_FIRST_MAGICS: Final = (0x0A32_4655, 0x9E5D_5157)
_LAST_MAGIC: Final = 0x0AB1_6F30
_BEGINNING: Final = struct.pack("<2I", *_FIRST_MAGICS)

_NOT_FLASH: Final = 0x0001
_FILE_CONTAINER: Final = 0x1000
_HAS_FAMILY: Final = 0x2000
_HAS_CHECKSUM: Final = 0x4000

_KIND: Final = FileKind("a UF2 file", "block")

_READ_BLOCKS: Final = 1024
_WRITTEN_BLOCKS: Final = 256
"""So many are held at once."""

_MAX_BLOCKS_PER_BYTE: Final = 4
"""A block for each word is the least that anybody writes."""
_MIN_BLOCKS: Final = 4096


class Uf2Content(NamedTuple):
    """What a UF2 file holds."""

    runs: tuple[Run, ...]
    """In order of the addresses."""

    family: int | None
    """The family of chips that it is for; ``None`` where it does not say."""


def is_uf2(beginning: bytes) -> bool:
    """Tell whether what begins like that is a UF2 file, whatever its name."""
    return beginning.startswith(_BEGINNING)


def read_blocks(data: bytes, *, max_size: int = MAX_SIZE) -> Uf2Content:
    """Return what a UF2 file holds.

    Raises:
        PlanError: it is damaged, cut off or too large, gives a byte twice, holds files in place
            of flash, or is for more than one family of chips.
    """
    return read_file(io.BytesIO(data), max_size=max_size)


def read_file(file: Readable, *, max_size: int = MAX_SIZE) -> Uf2Content:
    """Return what ``file`` holds, up to ``max_size`` bytes. Raises as :func:`read_blocks`."""
    gathering = Gathering(_KIND, max_size)
    sequence = _Sequence()
    checksums = _Checksums()
    families: set[int | None] = set()
    limit = _MIN_BLOCKS + max_size // _MAX_BLOCKS_PER_BYTE
    for number, block in enumerate(_blocks(file), 1):
        if number > limit:
            raise PlanError(f"{_KIND.name} of more than {limit} blocks is not read here")
        parsed = _parsed(number, block)
        sequence.take_in(number, parsed)
        if parsed.flags & _NOT_FLASH:
            continue
        families.add(parsed.family)
        if len(families) > 1:
            raise PlanError(f"the UF2 file is for more than one kind of chip, from block {number}")
        checksums.take_in(number, parsed)
        gathering.add(number, parsed.address, parsed.data)
    sequence.end()
    runs = gathering.runs()
    checksums.check(runs)
    return Uf2Content(runs, families.pop() if families else None)


class _Block(NamedTuple):
    """One block, as it stands in a file."""

    flags: int
    address: int
    place: int
    """Its number, from 0."""
    total: int
    """How many there are of those that are counted with it."""
    family: int | None
    data: bytes
    rest: bytes
    """What stands behind the data."""


def _blocks(file: Readable) -> Iterator[bytes]:
    """Yield the blocks of ``file``; a last one may be too short."""
    held = b""
    while piece := file.read(_READ_BLOCKS * BLOCK_SIZE):
        held = held + piece if held else piece
        end = len(held) - len(held) % BLOCK_SIZE
        for start in range(0, end, BLOCK_SIZE):
            yield held[start : start + BLOCK_SIZE]
        held = held[end:]
    if held:
        yield held


def _parsed(number: int, block: bytes) -> _Block:
    if len(block) < BLOCK_SIZE:
        raise _KIND.damaged(number, f"it ends after {len(block)} of {BLOCK_SIZE} bytes")
    *first, flags, address, size, place, count, family, data, last = _BLOCK.unpack(block)
    if tuple(first) != _FIRST_MAGICS:
        raise _KIND.damaged(number, "it does not begin as blocks do")
    if last != _LAST_MAGIC:
        raise _KIND.damaged(number, "it does not end as blocks do")
    if flags & _FILE_CONTAINER:
        raise PlanError("the UF2 file holds files for a file system, and not what is in a flash")
    limit = max_chunk_size(has_checksum=bool(flags & _HAS_CHECKSUM))
    if not 0 < size <= limit:
        raise _KIND.damaged(number, f"it has {size} bytes of data; 1 to {limit} are possible")
    if address + size > ADDRESS_LIMIT:
        raise _KIND.damaged(number, "its data go on behind the last address of 32 bits")
    return _Block(
        flags=flags,
        address=address,
        place=place,
        total=count,
        family=family if flags & _HAS_FAMILY else None,
        data=data[:size],
        rest=data[size:],
    )


class _Sequence:
    """The numbers of blocks: those of each part of a file are counted from 0."""

    def __init__(self) -> None:
        self._next = self._count = 0
        self._is_begun = False

    def take_in(self, number: int, block: _Block) -> None:
        """See that it is the block that is due."""
        self._is_begun = True
        if self._next == self._count:
            self._next, self._count = 0, block.total
        if block.place != self._next or block.total != self._count or not self._count:
            found = f"it says it is number {block.place} of {block.total}"
            due = f", and {self._next} of {self._count} is due" if self._count else ""
            raise _KIND.damaged(number, found + due)
        self._next += 1

    def end(self) -> None:
        """See that none is missing."""
        if not self._is_begun:
            raise PlanError("the UF2 file is none: it has no block")
        if self._next < self._count:
            missing = self._count - self._next
            raise PlanError(
                f"the UF2 file is cut off: {missing} of {self._count} blocks are missing"
            )


class _Checksums:
    """The checksums of regions; many blocks may have that of the same one."""

    def __init__(self) -> None:
        self._md5 = _md5()
        self._by_region: dict[tuple[int, int], tuple[bytes, int]] = {}
        """The MD5, and the first block that has it, by address and size."""

    def take_in(self, number: int, block: _Block) -> None:
        """See that the checksum of a block is right; note one that is that of a region."""
        if not block.flags & _HAS_CHECKSUM:
            return
        address, size, digest = _CHECKSUM.unpack_from(block.rest)
        if (address, size) == (block.address, len(block.data)):
            if digest != self._md5(block.data):
                raise _KIND.damaged(number, "its checksum is wrong")
            return
        address, size, digest = _CHECKSUM.unpack(block.rest[-_CHECKSUM.size :])
        if not address <= block.address < address + size:
            raise _KIND.damaged(number, "its checksum is one of something else")
        known, _ = self._by_region.setdefault((address, size), (digest, number))
        if known != digest:
            raise _KIND.damaged(number, "its checksum is another one than those before it")

    def check(self, runs: Sequence[Run]) -> None:
        """See that the checksums of regions are right.

        Each byte is looked at once, whatever a file says: no region overlaps another.
        """
        regions = sorted(self._by_region.items())
        for ((start, size), _), ((following, _), (_, number)) in pairwise(regions):
            if following < start + size:
                raise _KIND.damaged(number, "its checksum is of a region that overlaps another")
        waiting = iter(runs)
        run = next(waiting, None)
        for (start, size), (digest, number) in regions:
            while run is not None and run.end <= start:
                run = next(waiting, None)
            if run is None or not run.address <= start <= start + size <= run.end:
                raise _KIND.damaged(number, "its checksum is of more than the file holds")
            view = memoryview(run.data)[start - run.address : start - run.address + size]
            if digest != self._md5(view):
                raise _KIND.damaged(number, "the checksum of its region is wrong")


def max_chunk_size(*, has_checksum: bool) -> int:
    """Return how many bytes of data a block has at most."""
    return _DATA_SIZE - (_CHECKSUM.size if has_checksum else 0)


def check_chunk_size(size: int, *, has_checksum: bool) -> None:
    """Refuse so many bytes of data for each block.

    Raises:
        PlanError: a block has no room for them, or they are no multiple of 4.
    """
    limit = max_chunk_size(has_checksum=has_checksum)
    if not 0 < size <= limit or size % CHUNK_UNIT:
        how = "with a checksum" if has_checksum else "without a checksum"
        raise PlanError(
            f"a UF2 block {how} has {CHUNK_UNIT} to {limit} bytes of data, a multiple of "
            f"{CHUNK_UNIT}, and not {size}"
        )


def written(
    runs: Sequence[Run], family: int, *, chunk_size: int | None = None, has_checksum: bool = True
) -> Iterator[bytes]:
    """Yield a file that holds ``runs``, for chips of ``family``, some blocks at once.

    The blocks of each run are counted by themselves. ``chunk_size`` is how many bytes each of them
    has, in bytes; by default as many as there is room for. With ``has_checksum`` each has the MD5
    of its data.

    Raises:
        PlanError: as :func:`check_chunk_size`, or a run has addresses of more than 32 bits; before
            anything is yielded.
    """
    size = max_chunk_size(has_checksum=has_checksum) if chunk_size is None else chunk_size
    check_chunk_size(size, has_checksum=has_checksum)
    for run in runs:
        if run.end > ADDRESS_LIMIT:
            raise PlanError(f"what goes to {run.address:#x} is out of reach of a UF2 file")
    return _written(runs, family, size, has_checksum=has_checksum)


def _written(runs: Sequence[Run], family: int, size: int, *, has_checksum: bool) -> Iterator[bytes]:
    flags = _HAS_FAMILY | (_HAS_CHECKSUM if has_checksum else 0)
    first, second = _FIRST_MAGICS
    whole = _shape(size, has_checksum=has_checksum)
    md5 = _md5()
    held: list[bytes] = []
    for run in runs:
        total = -(-len(run.data) // size)
        address = run.address
        for place in range(total):
            data = run.data[place * size : (place + 1) * size]
            count = len(data)
            shape = whole if count == size else _shape(count, has_checksum=has_checksum)
            header = (first, second, flags, address, count, place, total, family)
            checksum = (address, count, md5(data)) if has_checksum else ()
            held.append(shape.pack(*header, data, *checksum, _LAST_MAGIC))
            address += count
            if len(held) == _WRITTEN_BLOCKS:
                yield b"".join(held)
                held.clear()
    yield b"".join(held)


def _shape(size: int, *, has_checksum: bool) -> struct.Struct:
    """Return how a block with ``size`` bytes of data is made; it is filled up with zeros."""
    rest = _DATA_SIZE - size - (_CHECKSUM.size if has_checksum else 0)
    return struct.Struct(f"<8I{size}s{'2I16s' if has_checksum else ''}{rest}xI")


def _md5() -> Callable[[bytes | memoryview], bytes]:
    """Return what makes checksums: only files with blocks wait until that is loaded."""
    from hashlib import md5

    return lambda data: md5(data, usedforsecurity=False).digest()
