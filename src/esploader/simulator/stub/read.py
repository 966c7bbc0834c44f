"""Stub: reading the flash, and hashing it.

Source: esp-flasher-stub, ``src/command_handler.c``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from esploader.protocol.opcodes import Opcode
from esploader.simulator.rom.command import RefusedError
from esploader.simulator.soc.program import NEVER
from esploader.simulator.stub.command import FLASH_FAILED, WRONG_SIZE, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.simulator.stub.command import Handler, Request, StubState, Task

_MAX_PACKET_SIZE: Final = 4096
_ACKNOWLEDGEMENT_SIZE: Final = 4


def spi_flash_md5(state: StubState, request: Request) -> Outcome:
    """Hash a flash region."""
    offset, size, _, _ = request.words(4)
    _check_bounds(state, offset, size)
    state.work(state.until_flash_is_idle() + size * state.machine.timings.hashed_byte)
    return Outcome(data=state.flash.md5(offset, size))


def read_flash(state: StubState, request: Request) -> Outcome:
    """Send a flash region packet by packet; the window that is asked for is of no interest."""
    offset, size, packet_size, _ = request.words(4)
    return Outcome(after=_stream(state, offset, size, packet_size))


def _stream(state: StubState, offset: int, size: int, packet_size: int) -> Task:
    """Send a packet whenever as many were acknowledged as were sent, then the MD5 of all.

    Acknowledgements are counted; the number in them only tells when it is over. A frame of
    another size ends it early.
    """
    if packet_size > _MAX_PACKET_SIZE:
        raise RefusedError(WRONG_SIZE)
    digest = hashlib.md5(usedforsecurity=False)
    sent = acknowledged = unacknowledged = 0
    while sent < size or acknowledged < size:
        if sent < size and unacknowledged == 0:
            count = min(size - sent, packet_size)
            _check_bounds(state, offset + sent, count)
            yield state.until_flash_is_idle() + count * state.machine.timings.read_byte
            data = state.flash.read(offset + sent, count)
            digest.update(data)
            state.send(data)
            yield state.until_sent()
            sent += count
            unacknowledged += 1
        frame = yield NEVER
        if frame is None or len(frame) != _ACKNOWLEDGEMENT_SIZE:
            break
        acknowledged = int.from_bytes(frame, "little")
        unacknowledged -= 1
    state.send(digest.digest())


def _check_bounds(state: StubState, offset: int, size: int) -> None:
    if offset + size > state.flash_size:
        raise RefusedError(FLASH_FAILED)


READ_HANDLERS: Final[Mapping[int, Handler]] = {
    Opcode.SPI_FLASH_MD5: spi_flash_md5,
    Opcode.READ_FLASH: read_flash,
}
