"""What a write will do, decided before anything is erased.

Flash is erased by the sector of 4 KiB, and programming only clears bits. So the unit of
a plan is a run of whole sectors. Inputs that share a sector become one region; bytes of a
sector that no input covers are erased with it, as every tool for these chips does. The plan
says which these are.

What the device encrypts as it writes ends where its input ends, filled up to a unit of
encryption: behind that the sector stays erased. A sector has no room for both kinds, because
each kind is a download of its own, which begins by erasing the sectors it goes to.

What many devices get is in regions of its own, which are the same for all of them: what one gets
besides is joined with it in no more than the sectors that they share.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, TypeVar

import attrs

from esploader.classes import frozen, override
from esploader.errors import PlanError
from esploader.flash.compress import compressed_blocks
from esploader.flash.shared import SharedData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from esploader.flash.compress import WireBlock
    from esploader.flash.place import Place

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

SECTOR_SIZE: Final = 0x1000
"""The smallest unit of erasing, in bytes."""

ERASE_BLOCK_SIZE: Final = 0x1_0000
"""The unit in which erasing is quickest, in bytes."""

PAGE_SIZE: Final = 0x100
"""The unit of programming, in bytes."""

ERASED: Final = b"\xff"


@frozen(kw_only=True)
class InputPart:
    """An input, or one of the parts of an Intel HEX or UF2 file: bytes without a gap."""

    name: str | None
    """The path that it was read from; ``None`` for bytes and open files."""
    offset: int = attrs.field(repr=hex)
    """Where it goes."""
    size: int
    """Bytes of it."""

    @override
    def __str__(self) -> str:
        name = "" if self.name is None else f"'{self.name}': "
        return f"{name}{self.size} bytes at 0x{self.offset:08x}"


@frozen
class Piece:
    """Bytes and where they belong in flash."""

    offset: int = attrs.field(repr=hex)
    data: bytes | memoryview = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    """A view where they are a part of others, which may be many megabytes."""
    encrypted: bool = attrs.field(default=False, kw_only=True)
    """The device encrypts the bytes as it writes them."""
    family: int | None = attrs.field(default=None, kw_only=True, eq=False, repr=False)
    """The family of chips that the UF2 file is for which they are from, if they are."""
    inputs: tuple[InputPart, ...] = attrs.field(default=(), kw_only=True, eq=False, repr=False)
    """What they were read from; in between and around they are filled up."""
    place: Place | None = attrs.field(default=None, kw_only=True, eq=False, repr=False)
    """What they must not leave; ``None`` for data that were given an offset."""
    shared: SharedData | None = attrs.field(default=None, kw_only=True, eq=False, repr=False)
    """What the bytes are a part of, where many devices get them."""

    @property
    def end(self) -> int:
        """The offset behind the last byte."""
        return self.offset + len(self.data)

    def part(self, start: int, end: int) -> Piece:
        """Return what of it goes to the offsets from ``start`` up to ``end``, without a copy."""
        if (start, end) == (self.offset, self.end):
            return self
        data = memoryview(self.data)[start - self.offset : end - self.offset]
        return Piece(start, data, encrypted=self.encrypted, shared=self.shared)

    def once(
        self,
        work: Callable[Concatenate[bytes | memoryview, P], ResultT],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> ResultT:
        """Return what ``work`` makes of the bytes, for all that share them made once."""
        if self.shared is None:
            return work(self.data, *args, **kwargs)
        return self.shared.once(self.offset, self.end, work, *args, **kwargs)

    def compressed_blocks(self, block_size: int) -> Iterable[WireBlock]:
        """Return the bytes for the wire, compressed, for all that share them once."""
        if self.shared is None:
            return compressed_blocks(self.data, block_size)
        return self.shared.compressed_blocks(self.offset, self.end, block_size)


@frozen(kw_only=True)
class FlashRange:
    """A range of flash; ``end`` is not part of it."""

    start: int = attrs.field(repr=hex)
    end: int = attrs.field(repr=hex)


@frozen(kw_only=True)
class HeaderChange:
    """What is put into the header of the bootloader; ``None`` for what stays as it is."""

    offset: int = attrs.field(repr=hex)
    mode: str | None
    frequency: str | None
    size: str | None
    word: int = attrs.field(repr=hex)
    """The bytes 2 and 3 of the header as they are written, the first one highest: the mode, and
    the codes of size and frequency."""
    is_new: bool
    """They were other ones in the input."""
    digest_renewed: bool
    """The SHA-256 digest of the image was made anew for them."""

    @property
    def names(self) -> str:
        """What is put there, in words."""
        names = {"mode": self.mode, "frequency": self.frequency, "size": self.size}
        return ", ".join(f"{what} {name}" for what, name in names.items() if name is not None)

    @override
    def __str__(self) -> str:
        return f"0x{self.offset:08x}: the header gets flash {self.names}"


@frozen
class WritePlan:
    """Regions that begin with a sector, in order of their offsets, and share no sector."""

    regions: tuple[Piece, ...]
    """What is written, in order; none touches another, unless many devices get one of the two."""

    uncovered: tuple[FlashRange, ...] = attrs.field(default=(), kw_only=True)
    """What no input covers of the sectors that are erased: its content is lost."""

    erase_all: bool = attrs.field(default=False, kw_only=True)
    """The whole flash is erased first."""

    header: HeaderChange | None = attrs.field(default=None, kw_only=True)
    """What the bootloader is told of the flash; ``None`` where it stays as it is."""

    flash_size: int | None = attrs.field(default=None, kw_only=True)
    """Bytes of the flash that is there; ``None`` where it does not tell."""

    compress: bool | None = attrs.field(default=None, kw_only=True)
    """The data are compressed for the wire; ``None`` where samples of them decide that."""

    starts_stub: bool = attrs.field(default=False, kw_only=True)
    """A stub is to be had, and is started before anything else. Whether it does start is
    not known before."""

    @override
    def __repr__(self) -> str:
        return f"<WritePlan: {self.size} bytes in {len(self.regions)} regions>"

    @property
    def size(self) -> int:
        """Bytes that will be written, unless they are found to be right already."""
        return sum(len(region.data) for region in self.regions)

    @override
    def __str__(self) -> str:
        lines = ["start a stub: whether it does start is not known yet"] if self.starts_stub else []
        if self.erase_all:
            lines.append("erase the whole flash")
        lines += [
            f"0x{region.offset:08x} to 0x{region.end:08x}: {len(region.data)} bytes"
            + (", encrypted by the device" if region.encrypted else "")
            for region in self.regions
        ]
        if not self.erase_all:
            lines += [
                f"0x{lost.start:08x} to 0x{lost.end:08x}: erased as well, covered by no input"
                for lost in self.uncovered
            ]
        if not self.regions:
            lines.append("nothing to write")
        if self.header is not None:
            lines.append(str(self.header))
        if self.compress is not None:
            lines.append("compressed" if self.compress else "not compressed")
        return "\n".join(lines)


def plan_write(
    inputs: Iterable[Piece], flash_size: int | None, *, encryption_unit: int = 1
) -> WritePlan:
    """Return the regions that ``inputs`` fill; ``flash_size`` is in bytes, if known.

    What is encrypted is filled up to a multiple of ``encryption_unit`` bytes.

    Raises:
        PlanError: an input has no bytes, lies outside the flash, shares bytes with
            another, or a sector with one that is encrypted where it is not.
    """
    pieces = sorted(inputs, key=lambda piece: piece.offset)
    _check(pieces, flash_size)
    groups = _grouped(_cut_apart(pieces))
    return WritePlan(
        tuple(_join(group, encryption_unit) for group in groups),
        uncovered=tuple(lost for group in groups for lost in _uncovered_around(group)),
    )


def share(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Return ``pieces`` for many devices, as parts of what those that lie together fill.

    Raises:
        PlanError: one overlaps another, or shares a sector with one that is encrypted where it is
            not; or it has no bytes, or leaves its place.
    """
    in_order = sorted(pieces, key=lambda piece: piece.offset)
    _check(in_order, None)
    found: dict[int, Piece] = {}
    for group in _grouped(in_order):
        whole = _join(group, SECTOR_SIZE)
        shared = whole.shared or SharedData(whole.offset, bytes(whole.data))
        for piece in group:
            data = shared.part(piece.offset, piece.end)
            found[piece.offset] = attrs.evolve(piece, data=data, shared=shared)
    return tuple(found[piece.offset] for piece in pieces)


def _grouped(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """Return ``pieces``, which are in order, by the regions that they make."""
    groups: list[list[Piece]] = []
    for piece in pieces:
        if groups and _belong_together(groups[-1][-1], piece):
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return groups


def _cut_apart(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Yield ``pieces``, which are in order, cut around sectors that not all devices get alike."""
    mixed = {
        _round_down(second.offset)
        for first, second in pairwise(pieces)
        if first.shared is not second.shared and second.offset < _round_up(first.end)
    }
    edges = sorted({*mixed, *(start + SECTOR_SIZE for start in mixed)})
    for piece in pieces:
        inside = [edge for edge in edges if piece.offset < edge < piece.end]
        for start, end in pairwise([piece.offset, *inside, piece.end]):
            part = piece.part(start, end)
            if inside:
                part = attrs.evolve(part, inputs=_within(piece.inputs, start, end))
            yield attrs.evolve(part, shared=None) if _round_down(start) in mixed else part


def _within(inputs: Iterable[InputPart], start: int, end: int) -> tuple[InputPart, ...]:
    """Return what of ``inputs`` lies between two offsets."""
    cut = ((part, max(part.offset, start), min(part.offset + part.size, end)) for part in inputs)
    return tuple(
        attrs.evolve(part, offset=first, size=last - first)
        for part, first, last in cut
        if first < last
    )


def _uncovered_around(group: Sequence[Piece]) -> Iterator[FlashRange]:
    """Yield what lies in the sectors of ``group``, and in none of its pieces."""
    position = _round_down(group[0].offset)
    for piece in group:
        if position < piece.offset:
            yield FlashRange(start=position, end=piece.offset)
        position = piece.end
    if position < _round_up(position):
        yield FlashRange(start=position, end=_round_up(position))


def _belong_together(first: Piece, second: Piece) -> bool:
    """Tell whether two neighbours share a sector, or can be written in one go."""
    start, end = _round_down(second.offset), _round_up(first.end)
    if first.shared is not second.shared:
        return False
    if second.encrypted:
        return first.encrypted and start < end
    return not first.encrypted and start <= end


def check_places(pieces: Iterable[Piece]) -> None:
    """Refuse pieces that leave the place they belong to.

    Raises:
        PlanError: one begins in front of it, ends behind it, or in a sector that it has only a
            part of; or the place is none of its own.
    """
    for piece in pieces:
        place = piece.place
        if place is None:
            continue
        place.check_alone()
        if piece.offset < place.start:
            raise PlanError(
                f"what belongs to {piece.offset:#x} lies in front of the partition {place}"
            )
        if piece.end > place.end:
            raise PlanError(
                f"{len(piece.data)} bytes at {piece.offset:#x} do not fit into the partition "
                f"{place}: {piece.end - place.end} bytes too many"
            )
        if _round_down(piece.offset) < place.start or _round_up(piece.end) > place.end:
            raise PlanError(
                f"the partition {place} shares a sector of {SECTOR_SIZE:#x} bytes with what is "
                "beside it, which would be erased with it"
            )


def _check(pieces: Sequence[Piece], flash_size: int | None) -> None:
    check_places(pieces)
    for piece in pieces:
        if not piece.data:
            raise PlanError(f"there is nothing to write at {piece.offset:#x}")
        if piece.offset < 0:
            raise PlanError(f"{piece.offset} is no offset in flash")
        if flash_size is not None and piece.end > flash_size:
            raise PlanError(
                f"{len(piece.data)} bytes at {piece.offset:#x} end at {piece.end:#x}, "
                f"beyond the flash of {flash_size:#x} bytes"
            )
    for first, second in pairwise(pieces):
        if second.offset < first.end:
            raise PlanError(
                f"what goes to {first.offset:#x} ends at {first.end:#x} and overlaps "
                f"what goes to {second.offset:#x}"
            )
        if first.encrypted != second.encrypted and second.offset < _round_up(first.end):
            kinds = "encrypted and plain" if first.encrypted else "plain and encrypted"
            raise PlanError(
                f"what goes to {first.offset:#x} and {second.offset:#x}, {kinds}, shares the "
                f"sector at {_round_down(second.offset):#x}: writing one would erase the other"
            )


def _join(group: Sequence[Piece], encryption_unit: int) -> Piece:
    is_encrypted = group[0].encrypted
    start = _round_down(group[0].offset)
    end = _round_up(group[-1].end, encryption_unit if is_encrypted else SECTOR_SIZE)
    if len(group) == 1 and (start, end) == (group[0].offset, group[0].end):
        return group[0]  # It may be many megabytes.
    inputs = tuple(part for piece in group for part in piece.inputs)
    shared = group[0].shared
    if shared is not None:
        data = shared.part(start, end)
        return Piece(start, data, encrypted=is_encrypted, inputs=inputs, shared=shared)
    filled = bytearray(ERASED * (end - start))
    for piece in group:
        filled[piece.offset - start : piece.end - start] = piece.data
    return Piece(start, bytes(filled), encrypted=is_encrypted, inputs=inputs)


def divided(piece: Piece, unit: int) -> Iterator[Piece]:
    """Yield the parts of ``piece`` between multiples of ``unit``."""
    start = piece.offset
    while start < piece.end:
        end = min(start - start % unit + unit, piece.end)
        yield piece.part(start, end)
        start = end


def _round_down(offset: int) -> int:
    return offset - offset % SECTOR_SIZE


def _round_up(offset: int, unit: int = SECTOR_SIZE) -> int:
    return -(-offset // unit) * unit
