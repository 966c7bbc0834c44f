"""Stub: synchronising, registers, baud rate, identity."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from esploader.protocol.opcodes import Opcode
from esploader.simulator.rom.command import RefusedError
from esploader.simulator.rom.registers import MAX_BAUDRATE, MIN_BAUDRATE, security_info
from esploader.simulator.stub.command import (
    NOT_IMPLEMENTED,
    TOO_LITTLE_DATA,
    WORD_MASK,
    WRONG_SIZE,
    Outcome,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.simulator.stub.command import Handler, Request, StubState, Task

_SYNC_SIZE: Final = 36
_SYNC_RESPONSE_COUNT: Final = 8

# address | value | mask | delay in microseconds
_WRITE_ENTRY: Final = struct.Struct("<4I")
_MICROSECOND: Final = 1e-6


def sync(_: StubState, request: Request) -> Outcome:
    """Answer eight times, as the ROM does, but with a value of zero."""
    if len(request.body) != _SYNC_SIZE:
        raise RefusedError(WRONG_SIZE)
    return Outcome(count=_SYNC_RESPONSE_COUNT)


def read_reg(state: StubState, request: Request) -> Outcome:
    """Return what is at the address."""
    (address,) = request.words(1)
    return Outcome(value=state.machine.memory.read_word(address))


def write_reg(state: StubState, request: Request) -> Outcome:
    """Write all entries, each after its delay."""
    memory = state.machine.memory
    if not request.body or len(request.body) % _WRITE_ENTRY.size:
        raise RefusedError(TOO_LITTLE_DATA)
    for address, value, mask, delay in _WRITE_ENTRY.iter_unpack(request.body):
        state.work(delay * _MICROSECOND * state.machine.timings.requested_delay)
        kept = memory.read_word(address) & ~mask if mask != WORD_MASK else 0
        memory.write_word(address, kept | (value & mask))
    return Outcome()


def change_baudrate(state: StubState, request: Request) -> Outcome:
    """Change the rate once the response is out; the second word is of no interest."""
    baudrate, _ = request.words(2)
    return Outcome(after=_switch_baudrate(state, baudrate))


def _switch_baudrate(state: StubState, baudrate: int) -> Task:
    settling = state.machine.timings.rate_settling
    yield state.until_sent() + settling
    if MIN_BAUDRATE <= baudrate <= MAX_BAUDRATE:
        state.machine.set_baudrate(baudrate)
    yield settling


def get_security_info(state: StubState, request: Request) -> Outcome:
    """Say what the ROM says, where the ROM has something to say."""
    if request.body:
        raise RefusedError(WRONG_SIZE)
    if state.machine.chip.security_info_size is None:
        raise RefusedError(NOT_IMPLEMENTED)
    return Outcome(data=security_info(state.machine))


def run_user_code(_: StubState, __: Request) -> Outcome:
    """Do nothing, and do not say so."""
    return Outcome(count=0)


REGISTER_HANDLERS: Final[Mapping[int, Handler]] = {
    Opcode.SYNC: sync,
    Opcode.READ_REG: read_reg,
    Opcode.WRITE_REG: write_reg,
    Opcode.CHANGE_BAUDRATE: change_baudrate,
    Opcode.GET_SECURITY_INFO: get_security_info,
    Opcode.RUN_USER_CODE: run_user_code,
}
