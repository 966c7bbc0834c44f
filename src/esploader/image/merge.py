"""One file of many: what goes to several places in a flash, for whoever takes a single file.

As raw bytes, in which gaps are filled; as an Intel HEX file or a UF2 file, which leave them out.
Files come out piece by piece, so that no more is held than what goes into them.

Sources: esptool documentation, "Merge Binaries for Flashing"; what esptool 5.6.0 writes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from esploader.classes import override
from esploader.errors import PlanError
from esploader.image import hexfile, uf2
from esploader.image.runs import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Merged", "Run", "merge"]

MAX_RAW_SIZE: Final = 256 * 1024 * 1024
"""No flash is larger, in bytes: gaps are filled, and one may be of any size."""

_BLANK: Final = b"\xff"

_FILL_SIZE: Final = 1024 * 1024


class Merged(NamedTuple):
    """What :func:`merge` has put in order."""

    runs: tuple[Run, ...]
    """In order of the offsets, none overlapping another."""

    start: int
    """The offset in flash that a file is made for."""

    @property
    def end(self) -> int:
        """The offset behind the last byte."""
        return self.runs[-1].end

    @override
    def __repr__(self) -> str:
        return f"<Merged {len(self.runs)} runs, from {self.start:#x} to {self.end:#x}>"

    def raw(self, *, pad_to: int | None = None) -> Iterator[bytes]:
        """Yield all bytes from :attr:`start` on, 0xFF where there is nothing.

        With ``pad_to`` up to that offset, the size of a flash in bytes.

        Raises:
            PlanError: there is more than that, or more than :data:`MAX_RAW_SIZE`; before anything
                is yielded.
        """
        end = self.end if pad_to is None else pad_to
        if self.end > end:
            raise PlanError(
                f"what is merged ends at {self.end:#x}, beyond a size of {end:#x} bytes"
            )
        if end - self.start > MAX_RAW_SIZE:
            raise PlanError(
                f"{end - self.start} bytes from {self.start:#x} to {end:#x} are in no flash: as "
                "an Intel HEX file gaps are left out"
            )
        return _filled(self.runs, self.start, end)

    def hex(self) -> Iterator[bytes]:
        """Yield an Intel HEX file. Neighbours become one.

        Raises:
            PlanError: it goes beyond addresses of 32 bits; before anything is yielded.
        """
        if self.end > hexfile.ADDRESS_LIMIT:
            raise PlanError(f"what goes to {self.runs[-1].address:#x} is out of reach of HEX files")
        return hexfile.written(self.runs)

    def uf2(
        self, family: int, *, chunk_size: int | None = None, has_checksum: bool = True
    ) -> Iterator[bytes]:
        """Yield a UF2 file for chips of ``family``; see :func:`esploader.image.uf2.written`.

        Raises:
            PlanError: as that.
        """
        return uf2.written(self.runs, family, chunk_size=chunk_size, has_checksum=has_checksum)


def merge(runs: Iterable[Run], *, start: int = 0) -> Merged:
    """Return ``runs`` in order, for a file that is written to ``start`` in flash.

    They may share a sector, but no byte. Those without bytes are left out.

    Raises:
        PlanError: there are none, one lies before ``start``, or two overlap.
    """
    ordered = tuple(sorted((run for run in runs if run.data), key=lambda run: run.address))
    if not ordered:
        raise PlanError("there is nothing to merge")
    if ordered[0].address < start:
        raise PlanError(
            f"what goes to {ordered[0].address:#x} lies before {start:#x}, where the file begins"
        )
    for first, second in pairwise(ordered):
        if second.address < first.end:
            raise PlanError(
                f"what goes to {first.address:#x} ends at {first.end:#x} and overlaps "
                f"what goes to {second.address:#x}"
            )
    return Merged(ordered, start)


def _filled(runs: Sequence[Run], start: int, end: int) -> Iterator[bytes]:
    for run in runs:
        yield from _blank(run.address - start)
        yield run.data
        start = run.end
    yield from _blank(end - start)


def _blank(size: int) -> Iterator[bytes]:
    whole, rest = divmod(size, _FILL_SIZE)
    if whole:
        part = _BLANK * _FILL_SIZE
        for _ in range(whole):
            yield part
    yield _BLANK * rest
