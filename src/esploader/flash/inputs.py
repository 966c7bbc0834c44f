"""From what the caller hands over to what goes into the flash."""

from __future__ import annotations

import logging
import operator
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

import attrs

from esploader.errors import PlanError
from esploader.flash.plan import HeaderChange, Piece
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
        PlanError: it cannot be read, is too large, or is nothing that has bytes.
    """
    try:
        if isinstance(source, str | os.PathLike):
            with Path(source).open("rb") as file:
                data = file.read(MAX_SOURCE_SIZE + 1)
        elif isinstance(source, bytes | bytearray | memoryview):
            data = bytes(source)
        elif hasattr(source, "read"):
            data = _read_to_the_end(source)
        else:
            raise PlanError(f"an input is bytes, a path or a binary file, and not {source!r}")
    # A file that is closed, or a path with a zero byte in it, is a ValueError.
    except (OSError, ValueError) as exc:
        raise PlanError(f"an input cannot be read: {exc}") from exc
    if len(data) > MAX_SOURCE_SIZE:
        raise PlanError(f"an input has more than {MAX_SOURCE_SIZE} bytes")
    return data


def _read_to_the_end(file: BinaryIO) -> bytes:
    """Return all that a file has, which without a buffer gives only what is there at once."""
    data = bytearray()
    while len(data) <= MAX_SOURCE_SIZE:
        # A file that does not wait gives None when it has nothing yet; others give texts.
        part: object = file.read(MAX_SOURCE_SIZE + 1 - len(data))
        if not isinstance(part, bytes):
            raise PlanError(f"an input cannot be read: {file!r} is no binary file that waits")
        if not part:
            break
        data += part
    return bytes(data)


def read_pieces(inputs: Iterable[tuple[int, Source]], *, encrypted: bool = False) -> list[Piece]:
    """Return what is to be written; an input without bytes is left out, with a warning.

    Raises:
        PlanError: an offset is no whole number, or a source cannot be read.
    """
    pieces: list[Piece] = []
    for offset, source in _pairs(inputs):
        found = [
            Piece(offset + start, data, encrypted=encrypted)
            for start, data in _contents(source)
            if data
        ]
        pieces += found
        if not found:
            _log.warning("there is nothing to write at %#x: the input is empty", offset)
    return pieces


def _pairs(inputs: Iterable[tuple[int, Source]]) -> list[tuple[int, Source]]:
    """Return the inputs, seen to be what their types promise: many a caller has no types."""
    try:
        return [(operator.index(offset), source) for offset, source in inputs]
    except (TypeError, ValueError) as exc:
        raise PlanError(
            f"inputs are pairs of an offset, a whole number, and what goes there: {exc}"
        ) from exc


def _contents(source: Source) -> Iterator[tuple[int, bytes]]:
    """Yield the bytes of ``source``, and how far behind its offset they belong."""
    data = read_source(source)
    if isinstance(source, str | os.PathLike) and Path(source).suffix.lower() in hexfile.SUFFIXES:
        for segment in hexfile.read_segments(data):
            yield segment.address, segment.data
    else:
        yield 0, data


def put_parameters(
    pieces: Iterable[Piece], chip: Chip, parameters: FlashParameters
) -> tuple[list[Piece], HeaderChange | None]:
    """Return ``pieces`` with the flash parameters in the header of the bootloader, and which.

    The bootloader is what is at its offset, alone or within a larger piece.

    Raises:
        UnsupportedError: the chip does not know one of the parameters.
    """
    header = HeaderChange(
        offset=chip.bootloader_offset,
        mode=_named(parameters.mode),
        frequency=_named(parameters.frequency),
        size=_named(parameters.size),
    )
    results: list[Piece] = []
    is_told = False
    for piece in pieces:
        inside = chip.bootloader_offset - piece.offset
        if parameters == FlashParameters() or not 0 <= inside < len(piece.data):
            results.append(piece)
            continue
        found = patch.patch_header(
            piece.data[inside:],
            chip,
            mode=header.mode,
            frequency=header.frequency,
            size=header.size,
        )
        if found.reason is not None:
            what = "the digest was not renewed" if found.changed else "they were not changed"
            _log.warning("the flash parameters at %#x: %s: %s", header.offset, what, found.reason)
        is_told = found.changed or found.reason is None
        data = piece.data[:inside] + found.data if found.changed else piece.data
        results.append(attrs.evolve(piece, data=data))
    return results, header if is_told else None


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
