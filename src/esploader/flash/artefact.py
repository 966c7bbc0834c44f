"""What is to be written, as its inputs have it; for many devices it is read once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeAlias

import attrs

from esploader.classes import frozen, override
from esploader.flash.inputs import read_pieces
from esploader.flash.programs import with_images

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esploader.chips.model.chip import Chip
    from esploader.flash.place import Offset
    from esploader.flash.plan import Piece
    from esploader.flash.source import Source


@frozen(kw_only=True)
class ArtefactPart:
    """One of the inputs of an artefact, or one of the parts of an Intel HEX or UF2 file."""

    name: str | None
    """The path that it was read from; ``None`` for bytes and open files."""
    offset: int = attrs.field(repr=hex)
    """Where it goes."""
    size: int
    """Bytes of it."""
    sha256: str
    """The SHA-256 of these bytes, in hexadecimal."""
    encrypted: bool = False
    """The device encrypts it as it writes it."""


@frozen(eq=False)
class Artefact:
    """What is to be written to many devices: its inputs, read once.

    It is made before any device is there, and given to :meth:`DeviceFlash.write
    <esploader.device.flash.DeviceFlash.write>` of as many as are to have it, by as many threads
    at once. It never changes.
    """

    _pieces: tuple[Piece, ...]

    @classmethod
    def read(
        cls,
        inputs: Iterable[tuple[Offset, Source]] = (),
        *,
        encrypted_inputs: Iterable[tuple[Offset, Source]] = (),
    ) -> Artefact:
        """Return what ``inputs`` hold: offsets, or places in partitions, and what goes there.

        The device encrypts ``encrypted_inputs`` as it writes them. An input without bytes is
        left out, with a warning.

        Raises:
            PlanError: an input cannot be read, or they are too large.
        """
        return cls(tuple(read_pieces(inputs, encrypted_inputs)))

    def with_inputs(
        self,
        inputs: Iterable[tuple[Offset, Source]] = (),
        *,
        encrypted_inputs: Iterable[tuple[Offset, Source]] = (),
    ) -> Artefact:
        """Return this and what one device gets besides. All else they share.

        Raises:
            PlanError: as :meth:`read`.
        """
        return Artefact((*self._pieces, *read_pieces(inputs, encrypted_inputs)))

    @property
    def size(self) -> int:
        """Bytes of all inputs."""
        return sum(len(piece.data) for piece in self._pieces)

    @property
    def inputs(self) -> tuple[ArtefactPart, ...]:
        """What it was made of, with the hashes, in the order it was given."""
        return tuple(map(_part, self._pieces))

    @override
    def __repr__(self) -> str:
        return f"<Artefact: {self.size} bytes of {len(self._pieces)} inputs>"

    def made_for(self, chip: Chip) -> tuple[Piece, ...]:
        """Return what goes where, with images for ``chip`` in place of the ELF files of programs.

        Raises:
            ElfError: no image for the chip can be made of one.
            UnsupportedError: too little is known of the chip.
        """
        return tuple(with_images(self._pieces, chip))


Inputs: TypeAlias = "Artefact | Iterable[tuple[Offset, Source]]"
"""What is to be written or compared: offsets, or places in partitions, and what goes there; or
what was read of these before."""


def artefact_of(inputs: Inputs, encrypted_inputs: Iterable[tuple[Offset, Source]] = ()) -> Artefact:
    """Return ``inputs`` as they are, if they have been read, and else read.

    Raises:
        PlanError: as :meth:`Artefact.read`.
    """
    if isinstance(inputs, Artefact):
        return inputs.with_inputs(encrypted_inputs=encrypted_inputs)
    return Artefact.read(inputs, encrypted_inputs=encrypted_inputs)


def _part(piece: Piece) -> ArtefactPart:
    (part,) = piece.inputs
    return ArtefactPart(
        name=part.name,
        offset=part.offset,
        size=part.size,
        sha256=hashlib.sha256(piece.data).hexdigest(),
        encrypted=piece.encrypted,
    )
