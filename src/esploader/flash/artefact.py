"""What is to be written, as its inputs have it; for many devices it is read and prepared once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from esploader.classes import define, frozen, override
from esploader.flash.inputs import Parametrised, put_parameters, read_pieces
from esploader.flash.once import Once
from esploader.flash.plan import InputPart, share
from esploader.flash.programs import is_to_become_image, warn_of_programs, with_images

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esploader.chips.model.chip import Chip
    from esploader.flash.parameters import FlashParameters
    from esploader.flash.place import Offset
    from esploader.flash.plan import Piece
    from esploader.flash.source import Source

_MOST_VARIANTS: Final = 16
"""For how many kinds of chips, and with how many flash parameters, one artefact is kept."""


@frozen(kw_only=True)
class ArtefactPart(InputPart):
    """One of the inputs of an artefact, with what a record of it needs."""

    sha256: str
    """The SHA-256 of its bytes, in hexadecimal."""
    encrypted: bool
    """The device encrypts it as it writes it."""


@define(eq=False)
class _Common:
    """What many devices get."""

    pieces: tuple[Piece, ...]
    """As they were read, in the order of the inputs."""
    _once: Once = attrs.field(factory=lambda: Once(_MOST_VARIANTS), init=False)

    def parts(self) -> tuple[ArtefactPart, ...]:
        """Return what they are, with their hashes."""
        return self._once.get("parts", lambda: tuple(map(_part, self.pieces)))

    def made_for(self, chip: Chip) -> tuple[Piece, ...]:
        """Return what goes where on ``chip``, the same for all devices."""
        if not any(map(is_to_become_image, self.pieces)):
            return self.pieces
        return self._once.get(chip, lambda: share(with_images(self.pieces, chip)))

    def with_parameters(self, chip: Chip, parameters: FlashParameters) -> Parametrised:
        """Return that with flash parameters, the same for all devices."""

        def put() -> Parametrised:
            found = put_parameters(self.made_for(chip), chip, parameters)
            return attrs.evolve(found, pieces=share(found.pieces))

        return self._once.get((chip, parameters), put)


@frozen(eq=False)
class Artefact:
    """What is to be written to many devices: its inputs, read once.

    It is made before any device is there, and given to :meth:`DeviceFlash.write
    <esploader.device.flash.DeviceFlash.write>` of as many as are to have it, by as many threads
    at once. It never changes; what is made of it on the way, such as compressed blocks, all of
    them share.
    """

    _common: _Common
    _own: tuple[Piece, ...] = ()
    """What one device gets besides."""

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
            PlanError: an input cannot be read, they are too large, or cannot be written together.
        """
        pieces = tuple(read_pieces(inputs, encrypted_inputs))
        # How much room an image takes is known when it is made.
        if not any(map(is_to_become_image, pieces)):
            pieces = share(pieces)
        return cls(_Common(pieces))

    def with_inputs(
        self,
        inputs: Iterable[tuple[Offset, Source]] = (),
        *,
        encrypted_inputs: Iterable[tuple[Offset, Source]] = (),
    ) -> Artefact:
        """Return this and what one device gets besides. All else they share.

        Raises:
            PlanError: an input cannot be read, or they are too large.
        """
        return attrs.evolve(self, own=(*self._own, *read_pieces(inputs, encrypted_inputs)))

    @property
    def size(self) -> int:
        """Bytes of all inputs."""
        return sum(len(piece.data) for piece in (*self._common.pieces, *self._own))

    @property
    def inputs(self) -> tuple[ArtefactPart, ...]:
        """What it was made of, with the hashes, in the order in which it was given.

        Each part of an Intel HEX or UF2 file is one.
        """
        return (*self._common.parts(), *map(_part, self._own))

    @override
    def __repr__(self) -> str:
        return f"<Artefact: {self.size} bytes>"

    def made_for(self, chip: Chip) -> tuple[Piece, ...]:
        """Return what goes where, with images for ``chip`` in place of the ELF files of programs.

        Raises:
            ElfError: no image for the chip can be made of one.
            PlanError: what many devices get cannot be written together.
            UnsupportedError: too little is known of the chip.
        """
        warn_of_programs((*self._common.pieces, *self._own))
        return (*self._common.made_for(chip), *with_images(self._own, chip))

    def with_parameters(
        self, pieces: Iterable[Piece], chip: Chip, parameters: FlashParameters
    ) -> Parametrised:
        """Return ``pieces``, which were made for ``chip``, with flash parameters in the header.

        Raises:
            UnsupportedError: the chip does not know one of the parameters.
        """
        common = self._common.with_parameters(chip, parameters)
        own = put_parameters([each for each in pieces if not each.shared], chip, parameters)
        for found in (common, own):
            found.warn()
        return Parametrised(
            pieces=(*common.pieces, *own.pieces),
            header=common.header or own.header,
            remark=common.remark or own.remark,
        )


Inputs: TypeAlias = "Artefact | Iterable[tuple[Offset, Source]]"
"""What is to be written or compared: offsets, or places in partitions, and what goes there; or
what was read of these before."""


def artefact_of(inputs: Inputs, encrypted_inputs: Iterable[tuple[Offset, Source]] = ()) -> Artefact:
    """Return ``inputs`` if they have been read, or read them for one device.

    Raises:
        PlanError: an input cannot be read, or they are too large.
    """
    artefact = inputs if isinstance(inputs, Artefact) else Artefact(_Common(())).with_inputs(inputs)
    return artefact.with_inputs(encrypted_inputs=encrypted_inputs)


def _part(piece: Piece) -> ArtefactPart:
    (part,) = piece.inputs
    return ArtefactPart(
        name=part.name,
        offset=part.offset,
        size=part.size,
        sha256=hashlib.sha256(piece.data).hexdigest(),
        encrypted=piece.encrypted,
    )
