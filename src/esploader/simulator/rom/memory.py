"""ROM loader: downloads to RAM."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from esploader.chips.model.quirks import Quirk
from esploader.protocol.opcodes import Opcode
from esploader.simulator.rom.command import (
    INVALID_MESSAGE,
    WRONG_CHECKSUM,
    Download,
    Outcome,
    RefusedError,
    xor_checksum,
)
from esploader.simulator.rom.framing import FRAME_BUFFER_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.simulator.rom.command import Handler, Request, RomState
    from esploader.simulator.soc.program import Machine

_STAY: Final = 1


def mem_begin(state: RomState, request: Request) -> Outcome:
    """Expect blocks for RAM, at any address: the ROM does not look at it."""
    *_, address = request.words(4)
    # Nor does it hold the blocks against the size that was announced.
    state.ram_download = Download(position=address, block_size=FRAME_BUFFER_SIZE)
    return Outcome()


def mem_data(state: RomState, request: Request) -> Outcome:
    """Copy a block to RAM."""
    download = state.ram_download
    if download is None:
        raise RefusedError(INVALID_MESSAGE)
    data = download.take_block(request)
    state.work(len(data) * state.machine.timings.copied_byte)
    if xor_checksum(data) != request.checksum:
        raise RefusedError(WRONG_CHECKSUM)
    state.machine.memory.write(download.position, data)
    download.position += len(data)
    return Outcome()


def mem_end(state: RomState, request: Request) -> Outcome:
    """Jump to what was downloaded, or stay: told so, or unable to do otherwise."""
    flag, entry = request.words(2)
    state.ram_download = None
    if flag == _STAY or not runs_uploads(state.machine):
        return Outcome()
    return Outcome(then=partial(state.machine.execute, entry), ends_loader=True)


def runs_uploads(machine: Machine) -> bool:
    """Tell whether the ROM jumps to what was put into RAM."""
    chip, memory = machine.chip, machine.memory
    if Quirk.SECURE_BOOT_BLOCKS_STUB in chip.quirks and memory.extract(chip.secure_boot_v2):
        return False
    is_first = memory.extract(chip.major_revision) == 0
    return not (is_first and Quirk.FIRST_MAJOR_REVISION_BLOCKS_STUB in chip.quirks)


MEMORY_HANDLERS: Final[Mapping[Opcode, Handler]] = {
    Opcode.MEM_BEGIN: mem_begin,
    Opcode.MEM_DATA: mem_data,
    Opcode.MEM_END: mem_end,
}
