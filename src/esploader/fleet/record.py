"""A record of what became of boards, a line of JSON each, that is made to be kept.

A line is whole or not there: it is appended in one write, under a lock that programs which write
to the same file share, and is on the disk before anybody says that the board is done.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from esploader.classes import define
from esploader.errors import RecordError
from esploader.fleet.appending import append, locked, open_to_append
from esploader.fleet.record_entry import MAX_LINE_SIZE, RecordEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@define(eq=False)
class Record:
    """Appends to a file; several threads and several programs may do so at once."""

    path: Path = attrs.field(converter=Path)
    """The file."""
    fields: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    """What the operator says of the run, for each line: the order, the production line, ..."""
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)

    def check(self) -> None:
        """See that lines can be appended; the file is made if there is none.

        Raises:
            RecordError: they cannot.
        """
        with _errors_of(self.path):
            os.close(open_to_append(self.path))

    def append(self, entry: RecordEntry) -> None:
        """Write a line, and wait until it is on the disk.

        A line that was torn, as by a power cut, stays as it is; this one begins behind it.

        Raises:
            RecordError: it cannot be written; nothing of it is there.
        """
        line = entry.to_line()
        if len(line) > MAX_LINE_SIZE:
            raise RecordError(str(self.path), f"a line would have more than {MAX_LINE_SIZE} bytes")
        with self._lock, _errors_of(self.path), locked(self.path) as file:
            append(file, line)


def read_record(
    path: str | os.PathLike[str], *, on_torn: Callable[[int], object] = lambda _number: None
) -> Iterator[RecordEntry]:
    """Yield what a record holds, in its order.

    ``on_torn`` is called with the number of each line, from 1, that was torn and is left out.

    Raises:
        RecordError: it cannot be read, or a line is no entry.
    """
    name = os.fspath(path)
    with _errors_of(name), open(name, "rb") as file:  # noqa: PTH123 - any path
        number = 0
        while line := file.readline(MAX_LINE_SIZE + 1):
            number += 1
            if len(line) > MAX_LINE_SIZE:
                raise RecordError(name, f"line {number} has more than {MAX_LINE_SIZE} bytes")
            try:
                entry = RecordEntry.parse(line)
            except ValueError as exc:
                raise RecordError(name, f"line {number}: {exc}") from exc
            if entry is None:
                on_torn(number)
            else:
                yield entry


@contextlib.contextmanager
def _errors_of(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise RecordError(os.fspath(path), reason) from exc
