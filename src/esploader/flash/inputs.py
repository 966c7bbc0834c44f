"""From what the caller hands over to what goes into the flash."""

from __future__ import annotations

import logging
import operator
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from esploader.classes import frozen
from esploader.errors import PlanError
from esploader.flash.contents import is_known_as_packed, read_contents
from esploader.flash.parameters import KEEP, KEEP_PARAMETERS, FlashParameters
from esploader.flash.place import Offset, Place, offset_of
from esploader.flash.plan import HeaderChange, InputPart, Piece
from esploader.flash.source import (
    MAX_SOURCE_SIZE,
    Source,
    check_total,
    is_lasting,
    open_source,
)
from esploader.image import patch
from esploader.image.foreign import foreign_kind
from esploader.image.header import FLASH_PARAMETERS
from esploader.image.suitability import Suitability, Verdict, check_image, family_problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esploader.chips.model.chip import Chip
    from esploader.chips.model.revision import Revision
    from esploader.chips.reading.security_state import SecurityState

_log: Final = logging.getLogger(__name__)


_WhereT = TypeVar("_WhereT")

_MADE_FOR_OTHERS: Final = {Suitability.WRONG_CHIP, Suitability.WRONG_REVISION}
_UNSUITABLE: Final = {*_MADE_FOR_OTHERS, Suitability.INVALID}


def read_pieces(
    inputs: Iterable[tuple[Offset, Source]], encrypted_inputs: Iterable[tuple[Offset, Source]] = ()
) -> list[Piece]:
    """Return what is to be written; an input without bytes is left out, with a warning.

    Nothing is read of inputs that no flash has room for. Whether what goes to a place stays there
    is not seen to: :func:`~esploader.flash.plan.check_places`.

    Raises:
        PlanError: an offset is no whole number, a source cannot be read, or all together are
            too large.
    """
    pairs, encrypted_pairs = _pairs(inputs), _pairs(encrypted_inputs)
    _check_total((*pairs, *encrypted_pairs))
    room = MAX_SOURCE_SIZE
    pieces: list[Piece] = []
    for offset, source in pairs:
        pieces += _pieces(offset, source, room, encrypted=False)
        room = MAX_SOURCE_SIZE - sum(len(piece.data) for piece in pieces)
    for offset, source in encrypted_pairs:
        pieces += _pieces(offset, source, room, encrypted=True)
        room = MAX_SOURCE_SIZE - sum(len(piece.data) for piece in pieces)
    return pieces


def settle_inputs(inputs: Iterable[tuple[_WhereT, Source]]) -> list[tuple[_WhereT, Source]]:
    """Return inputs that can be read at any time: others are read now, and waited for.

    For whoever is to open a port afterwards, and not to keep it from others meanwhile. Where they
    go may be said by anything.

    Raises:
        PlanError: as :func:`read_pieces`.
    """
    pairs = [*inputs]
    _check_total(pairs)
    settled: list[tuple[_WhereT, Source]] = []
    for where, source in pairs:
        if is_lasting(source):
            with open_source(source):
                settled.append((where, source))
        else:
            settled.append((where, read_contents(source, MAX_SOURCE_SIZE)))
    return settled


def _pieces(where: Offset, source: Source, room: int, *, encrypted: bool) -> list[Piece]:
    offset = offset_of(where)
    contents = read_contents(source, room)
    found = [
        Piece(
            offset + start,
            data,
            encrypted=encrypted,
            family=contents.family,
            inputs=(InputPart(name=contents.name, offset=offset + start, size=len(data)),),
            place=where if isinstance(where, Place) else None,
        )
        for start, data in contents.parts
        if data
    ]
    if not found:
        _log.warning("there is nothing to write at %#x: the input is empty", offset)
    return found


def _pairs(inputs: Iterable[tuple[Offset, Source]]) -> list[tuple[Offset, Source]]:
    """Return the inputs, seen to be what their types promise: many a caller has no types."""
    try:
        return [
            (where if isinstance(where, Place) else operator.index(where), source)
            for where, source in inputs
        ]
    except (TypeError, ValueError) as exc:
        raise PlanError(
            "inputs are pairs of an offset, a whole number or a place in a partition, and what "
            f"goes there: {exc}"
        ) from exc


def _check_total(pairs: Iterable[tuple[object, Source]]) -> None:
    # Of an Intel HEX file the size tells little; it is read up to what there is room for.
    check_total(source for _, source in pairs if not is_known_as_packed(source))


@frozen(kw_only=True)
class Parametrised:
    """Pieces with the flash parameters in the header of the bootloader."""

    pieces: tuple[Piece, ...]
    header: HeaderChange | None
    """Which ones are in the header; ``None`` where there is none, or it stays as it is."""
    remark: str | None
    """What could not be done, and why."""

    def warn(self) -> None:
        """Say what could not be done."""
        if self.remark is not None:
            _log.warning("%s", self.remark)


def put_parameters(
    pieces: Iterable[Piece], chip: Chip, parameters: FlashParameters
) -> Parametrised:
    """Return ``pieces`` with the flash parameters in the header of the bootloader.

    The bootloader is what is at its offset, alone or within a larger piece.

    Raises:
        UnsupportedError: the chip does not know one of the parameters.
    """
    offset = chip.bootloader_offset
    if parameters == KEEP_PARAMETERS:
        return Parametrised(pieces=tuple(pieces), header=None, remark=None)
    results: list[Piece] = []
    header: HeaderChange | None = None
    remark: str | None = None
    for piece in pieces:
        inside = offset - piece.offset
        if not 0 <= inside < len(piece.data):
            results.append(piece)
            continue
        found = patch.patch_header(
            memoryview(piece.data)[inside:],
            chip,
            mode=_named(parameters.mode),
            frequency=_named(parameters.frequency),
            size=_named(parameters.size),
        )
        if found.reason is not None:
            what = "the digest was not renewed" if found.changed else "they were not changed"
            remark = f"the flash parameters at {offset:#x}: {what}: {found.reason}"
        if found.changed or found.reason is None:
            header = HeaderChange(
                offset=offset,
                mode=_named(parameters.mode),
                frequency=_named(parameters.frequency),
                size=_named(parameters.size),
                word=int.from_bytes(found.data[FLASH_PARAMETERS], "big"),
                is_new=found.changed,
                digest_renewed=found.digest_updated,
            )
        if not found.changed:
            results.append(piece)
            continue
        data = b"".join((piece.data[:inside], found.data))
        results.append(attrs.evolve(piece, data=data, shared=None))
    return Parametrised(pieces=tuple(results), header=header, remark=remark)


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


def check_families(pieces: Iterable[Piece], chip: Chip) -> None:
    """Refuse what comes from a UF2 file for other chips.

    Raises:
        PlanError: it does.
    """
    for piece in pieces:
        problem = family_problem(piece.family, chip)
        if problem is not None:
            part = piece.inputs[0]
            name = f"what goes to {part.offset:#x}" if part.name is None else part.name
            raise PlanError(f"{name} is a UF2 file, and {problem}")


def check_suitability(
    pieces: Iterable[Piece], chip: Chip, revision: Revision | None, security: SecurityState
) -> str | None:
    """Refuse a bootloader that cannot run on this device; remark on other images.

    The bootloader is what is at its offset, alone or within a larger piece. Returns what is
    there in place of one, where that can be told.

    Raises:
        PlanError: it is for another chip or revision, or it is damaged; or what goes to a
            partition for an app is.
    """
    kind: str | None = None
    for piece in pieces:
        inside = chip.bootloader_offset - piece.offset
        is_encrypted_already = security.flash_encryption and not piece.encrypted
        if 0 <= inside < len(piece.data):
            bootloader = piece.part(chip.bootloader_offset, piece.end)
            kind = _check_bootloader(bootloader, chip, revision, opaque=is_encrypted_already)
            continue
        verdict = piece.once(check_image, chip, revision)
        place = piece.place
        if place is not None and place.is_app and not is_encrypted_already:
            # What goes further on is a part of something.
            if piece.offset == place.start:
                _check_app(place, verdict)
        elif verdict.suitability in _MADE_FOR_OTHERS:
            _log.warning("the image for %#x cannot run here: %s", piece.offset, verdict.reason)
    return kind


def _check_app(place: Place, verdict: Verdict) -> None:
    """Refuse an image that the partition it goes to is not for; remark on what is none.

    Raises:
        PlanError: it is for another chip or revision, or it is damaged.
    """
    if verdict.suitability in _UNSUITABLE:
        raise PlanError(f"the app for {place.name} cannot run here: {verdict.reason}")
    if verdict.suitability is Suitability.NO_IMAGE:
        _log.warning("what goes to %s, which is for apps, is none: %s", place.name, verdict.reason)


def _check_bootloader(
    piece: Piece, chip: Chip, revision: Revision | None, *, opaque: bool
) -> str | None:
    """Judge what goes to the offset of the bootloader; return what it is in place of one.

    An ``opaque`` piece goes there as it is, and the device decrypts it: what it begins with
    means nothing, unless all of it is right.
    """
    offset = chip.bootloader_offset
    verdict = piece.once(check_image, chip, revision)
    if opaque:
        if verdict.suitability is Suitability.SUITABLE:
            _log.warning(
                "the image for %#x is not encrypted, and flash encryption is on: the device "
                "would decrypt it, and not boot",
                offset,
            )
    elif verdict.suitability in _UNSUITABLE:
        raise PlanError(f"the image for {offset:#x} cannot run here: {verdict.reason}")
    elif verdict.suitability is Suitability.NO_IMAGE:
        return foreign_kind(piece.data)
    return None
