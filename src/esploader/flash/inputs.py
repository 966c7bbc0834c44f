"""From what the caller hands over to what goes into the flash."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

import attrs

from esploader.errors import PlanError
from esploader.flash.plan import Piece
from esploader.image import hexfile, patch
from esploader.image.suitability import Suitability, check_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from esploader.chips.identity import Revision
    from esploader.chips.model import Chip

_log: Final = logging.getLogger(__name__)

Source: TypeAlias = "bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO"
"""Bytes, the path of a file, or an open binary file, which is read to its end.

Of what is to be written or compared, a path that ends in ``.hex`` or ``.ihex`` names an Intel
HEX file: its bytes belong to the addresses in it, counted from the offset that is given.
"""

MAX_SOURCE_SIZE: Final = 256 * 1024 * 1024
"""No flash is larger, in bytes: a device file must not be read for ever."""

_MADE_FOR_OTHERS: Final = {Suitability.WRONG_CHIP, Suitability.WRONG_REVISION}
_UNSUITABLE_BOOTLOADERS: Final = {*_MADE_FOR_OTHERS, Suitability.INVALID}

KEEP: Final = "keep"
"""What leaves a flash parameter of an image as it is."""


@attrs.frozen(kw_only=True)
class FlashParameters:
    """What to put into the header of the bootloader; :data:`KEEP` for what it has."""

    mode: str = KEEP
    frequency: str = KEEP
    size: str = KEEP


def read_source(source: Source) -> bytes:
    """Return the bytes of ``source``.

    Raises:
        PlanError: it cannot be read, or is too large.
    """
    try:
        if isinstance(source, str | os.PathLike):
            with Path(source).open("rb") as file:
                data = file.read(MAX_SOURCE_SIZE + 1)
        elif isinstance(source, bytes | bytearray | memoryview):
            data = bytes(source)
        else:
            data = source.read(MAX_SOURCE_SIZE + 1)
    except OSError as exc:
        raise PlanError(f"an input cannot be read: {exc}") from exc
    if len(data) > MAX_SOURCE_SIZE:
        raise PlanError(f"an input has more than {MAX_SOURCE_SIZE} bytes")
    return data


def read_pieces(inputs: Iterable[tuple[int, Source]], *, encrypted: bool = False) -> list[Piece]:
    """Return what is to be written; an input without bytes is left out, with a warning.

    Raises:
        PlanError: a source cannot be read.
    """
    pieces: list[Piece] = []
    for offset, source in inputs:
        found = [
            Piece(offset + start, data, encrypted=encrypted)
            for start, data in _contents(source)
            if data
        ]
        pieces += found
        if not found:
            _log.warning("there is nothing to write at %#x: the input is empty", offset)
    return pieces


def _contents(source: Source) -> Iterator[tuple[int, bytes]]:
    """Yield the bytes of ``source``, and how far behind its offset they belong."""
    data = read_source(source)
    if isinstance(source, str | os.PathLike) and Path(source).suffix.lower() in hexfile.SUFFIXES:
        for segment in hexfile.read_segments(data):
            yield segment.address, segment.data
    else:
        yield 0, data


def patched(piece: Piece, chip: Chip, parameters: FlashParameters) -> Piece:
    """Return ``piece`` with the flash parameters in its header, if it is the bootloader.

    Raises:
        UnsupportedError: the chip does not know one of the parameters.
    """
    if piece.offset != chip.bootloader_offset or parameters == FlashParameters():
        return piece
    result = patch.patch_header(
        piece.data,
        chip,
        mode=_named(parameters.mode),
        frequency=_named(parameters.frequency),
        size=_named(parameters.size),
    )
    if result.reason is not None:
        _log.warning("the flash parameters were not changed: %s", result.reason)
    return attrs.evolve(piece, data=result.data)


def check_parameters(parameters: FlashParameters, chip: Chip) -> None:
    """Refuse parameters that ``chip`` does not know, whether or not they will be used.

    Raises:
        UnsupportedError: it does not know one of them.
    """
    patch.check_parameters(
        chip,
        mode=_named(parameters.mode),
        frequency=_named(parameters.frequency),
        size=_named(parameters.size),
    )


def _named(value: str) -> str | None:
    return None if value == KEEP else value


def check_suitability(pieces: Iterable[Piece], chip: Chip, revision: Revision | None) -> None:
    """Refuse a bootloader that cannot run on this device; remark on other images.

    The bootloader is what is at its offset, alone or within a larger piece.

    Raises:
        PlanError: it is for another chip or revision, or it is damaged.
    """
    for piece in pieces:
        inside = chip.bootloader_offset - piece.offset
        if 0 <= inside < len(piece.data):
            verdict = check_image(piece.data[inside:], chip, revision)
            if verdict.suitability in _UNSUITABLE_BOOTLOADERS:
                raise PlanError(
                    f"the image for {chip.bootloader_offset:#x} cannot run here: {verdict.reason}"
                )
        else:
            verdict = check_image(piece.data, chip, revision)
            if verdict.suitability in _MADE_FOR_OTHERS:
                _log.warning("the image for %#x cannot run here: %s", piece.offset, verdict.reason)
