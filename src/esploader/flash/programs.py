"""Programs as the linker left them: what is written is the image made of each."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.image.build import build_image
from esploader.image.elf import is_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from esploader.chips.model.chip import Chip
    from esploader.flash.plan import Piece

_log: Final = logging.getLogger(__name__)


def with_images(pieces: Iterable[Piece], chip: Chip) -> list[Piece]:
    """Return ``pieces`` with images for ``chip`` in place of the ELF files of programs.

    That is done for files; what was given as bytes is written as it is.

    Raises:
        ElfError: no image for the chip can be made of one.
        UnsupportedError: too little is known of the chip.
    """
    return [found for piece in pieces for found in _images(piece, chip)]


def is_to_become_image(piece: Piece) -> bool:
    """Tell whether ``piece`` is the file of a program, in place of which an image is written."""
    return is_program(piece.data) and any(part.name is not None for part in piece.inputs)


def warn_of_programs(pieces: Iterable[Piece]) -> None:
    """Say which of ``pieces`` are programs, and written as they are nevertheless."""
    for piece in pieces:
        if is_program(piece.data) and not is_to_become_image(piece):
            _log.warning("what goes to %#x is an ELF file, and is written as it is", piece.offset)


def _images(piece: Piece, chip: Chip) -> Iterator[Piece]:
    if not is_to_become_image(piece):
        yield piece
    else:
        built = build_image(bytes(piece.data), chip)
        yield _moved(piece, piece.offset, built.data)
        if built.mapped is not None:
            yield _moved(piece, *built.mapped)


def _moved(piece: Piece, offset: int, data: bytes) -> Piece:
    """Return a piece with other bytes, which are of the same input."""
    inputs = tuple(attrs.evolve(part, offset=offset, size=len(data)) for part in piece.inputs)
    return attrs.evolve(piece, offset=offset, data=data, inputs=inputs)
