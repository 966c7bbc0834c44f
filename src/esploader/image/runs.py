"""Bytes and where they belong, as they come out of a file piece by piece, in whatever order.

For formats that give an address with every few bytes. Nothing is used of a file in which bytes
are given twice: programs differ about which of them count.

There are no classes of attrs here, nor in what reads and writes the formats: a command that merges
files takes as long as it takes to import that.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from esploader.classes import override
from esploader.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_RUNS: Final = 4096
"""Linkers write a few; each becomes a region to be erased, written and compared."""

MAX_SCATTERED: Final = 65536
"""So many may be apart from each other before what belongs in between has come: each takes many
times the memory of what it has."""


class Readable(Protocol):
    """What is used of a binary file."""

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes; none at the end."""
        ...


class Run(NamedTuple):
    """Bytes without a gap."""

    address: int
    """Where the first of them belongs."""

    data: bytes
    """The bytes."""

    @property
    def end(self) -> int:
        """The address behind the last byte."""
        return self.address + len(self.data)

    @override
    def __repr__(self) -> str:
        return f"Run(address={self.address:#x}, data=<{len(self.data)} bytes>)"


class FileKind(NamedTuple):
    """What a kind of file is called, and its parts, in what is said of one that is no good."""

    name: str
    """With its article: ``an Intel HEX file``."""

    part: str
    """``line`` or ``block``: they are counted from 1."""

    def damaged(self, number: int, reason: str) -> PlanError:
        """Return the error for a file that is wrong at that part."""
        _, _, name = self.name.partition(" ")
        return PlanError(f"the {name} is damaged: {self.part} {number}: {reason}")


class _Growing:
    """Data that follow each other, as they stand in the file."""

    __slots__ = ("address", "data", "number")

    def __init__(self, number: int, address: int, data: bytearray) -> None:
        self.number = number
        """The part of the file that has the first of them."""
        self.address = address
        self.data = data

    @property
    def end(self) -> int:
        """The address behind the last byte."""
        return self.address + len(self.data)


class Gathering:
    """Takes in what is read, part by part, and makes runs of it."""

    def __init__(self, kind: FileKind, room: int) -> None:
        """``room`` is how many bytes are allowed."""
        self._kind = kind
        self._room = room
        self._size = 0
        self._found: list[_Growing] = []
        self._end = -1
        """Behind the last byte that was taken in."""

    def add(self, number: int, address: int, data: bytes) -> None:
        """Take in the data of one part.

        Raises:
            PlanError: they are too much, or too scattered.
        """
        self._size += len(data)
        if self._size > self._room:
            raise PlanError(f"{self._kind.name} of more than {self._room} bytes is too much here")
        if address == self._end:
            self._found[-1].data += data
        else:
            if len(self._found) >= 2 * MAX_SCATTERED:
                self._join()
                self._check_count(MAX_SCATTERED)
            self._found.append(_Growing(number, address, bytearray(data)))
        self._end = address + len(data)

    def runs(self) -> tuple[Run, ...]:
        """Return all that has been taken in, in order of the addresses; only once.

        Raises:
            PlanError: bytes are given twice, or it is in too many pieces.
        """
        self._join()
        self._check_count(MAX_RUNS)
        return tuple(_made(self._found))

    def _check_count(self, limit: int) -> None:
        if len(self._found) > limit:
            raise PlanError(f"{self._kind.name} in more than {limit} pieces is not read")

    def _join(self) -> None:
        """Put what was found in order, and make one of what follows each other."""
        self._found.sort(key=attrgetter("address"))
        joined: list[_Growing] = []
        for each in self._found:
            if joined and each.address < joined[-1].end:
                number = max(each.number, joined[-1].number)
                reason = f"what is at {each.address:#x} is given twice, from here on"
                raise self._kind.damaged(number, reason)
            if joined and each.address == joined[-1].end:
                joined[-1].data += each.data
                joined[-1].number = max(joined[-1].number, each.number)
            else:
                joined.append(each)
        self._found = joined
        self._end = -1


def _made(found: list[_Growing]) -> Iterable[Run]:
    """Yield what they have become, and let go of each."""
    for each in found:
        data, each.data = bytes(each.data), bytearray()
        yield Run(each.address, data)
