"""ROM loader: the flash, written plain or compressed, read and hashed.

At the last block of a compressed download what is left in the window of 32 KiB is programmed.
A ROM like the ESP32's programs all of the window then, whatever it holds, behind the data. Of
that it is taken to read back the data alone, and to do it when nothing is left in the window,
too; neither has been recorded.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.chip import Architecture
from esploader.protocol.opcodes import Opcode
from esploader.simulator.flash.nor import MAX_FLASH_SIZE, SECTOR_SIZE
from esploader.simulator.personality import ResetCause
from esploader.simulator.rom.command import (
    CANNOT_ENCRYPT,
    EMPTY_FRAME,
    FLASH_READ_FAILED,
    FLASH_WRITE_FAILED,
    INFLATE_FAILED,
    INVALID_MESSAGE,
    INVALID_READ_SIZE,
    MAX_BLOCK_SIZE,
    MAX_DATA_SIZE,
    OPERATION_FAILED,
    WRONG_ADLER32,
    CompressedDownload,
    Download,
    EndedError,
    FlashParameters,
    Outcome,
    RefusedError,
    xor_checksum,
)
from esploader.simulator.rom.inflater import (
    WINDOW_SIZE,
    AdlerError,
    EndlessError,
    InflateError,
    Inflater,
)
from esploader.simulator.soc.flash_encryption import can_encrypt, encrypt
from esploader.simulator.soc.program import USUAL_PINS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.simulator.rom.command import Handler, Request, RomState
    from esploader.simulator.soc.program import Machine

_WORD_SIZE: Final = 4
_SLOW_READ_SIZE: Final = 64
_MD5_SIZE: Final = 32
_SIGN_BIT: Final = 1 << 31

_BEGIN_SIZE: Final = 16
_BEGIN_ENCRYPT_SIZE: Final = 20
_SET_PARAMS_SIZE: Final = 24

_FLAG_MASK: Final = 0xFF

_LAST_WORD: Final = b"user code done\r\n"

READ_FUNCTION: Final = 0x4000_0A20
"""Where in the ROM its function to read flash is; any address in there will do."""

_SECTORS_PER_BLOCK: Final = 16


def spi_attach(state: RomState, request: Request) -> Outcome:
    """Look for the flash at these pins from now on."""
    (state.machine.flash_pins,) = request.words(1)
    return Outcome()


def spi_set_params(state: RomState, request: Request) -> Outcome:
    """Believe what the client says about the flash."""
    request.require_size(_SET_PARAMS_SIZE)
    _, size, block_size, sector_size = request.words(4)
    state.parameters = FlashParameters(
        size=min(size, MAX_FLASH_SIZE), block_size=block_size, sector_size=sector_size
    )
    return Outcome(keeps_error=True)


def flash_begin(state: RomState, request: Request) -> Outcome:
    """Expect blocks, and erase. Where that is refused, the blocks are expected all the same."""
    download, is_encrypted = _announced(state, request)
    if is_encrypted and state.machine.memory.extract(state.machine.chip.manual_encrypt_disabled):
        raise RefusedError(CANNOT_ENCRYPT)
    state.download = attrs.evolve(download, is_encrypted=is_encrypted)
    if Opcode.SPI_ATTACH not in state.machine.chip.rom.opcodes:
        state.machine.flash_pins = USUAL_PINS
    _erase(state, download)
    return Outcome(keeps_error=True)


def flash_defl_begin(state: RomState, request: Request) -> Outcome:
    """Expect compressed blocks, and erase. They cannot be encrypted."""
    download, is_encrypted = _announced(state, request)
    if is_encrypted:
        raise RefusedError(CANNOT_ENCRYPT)
    state.compressed = CompressedDownload(
        position=download.position,
        size=download.size,
        block_count=download.block_count,
        block_size=download.block_size,
        inflater=Inflater(state.window),
    )
    _erase(state, download)
    return Outcome(keeps_error=True)


def _announced(state: RomState, request: Request) -> tuple[Download, bool]:
    """Return the download that a request begins, and whether it is to be encrypted."""
    has_encrypt_word = state.machine.chip.rom.begin_has_encrypt_word
    request.require_size(_BEGIN_ENCRYPT_SIZE if has_encrypt_word else _BEGIN_SIZE)
    size, count, block_size, offset = request.words(4)
    if block_size > MAX_BLOCK_SIZE:
        raise RefusedError(INVALID_MESSAGE)
    download = Download(position=offset, size=size, block_count=count, block_size=block_size)
    is_encrypted = has_encrypt_word and request.words(_BEGIN_ENCRYPT_SIZE // _WORD_SIZE)[-1] != 0
    return download, is_encrypted


def _erase(state: RomState, download: Download) -> None:
    """Erase what a download is to fill, as far as the ROM's idea of sectors goes.

    Of sectors that are larger than those of the flash only the beginning is erased.
    """
    offset, size, parameters = download.position, download.size, state.parameters
    sector_size = parameters.sector_size
    if not sector_size or offset % sector_size or offset + size > parameters.size:
        raise RefusedError(OPERATION_FAILED)
    if state.machine.personality.erases_head_twice:
        size = _size_erased_in_error(offset, size)
    count = -(-size // sector_size)
    if sector_size <= SECTOR_SIZE:
        state.work(state.flash.erase(offset, count * sector_size))
        return
    for start in range(offset, offset + count * sector_size, sector_size):
        state.work(state.flash.erase(start, SECTOR_SIZE))


def _size_erased_in_error(offset: int, size: int) -> int:
    """Return how much the ESP8266 erases: sectors up to the first block count twice."""
    count = -(-size // SECTOR_SIZE)
    head = _SECTORS_PER_BLOCK - offset // SECTOR_SIZE % _SECTORS_PER_BLOCK
    return SECTOR_SIZE * (count + min(count, head))


def flash_data(state: RomState, request: Request) -> Outcome:
    """Program a block and read it back."""
    download = state.download
    data = download.take_block(request, state.machine, _WORD_SIZE)
    _program(state, download, data)
    download.advance(len(data))
    return Outcome(keeps_error=True)


def flash_defl_data(state: RomState, request: Request) -> Outcome:
    """Inflate a block, and program what makes up a whole window.

    What does not is programmed with the last block: the one whose number says so.
    """
    download = state.compressed
    is_last = download.next_sequence == download.block_count - 1
    data = download.take_block(request, state.machine)
    try:
        for window in download.inflater.feed(data, is_last=is_last):
            _program_inflated(state, download, window)
    except InflateError as error:
        raise RefusedError(
            WRONG_ADLER32 if isinstance(error, AdlerError) else INFLATE_FAILED
        ) from error
    except EndlessError as error:
        state.machine.halt()
        raise EndedError from error
    if is_last:
        _program_rest(state, download)
    return Outcome(keeps_error=True)


def _program_rest(state: RomState, download: CompressedDownload) -> None:
    """Program what is left in the window, and what lies behind that in there."""
    data_size = download.inflater.filled
    # What makes the last word whole is left over in the window.
    size = -(-data_size // _WORD_SIZE) * _WORD_SIZE
    if state.machine.personality.programs_whole_window:
        size = WINDOW_SIZE
    _program_inflated(state, download, download.inflater.take(size), data_size)


def _program_inflated(
    state: RomState, download: CompressedDownload, data: bytes, data_size: int = WINDOW_SIZE
) -> None:
    """Program what has been inflated, of which the first ``data_size`` bytes came in just now."""
    state.work(data_size * state.machine.timings.inflated_byte)
    _program(state, download, data, data_size)
    download.advance(len(data))


def _program(
    state: RomState, download: Download, data: bytes, checked_size: int | None = None
) -> None:
    """Program at the position of the download, or nothing where that ends beyond the flash.

    Whether the flash took it is seen by reading back the first ``checked_size`` bytes, or all.
    """
    flash = state.flash
    if download.is_encrypted:
        if not can_encrypt(state.machine, download.position, len(data)):
            raise RefusedError(CANNOT_ENCRYPT)
        data = encrypt(state.machine, download.position, data)
    if download.position + len(data) > state.parameters.size:
        return
    state.work(flash.program(download.position, data))
    state.work(len(data) * state.machine.timings.read_byte)
    checked = data[:checked_size]
    if xor_checksum(flash.read(download.position, len(checked))) != xor_checksum(checked):
        raise RefusedError(FLASH_WRITE_FAILED)


def flash_end(state: RomState, request: Request) -> Outcome:
    """Leave the loader: reboot, or go on booting. It does so also when it refuses."""
    (flag,) = request.words(1)
    is_complete = state.download.is_complete
    reboots = is_complete and not flag & _FLAG_MASK
    leave = _reboot if reboots or _always_reboots(state.machine) else _go_on
    return Outcome(
        error=0 if is_complete else OPERATION_FAILED,
        then=partial(leave, state.machine),
        ends_loader=True,
    )


def flash_defl_end(state: RomState, request: Request) -> Outcome:
    """Reboot, or stay: told so, or because blocks are missing."""
    (flag,) = request.words(1)
    if not state.compressed.has_all_blocks:
        raise RefusedError(OPERATION_FAILED)
    if flag & _FLAG_MASK:
        return Outcome()
    return Outcome(then=partial(_reboot, state.machine), ends_loader=True)


def _always_reboots(machine: Machine) -> bool:
    """Tell whether nothing of the flash is run but through a reset: in Secure Download Mode."""
    return bool(machine.memory.extract(machine.chip.secure_download))


def _reboot(machine: Machine, at: float) -> None:
    if machine.chip.architecture is Architecture.RISCV:
        at = machine.send(EMPTY_FRAME, at)
    machine.restart(ResetCause.SOFTWARE, at)


def _go_on(machine: Machine, at: float) -> None:
    """Boot what is in flash, or say a last word: not all ROMs find their way there."""
    if machine.personality.boots_on:
        machine.run_application(at)
        return
    machine.halt()
    machine.send(_LAST_WORD, at)


def spi_flash_md5(state: RomState, request: Request) -> Outcome:
    """Hash a flash region, the size of which is signed. A refusal, too, has room for the hash."""
    request.limit_size(MAX_DATA_SIZE, kept=_MD5_SIZE)
    offset, size = request.words(2)
    size = size if size < _SIGN_BIT else 0
    if size and offset + size > state.parameters.size:
        raise RefusedError(FLASH_READ_FAILED, kept=_MD5_SIZE)
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
        raise RefusedError(INVALID_READ_SIZE, kept=_SLOW_READ_SIZE)
    if offset + size > state.parameters.size:
        raise RefusedError(FLASH_READ_FAILED, kept=_SLOW_READ_SIZE)
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
    Opcode.FLASH_DEFL_END: flash_defl_end,
    Opcode.SPI_FLASH_MD5: spi_flash_md5,
    Opcode.READ_FLASH_SLOW: read_flash_slow,
}
