"""Running a program in the RAM of a device.

Sources: Espressif, "Serial Protocol" (esptool documentation), MEM_BEGIN to MEM_END; memory
maps: the chips.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import frozen
from esploader.errors import CommandFailedError, NoResponseError, PlanError, ProtocolError
from esploader.image.firmware import parse_image
from esploader.image.foreign import foreign_kind
from esploader.image.suitability import Suitability, check_image
from esploader.loader.stub import MemorySegment, reason_against_place, upload
from esploader.protocol import dialect
from esploader.protocol.commands import SYNC_VALUE_OF_STUB
from esploader.protocol.download_commands import MemEnd
from esploader.protocol.refusals import Refusals
from esploader.session.streams import start_stream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esploader.chips.model.chip import Chip
    from esploader.chips.model.revision import Revision
    from esploader.session.session import Session

_START_ATTEMPTS: Final = 3


@frozen
class Program:
    """What is to be put into RAM, and where it starts."""

    segments: tuple[MemorySegment, ...]
    entry: int = attrs.field(repr=hex)


def plan_program(
    image: bytes, chip: Chip, revision: Revision | None, occupied: Iterable[MemorySegment]
) -> Program:
    """Return the program in the firmware image ``image``.

    ``occupied`` is where the loader that runs was put itself. Where a ROM loader keeps its
    own data is not published; nobody looks after that.

    Raises:
        PlanError: the image is damaged, not for this chip and revision, or cannot run from
            RAM as it is.
    """
    verdict = check_image(image, chip, revision)
    if verdict.suitability is not Suitability.SUITABLE:
        kind = foreign_kind(image)
        reason = verdict.reason if kind is None else f"it is no image but {kind}"
        raise PlanError(f"the program cannot run here: {reason}")
    layout = parse_image(image, chip)
    segments = tuple(
        MemorySegment(segment.address, image[segment.offset : segment.end])
        for segment in layout.segments
        # At address 0 there is padding.
        if segment.address and segment.size
    )
    for segment in segments:
        _check_place(segment, chip, occupied)
    entry = layout.header.entry
    if not any(segment.address <= entry < segment.end for segment in segments):
        raise PlanError(f"the program starts at {entry:#x}, where it has nothing")
    return Program(segments, entry)


def _check_place(segment: MemorySegment, chip: Chip, occupied: Iterable[MemorySegment]) -> None:
    place = f"{len(segment.data):#x} bytes of the program belong to {segment.address:#x}"
    reason = reason_against_place(segment, chip)
    if reason is not None:
        raise PlanError(f"{place}: {reason}")
    if any(segment.overlaps(other.address, other.end) for other in occupied):
        raise PlanError(f"{place}: there is the stub; reset the device, and use --no-stub")


def start_program(session: Session, program: Program) -> None:
    """Put ``program`` into RAM and start it. Afterwards nothing answers but that program.

    Some ROM loaders jump before their last response has left. So a loader that says
    nothing is asked by SYNC whether it is still there: the program may see these bytes.

    Raises:
        CommandFailedError: the loader refused.
        NoResponseError: the loader stays, whatever it is told.
        TransportError: the port failed.
    """
    for segment in program.segments:
        upload(session, segment)
    refusals = Refusals()
    for attempts_left in reversed(range(_START_ATTEMPTS)):
        try:
            start_stream(session, MemEnd(entry=program.entry))
        except CommandFailedError as exc:
            if not attempts_left or refusals.is_final(exc):
                raise
        except (NoResponseError, ProtocolError):
            if not _is_listening(session):
                return
            if not attempts_left:
                raise
        else:
            return


def _is_listening(session: Session) -> bool:
    try:
        value = session.resynchronise()
    except (NoResponseError, ProtocolError):
        return False
    # What was started may be a loader itself.
    return session.dialect is dialect.STUB or value != SYNC_VALUE_OF_STUB
