"""ROM loader: downloads to RAM."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from esploader.chips.model.quirks import Quirk
from esploader.protocol.opcodes import Opcode
from esploader.simulator.rom.command import (
    INVALID_MESSAGE,
    MAX_BLOCK_SIZE,
    Download,
    Outcome,
    RefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.simulator.rom.command import Handler, Request, RomState
    from esploader.simulator.soc.program import Machine


_BEGIN_SIZE: Final = 16
_MAX_END_SIZE: Final = 8
_FLAG_MASK: Final = 0xFF


def mem_begin(state: RomState, request: Request) -> Outcome:
    """Expect blocks for RAM, at any address: the ROM does not look at it."""
    request.require_size(_BEGIN_SIZE)
    size, count, block_size, address = request.words(4)
    if block_size > MAX_BLOCK_SIZE:
        raise RefusedError(INVALID_MESSAGE)
    state.download = Download(position=address, size=size, block_count=count, block_size=block_size)
    return Outcome(keeps_error=True)


def mem_data(state: RomState, request: Request) -> Outcome:
    """Copy a block to RAM."""
    download = state.download
    data = download.take_block(request, state.machine)
    state.machine.memory.write(download.position, data)
    download.advance(len(data))
    return Outcome(keeps_error=True)


def mem_end(state: RomState, request: Request) -> Outcome:
    """Jump to what was downloaded, or stay: told so, or unable to do otherwise.

    The download goes on, if the loader does.
    """
    request.limit_size(_MAX_END_SIZE)
    flag, entry = request.words(2)
    if flag & _FLAG_MASK or not runs_uploads(state.machine):
        return Outcome(keeps_error=True)
    return Outcome(keeps_error=True, then=partial(state.machine.execute, entry), ends_loader=True)


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
