"""Stub: writing the flash, plain or compressed.

Source: esp-flasher-stub, ``src/command_handler.c``. A block is answered when its checksum
is right; what becomes of it then is known to the next command only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.protocol.opcodes import Opcode
from esploader.simulator.flash.nor import MAX_FLASH_SIZE, PAGE_SIZE, SECTOR_SIZE
from esploader.simulator.rom.command import DATA_HEADER_SIZE, RefusedError, xor_checksum
from esploader.simulator.rom.inflater import InflateError
from esploader.simulator.soc.flash_encryption import can_encrypt, encrypt
from esploader.simulator.stub.command import (
    FLASH_FAILED,
    INFLATE_FAILED,
    NO_DOWNLOAD,
    TOO_LITTLE_DATA,
    TOO_MUCH_DATA,
    WORD_MASK,
    WRONG_CHECKSUM,
    WRONG_SIZE,
    FlashDownload,
    Outcome,
)
from esploader.simulator.stub.erase import erase_ahead, erase_next

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.simulator.stub.command import Handler, Request, StubState, Task

_ATTACH_WORDS: Final = 1
_SET_PARAMS_WORDS: Final = 6
_BEGIN_SIZES: Final = (16, 20)


def spi_attach(state: StubState, request: Request) -> Outcome:
    """Look for the flash at these pins from now on."""
    (state.machine.flash_pins,) = request.words(_ATTACH_WORDS)
    return Outcome()


def spi_set_params(state: StubState, request: Request) -> Outcome:
    """Believe what the client says about the size of the flash."""
    _, size, *_ = request.words(_SET_PARAMS_WORDS)
    state.flash_size = min(size, MAX_FLASH_SIZE)
    return Outcome()


def flash_begin(state: StubState, request: Request) -> Outcome:
    """Expect so many bytes, and erase what comes first."""
    _begin(state, request)
    return Outcome()


def flash_defl_begin(state: StubState, request: Request) -> Outcome:
    """Expect a new stream that inflates to so many bytes, in at most so many blocks."""
    _begin(state, request)
    _, count, block_size = request.leading_words(3)
    state.compressed_remaining = (count * block_size) & WORD_MASK
    state.inflater.restart()
    return Outcome()


def _begin(state: StubState, request: Request) -> None:
    if len(request.body) not in _BEGIN_SIZES:
        raise RefusedError(WRONG_SIZE)
    size, _, _, offset = request.leading_words(4)
    is_encrypted = len(request.body) == _BEGIN_SIZES[1] and request.leading_words(5)[-1] != 0
    if is_encrypted and not can_encrypt(state.machine, offset):
        raise RefusedError(FLASH_FAILED)
    start = offset - offset % SECTOR_SIZE
    end = -(-(offset + size) // SECTOR_SIZE) * SECTOR_SIZE
    state.flash_download = FlashDownload(
        position=offset,
        remaining=size,
        erase_position=start,
        erase_remaining=(end - start) & WORD_MASK,
        is_encrypted=is_encrypted,
    )
    erase_next(state, state.flash_download)


def flash_data(state: StubState, request: Request) -> Outcome:
    """Check a block, then write as much of it as was announced.

    Its number is of no interest: it goes where the one before ended.
    """
    if len(request.body) < DATA_HEADER_SIZE:
        raise RefusedError(TOO_LITTLE_DATA)
    download = _download(state)
    (size,) = request.leading_words(1)
    data = request.body[DATA_HEADER_SIZE:]
    if size != len(data):
        raise RefusedError(TOO_MUCH_DATA)
    _check(state, data, request)
    return Outcome(
        after=_program(state, download, data[: download.remaining]), after_is_silent=True
    )


def flash_defl_data(state: StubState, request: Request) -> Outcome:
    """Check a block, then inflate it and write what fills a window."""
    if len(request.body) < DATA_HEADER_SIZE:
        raise RefusedError(WRONG_SIZE)
    download = _download(state)
    size, sequence = request.leading_words(2)
    data = request.body[DATA_HEADER_SIZE : DATA_HEADER_SIZE + size]
    if len(data) < size:
        # The checksum is that of whatever lies behind the request.
        raise RefusedError(WRONG_CHECKSUM)
    _check(state, data, request)
    return Outcome(after=_inflate(state, download, data, sequence), after_is_silent=True)


def _download(state: StubState) -> FlashDownload:
    if state.flash_download is None:
        raise RefusedError(NO_DOWNLOAD)
    return state.flash_download


def _check(state: StubState, data: bytes, request: Request) -> None:
    state.work(len(data) * state.machine.timings.checked_byte)
    if xor_checksum(data) != request.checksum:
        raise RefusedError(WRONG_CHECKSUM)


def _program(state: StubState, download: FlashDownload, data: bytes) -> Task:
    """Write to the flash, page by page."""
    end = download.position + len(data)
    yield from erase_ahead(state, download, end & WORD_MASK)
    if end > state.flash_size:
        raise RefusedError(FLASH_FAILED)
    if download.is_encrypted:
        if not can_encrypt(state.machine, download.position, len(data)):
            raise RefusedError(FLASH_FAILED)
        data = encrypt(state.machine, download.position, data)
    yield state.until_flash_is_idle()
    flash, offset, written = state.flash, download.position, 0
    while written < len(data):
        size = PAGE_SIZE - (offset + written) % PAGE_SIZE
        yield flash.program(offset + written, data[written : written + size])
        written += size
    download.position = end
    download.remaining = (download.remaining - len(data)) & WORD_MASK


def _inflate(state: StubState, download: FlashDownload, data: bytes, sequence: int) -> Task:
    """Inflate a block, and write each window that is full and the one that is the last.

    Nothing stops a stream at the size that was announced.
    """
    inflater, machine = state.inflater, state.machine
    has_header = sequence == 0
    if has_header:
        inflater.window.clear()
    more_announced = state.compressed_remaining > len(data)
    rest, is_full = data, inflater.is_full
    while (rest or is_full) and not inflater.ended:
        erase_next(state, download)
        before = len(rest)
        try:
            rest, produced = inflater.take(rest, has_header=has_header)
        except InflateError as exc:
            raise RefusedError(INFLATE_FAILED) from exc
        has_header = False
        state.compressed_remaining = (state.compressed_remaining + len(rest) - before) & WORD_MASK
        yield produced * machine.timings.inflated_byte
        is_full = inflater.is_full
        if is_full or inflater.ended:
            yield from _program(state, download, bytes(inflater.window))
            inflater.window.clear()
    if not inflater.ended and not more_announced:
        raise RefusedError(INFLATE_FAILED)


def flash_end(state: StubState, request: Request) -> Outcome:
    """End a download that is complete. Whether to reboot is of no interest."""
    request.words(1)
    if _download(state).remaining:
        raise RefusedError(WRONG_SIZE)
    state.flash_download = None
    state.inflater.restart()
    return Outcome()


FLASH_HANDLERS: Final[Mapping[int, Handler]] = {
    Opcode.SPI_ATTACH: spi_attach,
    Opcode.SPI_SET_PARAMS: spi_set_params,
    Opcode.FLASH_BEGIN: flash_begin,
    Opcode.FLASH_DATA: flash_data,
    Opcode.FLASH_END: flash_end,
    Opcode.FLASH_DEFL_BEGIN: flash_defl_begin,
    Opcode.FLASH_DEFL_DATA: flash_defl_data,
    Opcode.FLASH_DEFL_END: flash_end,
}
