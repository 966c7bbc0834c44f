"""Stub: downloads to RAM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.protocol.opcodes import Opcode
from esploader.simulator.rom.command import DATA_HEADER_SIZE, RefusedError
from esploader.simulator.stub.command import (
    NO_DOWNLOAD,
    TOO_LITTLE_DATA,
    TOO_MUCH_DATA,
    EndedError,
    Outcome,
    RamDownload,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.simulator.stub.command import Handler, Request, StubState, Task

_JUMP: Final = 0


def mem_begin(state: StubState, request: Request) -> Outcome:
    """Expect blocks for RAM, at any address: even where the stub itself is."""
    size, _, _, address = request.words(4)
    state.ram_download = RamDownload(address=address, remaining=size)
    return Outcome()


def mem_data(state: StubState, request: Request) -> Outcome:
    """Copy a block to RAM. Nobody looks at its checksum."""
    if len(request.body) < DATA_HEADER_SIZE:
        raise RefusedError(TOO_LITTLE_DATA)
    download = state.ram_download
    if download is None:
        raise RefusedError(NO_DOWNLOAD)
    (size,) = request.leading_words(1)
    data = request.body[DATA_HEADER_SIZE:]
    if size > download.remaining or size != len(data):
        raise RefusedError(TOO_MUCH_DATA)
    state.machine.memory.write(download.address, data)
    download.address += size
    download.remaining -= size
    return Outcome()


def mem_end(state: StubState, request: Request) -> Outcome:
    """Jump to what was downloaded, or stay."""
    flag, entry = request.words(2)
    if state.ram_download is None:
        raise RefusedError(NO_DOWNLOAD)
    state.ram_download = None
    return Outcome(after=_jump(state, entry) if flag == _JUMP else None)


def _jump(state: StubState, entry: int) -> Task:
    yield state.until_sent()
    state.machine.execute(entry, state.machine.moment)
    raise EndedError


MEMORY_HANDLERS: Final[Mapping[int, Handler]] = {
    Opcode.MEM_BEGIN: mem_begin,
    Opcode.MEM_DATA: mem_data,
    Opcode.MEM_END: mem_end,
}
