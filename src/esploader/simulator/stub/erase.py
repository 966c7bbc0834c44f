"""Stub: erasing, at once or ahead of what is written.

Source: esp-flasher-stub, ``src/command_handler.c``; esp-stub-lib, ``src/flash.c``. An erase
is only started; the flash is then busy while the stub receives, inflates and answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.protocol.opcodes import Opcode
from esploader.simulator.flash.loader_view import LoaderFlash
from esploader.simulator.flash.nor import BLOCK_SIZE, SECTOR_SIZE
from esploader.simulator.rom.command import RefusedError
from esploader.simulator.stub.command import (
    FLASH_FAILED,
    WORD_MASK,
    WRONG_SIZE,
    EndedError,
    Outcome,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.simulator.stub.command import (
        FlashDownload,
        Handler,
        Request,
        StubState,
        Task,
    )


def erase_flash(state: StubState, _: Request) -> Outcome:
    """Erase everything; whatever the request says besides is of no interest."""
    # The part does that by itself: no address has to reach all of it.
    whole = LoaderFlash(state.machine.flash_chip, reach=None)
    return Outcome(before=_erase(state, whole, 0, state.machine.nor.size))


def erase_region(state: StubState, request: Request) -> Outcome:
    """Erase sectors, as far as there are such in the flash."""
    offset, size = request.words(2)
    if offset % SECTOR_SIZE or size % SECTOR_SIZE:
        raise RefusedError(WRONG_SIZE)
    end = min(offset + size, state.machine.nor.size)
    return Outcome(before=_erase(state, state.flash, offset, end))


def _erase(state: StubState, flash: LoaderFlash, start: int, end: int) -> Task:
    position = start
    while position < end:
        yield state.until_flash_is_idle()
        position += start_erase(state, flash, position, end - position)
    yield state.until_flash_is_idle()


def erase_ahead(state: StubState, download: FlashDownload, end: int) -> Task:
    """Erase up to ``end``, as far as it has not been done.

    Raises:
        EndedError: there is more to write than was announced, and so to be erased; the stub
            waits for ever for that.
    """
    while download.erase_position < end:
        if download.erase_remaining == 0:
            state.machine.halt()
            raise EndedError
        yield state.until_flash_is_idle()
        erase_next(state, download)


def erase_next(state: StubState, download: FlashDownload) -> None:
    """Pass over a sector that is blank, or start the next erase unless one is under way.

    Once a sector was not blank, all are erased.

    Raises:
        RefusedError: the sector cannot be looked at, being outside the flash.
    """
    if download.erase_remaining == 0 or state.until_flash_is_idle() > 0:
        return
    position = download.erase_position
    if not download.saw_data and state.machine.personality.stub_spares_blank_sectors:
        if position + SECTOR_SIZE > state.flash_size:
            raise RefusedError(FLASH_FAILED)
        state.work(SECTOR_SIZE * state.machine.timings.read_byte)
        download.saw_data = not state.flash.is_blank(position, SECTOR_SIZE)
        if not download.saw_data:
            _pass(download, SECTOR_SIZE)
            return
    _pass(download, start_erase(state, state.flash, position, download.erase_remaining))


def start_erase(state: StubState, flash: LoaderFlash, offset: int, size: int) -> int:
    """Start to erase a block if a whole one is wanted, else a sector; return its size.

    Beyond the end of the flash there is nothing to be done.
    """
    is_block = offset % BLOCK_SIZE == 0 and size >= BLOCK_SIZE
    step = BLOCK_SIZE if is_block else SECTOR_SIZE
    if offset < state.machine.nor.size:
        seconds = flash.erase(offset, step)
        state.machine.flash_chip.busy_until = state.machine.moment + seconds
    return step


def _pass(download: FlashDownload, size: int) -> None:
    download.erase_position = (download.erase_position + size) & WORD_MASK
    download.erase_remaining = max(download.erase_remaining - size, 0)


ERASE_HANDLERS: Final[Mapping[int, Handler]] = {
    Opcode.ERASE_FLASH: erase_flash,
    Opcode.ERASE_REGION: erase_region,
}
