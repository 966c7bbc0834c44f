"""What a loader does with the memory of its device: run a program there, and read it.

Sources: Espressif, "Serial Protocol" (esptool documentation), MEM_BEGIN to MEM_END and
READ_REG; memory maps: the chips.
"""

from __future__ import annotations

import itertools
import struct
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.bits import ADDRESS_SPACE_SIZE
from esploader.errors import CommandFailedError, NoResponseError, PlanError, ProtocolError
from esploader.image.firmware import parse_image
from esploader.image.suitability import Suitability, check_image
from esploader.loader.stub import MemorySegment, reason_against_place, upload
from esploader.progress import Phase, Progress, ProgressCallback, ignore_progress
from esploader.protocol import dialect
from esploader.protocol.commands import SYNC_VALUE_OF_STUB, ReadReg, RegisterWrite, WriteReg
from esploader.protocol.download_commands import MemEnd
from esploader.protocol.refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from esploader.chips.model.chip import Chip, Region
    from esploader.chips.model.revision import Revision
    from esploader.session.session import Session

_START_ATTEMPTS: Final = 3
_WRITE_ATTEMPTS: Final = 3

_WORD: Final = struct.Struct("<I")

STEP_SIZE: Final = 0x400
"""Bytes of memory between two progress events, a multiple of four."""


@attrs.frozen
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
        raise PlanError(f"the program cannot run here: {verdict.reason}")
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


def _region_of(address: int, chip: Chip) -> Region | None:
    return next((region for region in chip.memory if region.start <= address < region.end), None)


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
            session.start_stream(MemEnd(entry=program.entry))
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


def read_memory(
    session: Session,
    chip: Chip,
    address: int,
    size: int,
    on_progress: ProgressCallback = ignore_progress,
) -> bytes:
    """Return ``size`` bytes of the address space from ``address`` on.

    They are read in words. RAM and ROM are read until two readings agree, because nothing
    protects READ_REG on the line, and noise can make it one that the loader refuses; a word
    that changes all the time, as where the loader has its stack, is given as last read.
    Everything else is read once only: reading a register of a peripheral may change it. The
    device is never reset to get through to it, for its memory would not outlast that.

    Raises:
        PlanError: the address space has no such region.
        EsploaderError: as :meth:`Session.execute`.
    """
    if address < 0 or size <= 0 or address + size > ADDRESS_SPACE_SIZE:
        raise PlanError(f"{size} bytes at {address} are no region of the address space")
    first = address - address % _WORD.size
    end = address + size
    data = bytearray()
    for start in range(first, end, STEP_SIZE):
        addresses = range(start, min(start + STEP_SIZE, end), _WORD.size)
        data += b"".join(map(_WORD.pack, _read_words(session, chip, addresses)))
        done = min(first + len(data), end) - address
        on_progress(
            Progress(phase=Phase.READ, offset=address, done=done, total=size, wire_bytes=len(data))
        )
    return bytes(data[address - first :][:size])


def _read_words(session: Session, chip: Chip, addresses: Iterable[int]) -> list[int]:
    commands = [ReadReg(address) for address in addresses]
    known: list[int] = []
    for is_memory, run in itertools.groupby(
        commands, lambda command: _region_of(command.address, chip) is not None
    ):
        words = list(run)
        if is_memory:
            known += map(_known, session.attempt_confirmed(words, may_change=True))
        else:
            known += _read_registers(session, words)
    return known


def _read_registers(session: Session, commands: Sequence[ReadReg]) -> list[int]:
    """Read registers once each; what was refused was not read, and is asked for once more."""
    outcomes = session.attempt_all(commands)
    return [
        session.execute(command) if isinstance(outcome, CommandFailedError) else outcome
        for command, outcome in zip(commands, outcomes, strict=True)
    ]


def _known(word: int | CommandFailedError) -> int:
    if isinstance(word, CommandFailedError):
        raise word
    return word


def read_word(session: Session, address: int) -> int:
    """Return the word at ``address``, which came twice; one that never does as last read.

    Raises:
        EsploaderError: as :meth:`Session.execute`.
    """
    return _known(*session.attempt_confirmed([ReadReg(address)], may_change=True))


def write_word(session: Session, chip: Chip, address: int, value: int, mask: int) -> None:
    """Replace the bits under ``mask`` of the word at ``address``.

    In RAM it is read back, and written until it is there: nothing protects WRITE_REG on the
    line. A register of a peripheral may hold something else than was written to it, and is
    written once.

    Raises:
        ProtocolError: it never holds what was written.
        EsploaderError: as :meth:`Session.execute`.
    """
    region = _region_of(address, chip)
    if region is None or not region.takes_programs:
        session.execute(WriteReg((RegisterWrite(address, value, mask),)))
        return
    expected = read_word(session, address) & ~mask | value & mask
    for _ in range(_WRITE_ATTEMPTS):
        session.execute(WriteReg((RegisterWrite(address, expected),)))
        if read_word(session, address) == expected:
            return
        session.resynchronise()
    raise ProtocolError(f"the word at {address:#x} does not become {expected:#x}")
