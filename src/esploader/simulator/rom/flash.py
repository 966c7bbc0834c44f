"""ROM loader: the flash, written plain or compressed, read and hashed.

At the last block of a compressed download, which is the one whose number is the announced
count - 1, what is left in the window of 32 KiB is programmed. A ROM like the ESP32's programs
all of the window, whatever it holds, behind the data, and drops it with status OK where that
would reach beyond the end of the flash. Of that it is taken to read back the data alone, and
to do it when nothing is left in the window, too; neither has been recorded.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, TypedDict

import attrs

from esploader.protocol.opcodes import Opcode
from esploader.simulator.flash.nor import MAX_FLASH_SIZE, SECTOR_SIZE
from esploader.simulator.personality import ResetCause
from esploader.simulator.rom.command import (
    FLASH_READ_FAILED,
    FLASH_WRITE_FAILED,
    INFLATE_FAILED,
    INVALID_MESSAGE,
    INVALID_READ_SIZE,
    OPERATION_FAILED,
    WRONG_ADLER32,
    WRONG_CHECKSUM,
    Download,
    EndedError,
    Outcome,
    RefusedError,
    xor_checksum,
)
from esploader.simulator.rom.inflater import WINDOW_SIZE, AdlerError, InflateError, Inflater
from esploader.simulator.soc.flash_encryption import can_encrypt, encrypt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.simulator.rom.command import Handler, Request, RomState
    from esploader.simulator.soc.program import Machine

_MAX_BLOCK_SIZE: Final = 0x1800
_WORD_SIZE: Final = 4
_SLOW_READ_SIZE: Final = 64

_BEGIN_SIZE: Final = 16
_BEGIN_ENCRYPT_SIZE: Final = 20
_SET_PARAMS_SIZE: Final = 24

_END_REBOOT: Final = 0

_LAST_WORD: Final = b"user code done\r\n"

READ_FUNCTION: Final = 0x4000_0A20
"""Where in the ROM its function to read flash is; any address in there will do."""

_SECTORS_PER_BLOCK: Final = 16


@attrs.define(eq=False, kw_only=True)
class CompressedDownload(Download):
    """A download that is inflated on its way to the flash."""

    inflater: Inflater
    failed: bool = False


def spi_attach(state: RomState, request: Request) -> Outcome:
    """Accept whatever it says: the flash is always connected."""
    (state.machine.flash_pins,) = request.words(1)
    return Outcome()


def spi_set_params(state: RomState, request: Request) -> Outcome:
    """Believe what the client says about the size of the flash."""
    if request.size != _SET_PARAMS_SIZE:
        raise RefusedError(INVALID_MESSAGE)
    _, size = request.words(2)
    state.flash_size = min(size, MAX_FLASH_SIZE)
    return Outcome()


def flash_begin(state: RomState, request: Request) -> Outcome:
    """Erase, and expect blocks."""
    state.flash_download = Download(**_begin(state, request))
    return Outcome(keeps_error=True)


def flash_defl_begin(state: RomState, request: Request) -> Outcome:
    """Erase, and expect compressed blocks."""
    state.flash_download = CompressedDownload(
        **_begin(state, request), inflater=Inflater(state.window)
    )
    return Outcome(keeps_error=True)


class _Announced(TypedDict):
    """What BEGIN says of a download."""

    position: int
    block_size: int
    block_count: int
    is_encrypted: bool


def _begin(state: RomState, request: Request) -> _Announced:
    """Check and erase; return what was announced."""
    has_encrypt_word = state.machine.chip.rom.begin_has_encrypt_word
    if request.size != (_BEGIN_ENCRYPT_SIZE if has_encrypt_word else _BEGIN_SIZE):
        raise RefusedError(INVALID_MESSAGE)
    size, block_count, block_size, offset = request.words(4)
    if block_size > _MAX_BLOCK_SIZE:
        raise RefusedError(INVALID_MESSAGE)
    if offset % SECTOR_SIZE or offset + size > state.flash_size:
        raise RefusedError(OPERATION_FAILED)
    is_encrypted = has_encrypt_word and request.words(_BEGIN_ENCRYPT_SIZE // _WORD_SIZE)[-1] != 0
    if is_encrypted and not can_encrypt(state.machine, offset):
        raise RefusedError(OPERATION_FAILED)
    if state.machine.personality.erases_head_twice:
        size = _size_erased_in_error(offset, size)
    state.work(state.flash.erase(offset, size))
    return {
        "position": offset,
        "block_size": block_size,
        "block_count": block_count,
        "is_encrypted": is_encrypted,
    }


def _size_erased_in_error(offset: int, size: int) -> int:
    """Return how much the ESP8266 erases: sectors up to the first block count twice."""
    count = -(-size // SECTOR_SIZE)
    head = _SECTORS_PER_BLOCK - offset // SECTOR_SIZE % _SECTORS_PER_BLOCK
    return SECTOR_SIZE * (count + min(count, head))


def flash_data(state: RomState, request: Request) -> Outcome:
    """Program a block and read it back."""
    download = state.flash_download
    size, _ = request.words(2)
    if download is None or isinstance(download, CompressedDownload) or size % _WORD_SIZE:
        raise RefusedError(INVALID_MESSAGE)
    data = download.take_block(request)
    state.work(len(data) * state.machine.timings.copied_byte)
    if xor_checksum(data) != request.checksum:
        raise RefusedError(WRONG_CHECKSUM)
    _program(state, download, data)
    return Outcome(keeps_error=True)


def flash_defl_data(state: RomState, request: Request) -> Outcome:
    """Inflate a block, program each window that it fills, then judge its checksum.

    By the time a wrong checksum is noticed, the block has gone through the inflater: what
    it gave stays where it is, in front of what the repeated block will give.
    """
    download = state.flash_download
    if not isinstance(download, CompressedDownload) or download.failed:
        raise RefusedError(INVALID_MESSAGE)
    data = download.take_block(request)
    state.work(len(data) * state.machine.timings.copied_byte)
    try:
        for window in download.inflater.feed(data):
            state.work(len(window) * state.machine.timings.inflated_byte)
            _program(state, download, window)
    except InflateError as error:
        download.failed = True
        code = WRONG_ADLER32 if isinstance(error, AdlerError) else INFLATE_FAILED
        raise RefusedError(code) from error
    except RefusedError:
        download.failed = True
        raise
    if xor_checksum(data) != request.checksum:
        raise RefusedError(WRONG_CHECKSUM)
    if download.next_sequence == download.block_count:
        _program_rest(state, download)
    return Outcome(keeps_error=True)


def _program_rest(state: RomState, download: CompressedDownload) -> None:
    """Program what is left in the window, and what lies behind that in there."""
    inflater = download.inflater
    data_size = inflater.filled
    size = -(-data_size // _WORD_SIZE) * _WORD_SIZE
    if state.machine.personality.programs_whole_window:
        size = WINDOW_SIZE
        if download.position + size > state.flash_size:
            return
    _program(state, download, inflater.take(size), data_size)


def _program(
    state: RomState, download: Download, data: bytes, checked_size: int | None = None
) -> None:
    """Program at the position of the download, and move it on when the flash took the data.

    That is seen by reading back the first ``checked_size`` bytes of them, or all.
    """
    flash = state.flash
    if download.position + len(data) > state.flash_size:
        raise RefusedError(FLASH_WRITE_FAILED)
    if download.is_encrypted:
        if not can_encrypt(state.machine, download.position, len(data)):
            raise RefusedError(FLASH_WRITE_FAILED)
        data = encrypt(state.machine, download.position, data)
    state.work(flash.program(download.position, data))
    state.work(len(data) * state.machine.timings.read_byte)
    checked = data[:checked_size]
    if xor_checksum(flash.read(download.position, len(checked))) != xor_checksum(checked):
        raise RefusedError(FLASH_WRITE_FAILED)
    download.position += len(data)


def flash_end(state: RomState, request: Request) -> Outcome:
    """Leave the loader, if a download was begun and did not fail: reboot, or go on booting.

    Not all ROMs boot then, whichever was asked for.
    """
    download, state.flash_download = state.flash_download, None
    if download is None or (isinstance(download, CompressedDownload) and download.failed):
        return Outcome()
    (stay,) = request.words(1)
    return Outcome(then=partial(_leave, state.machine, stay), ends_loader=True)


def _leave(machine: Machine, action: int, at: float) -> None:
    if not machine.personality.boots_on:
        machine.halt()
        machine.send(_LAST_WORD, at)
    elif action == _END_REBOOT:
        machine.restart(ResetCause.SOFTWARE, at)
    else:
        machine.run_application(at)


def spi_flash_md5(state: RomState, request: Request) -> Outcome:
    """Hash a flash region."""
    offset, size = request.words(2)
    if offset + size > state.flash_size:
        raise RefusedError(FLASH_READ_FAILED)
    state.work(size * state.machine.timings.hashed_byte)
    return Outcome(data=state.flash.md5(offset, size).hex().encode("ascii"))


def read_flash_slow(state: RomState, request: Request) -> Outcome:
    """Read up to 64 bytes into a response of always 64, the rest of which is left over.

    Where the function that does so is called by a pointer in RAM, what that points to is called.
    """
    hook = state.machine.chip.stub_hook
    if hook is not None:
        function = state.machine.memory.read_word(hook)
        if function != READ_FUNCTION:
            state.machine.execute(function, state.machine.moment)
            raise EndedError
    offset, size = request.words(2)
    if size > _SLOW_READ_SIZE:
        raise RefusedError(INVALID_READ_SIZE)
    if offset + size > state.flash_size:
        raise RefusedError(FLASH_READ_FAILED)
    state.work(size * state.machine.timings.read_byte)
    leftovers = state.response_body[size:_SLOW_READ_SIZE]
    return Outcome(data=state.flash.read(offset, size) + leftovers)


FLASH_HANDLERS: Final[Mapping[Opcode, Handler]] = {
    Opcode.SPI_ATTACH: spi_attach,
    Opcode.SPI_SET_PARAMS: spi_set_params,
    Opcode.FLASH_BEGIN: flash_begin,
    Opcode.FLASH_DATA: flash_data,
    Opcode.FLASH_END: flash_end,
    Opcode.FLASH_DEFL_BEGIN: flash_defl_begin,
    Opcode.FLASH_DEFL_DATA: flash_defl_data,
    Opcode.FLASH_DEFL_END: flash_end,
    Opcode.SPI_FLASH_MD5: spi_flash_md5,
    Opcode.READ_FLASH_SLOW: read_flash_slow,
}
