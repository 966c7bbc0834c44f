"""Bytes that many devices get, from as many threads at once.

They are held once, and what is made of them is made once: hashes, judgements, and the blocks
that go over the wire. Nothing here knows of a device, and no lock is held while one is talked to.

The blocks of a download are made as they are first asked for: whoever comes first to the next one
makes it, which takes a few milliseconds, and the others find it there. So no device waits until
all has been compressed, and one that hangs keeps nothing from the others.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, TypeVar

import attrs

from esploader.classes import define
from esploader.flash.compress import WireBlock, compressed_blocks
from esploader.flash.once import Once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

MOST_RESULTS: Final = 8192
"""How many results are kept of what is worked out of parts of the data, such as hashes: of each
sector of 16 MiB, and as many more."""

KEPT_BLOCKS: Final = 2
"""Blocks are kept for so many times the size of the data: for devices that get all of it, and for
as much of those of which only some parts differ."""


@define(eq=False)
class SharedBlocks:
    """The compressed blocks of some data, made as far as anybody has asked for them."""

    _data: bytes | memoryview
    _block_size: int
    users: int = attrs.field(default=0, init=False)
    """How many go through them just now."""
    _made: list[WireBlock] = attrs.field(factory=list, init=False)
    _source: Iterator[WireBlock] | None = attrs.field(default=None, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    @property
    def size(self) -> int:
        """Bytes of the data."""
        return len(self._data)

    def __iter__(self) -> Iterator[WireBlock]:
        """Yield all of them."""
        with self._lock:
            self.users += 1
        try:
            index = 0
            while index < len(self._made) or self._make_one(index):
                yield self._made[index]
                index += 1
        finally:
            with self._lock:
                self.users -= 1

    def _make_one(self, index: int) -> bool:
        """Make the block with that index, unless there is none; tell whether it is there."""
        with self._lock:
            if index == len(self._made):
                # Interrupted, it would come to its end too early: another one begins anew then.
                source, self._source = self._source, None
                if source is None:
                    blocks = compressed_blocks(self._data, self._block_size)
                    source = islice(blocks, index, None)
                self._made += islice(source, 1)
                self._source = source
            return index < len(self._made)


@define(eq=False)
class SharedData:
    """Bytes for a stretch of flash, in whole sectors, and what was made of parts of them."""

    offset: int
    """Where the first byte goes."""
    data: bytes
    _results: Once = attrs.field(factory=lambda: Once(MOST_RESULTS), init=False)
    _blocks: OrderedDict[tuple[int, int, int], SharedBlocks] = attrs.field(
        factory=OrderedDict, init=False
    )
    _held: int = attrs.field(default=0, init=False)
    """Bytes of the parts that blocks are kept for."""
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def part(self, start: int, end: int) -> bytes | memoryview:
        """Return what goes to the offsets from ``start`` up to ``end``, without a copy."""
        if (start, end) == (self.offset, self.offset + len(self.data)):
            return self.data
        return memoryview(self.data)[start - self.offset : end - self.offset]

    def once(
        self,
        start: int,
        end: int,
        work: Callable[Concatenate[bytes | memoryview, P], ResultT],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> ResultT:
        """Return what ``work`` makes of what goes to the offsets from ``start`` to ``end``."""
        key = (start, end, work, args, *kwargs.items())
        return self._results.get(
            key, functools.partial(work, self.part(start, end), *args, **kwargs)
        )

    def compressed_blocks(self, start: int, end: int, block_size: int) -> Iterable[WireBlock]:
        """Return the blocks for the offsets from ``start`` up to ``end``.

        They are kept for others as far as :data:`KEPT_BLOCKS` allows.
        """
        key = (start, end, block_size)
        size = end - start
        with self._lock:
            found = self._blocks.pop(key, None)
            if found is None and self._make_room(size):
                found = SharedBlocks(self.part(start, end), block_size)
                self._held += size
            if found is not None:
                self._blocks[key] = found
                return found
        return compressed_blocks(self.part(start, end), block_size)

    def _make_room(self, size: int) -> bool:
        """Forget blocks that nobody uses, the oldest first, if that makes room for ``size``."""
        room = KEPT_BLOCKS * len(self.data) - size
        if self._held <= room:
            return True
        idle = [key for key, blocks in self._blocks.items() if not blocks.users]
        if self._held - sum(self._blocks[key].size for key in idle) > room:
            return False
        for key in idle:
            self._held -= self._blocks.pop(key).size
            if self._held <= room:
                break
        return True
