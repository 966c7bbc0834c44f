"""The memory of a device: read it, write words of it, run a program there.

Sources: Espressif, "Serial Protocol" (esptool documentation), READ_REG and WRITE_REG; memory
maps: the chips.
"""

from __future__ import annotations

import itertools
import struct
from typing import TYPE_CHECKING, Final

from esploader.chips.model.bits import ADDRESS_SPACE_SIZE
from esploader.classes import define
from esploader.device.program import plan_program, start_program
from esploader.errors import CommandFailedError, PlanError, ProtocolError, UnsupportedError
from esploader.flash.progress import Phase, Progress, ProgressCallback, ignore_progress
from esploader.flash.source import read_source
from esploader.protocol.commands import ALL_BITS, ReadReg, RegisterWrite, WriteReg
from esploader.session.confirming import attempt_confirmed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from esploader.chips.model.chip import Chip, Region
    from esploader.device.context import DeviceContext
    from esploader.flash.source import Source
    from esploader.session.session import Session

_WRITE_ATTEMPTS: Final = 3

_WORD: Final = struct.Struct("<I")

STEP_SIZE: Final = 0x400
"""Bytes of memory between two progress events, a multiple of four."""


@define(repr=False)
class DeviceMemory:
    """The memory of one device: ``device.memory``."""

    _context: DeviceContext

    def read(
        self, address: int, size: int, *, on_progress: ProgressCallback = ignore_progress
    ) -> bytes:
        """Return ``size`` bytes of the address space from ``address`` on, read in words.

        RAM and ROM are read until two readings agree, registers of peripherals once.

        Raises:
            PlanError: there is no such region.
            UnsupportedError: the device is in Secure Download Mode.
        """
        self._context.known_identity("reading memory")
        return read_memory(self._context.session, self._context.chip, address, size, on_progress)

    def read_register(self, address: int) -> int:
        """Return the 32-bit word at ``address``.

        It is read until it comes twice, for nothing protects it on the line; a word that
        changes all the time is given as last read. Mind what reading changes, as a FIFO.

        Raises:
            UnsupportedError: there is no such address, or the device is in Secure Download
                Mode.
        """
        self._context.known_identity("reading a register")
        _check_words(address)
        return read_word(self._context.session, address)

    def write_register(self, address: int, value: int, mask: int = ALL_BITS) -> None:
        """Replace the bits under ``mask`` of the 32-bit word at ``address``.

        In RAM it is seen to be there. A register of a peripheral may hold something else than
        was written, so nobody can tell.

        Raises:
            UnsupportedError: there is no such address, a value has more than 32 bits, or the
                device is in Secure Download Mode.
        """
        self._context.known_identity("writing a register")
        _check_words(address, value, mask)
        write_word(self._context.session, self._context.chip, address, value, mask)

    def load(self, source: Source) -> None:
        """Put the program in a firmware image into RAM and start it.

        Afterwards nothing answers but that program, until a reset.

        Raises:
            PlanError: the image is damaged, not for this device, or not for RAM alone.
            StubError: a stub runs, and it is not known where.
            UnsupportedError: the device is in Secure Download Mode.
        """
        identity = self._context.known_identity("running a program from RAM")
        occupied = self._context.link.occupied_memory()
        image = read_source(source)
        program = plan_program(image, self._context.chip, identity.revision, occupied)
        start_program(self._context.session, program)


def _check_words(*words: int) -> None:
    for word in words:
        if not 0 <= word <= ALL_BITS:
            raise UnsupportedError(f"{word:#x}", "it is no 32-bit word")


def _region_of(address: int, chip: Chip) -> Region | None:
    return next((region for region in chip.memory if region.start <= address < region.end), None)


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
            known += map(_known, attempt_confirmed(session, words, may_change=True))
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
    return _known(*attempt_confirmed(session, [ReadReg(address)], may_change=True))


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
