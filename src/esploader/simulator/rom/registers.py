"""ROM loader: synchronising, registers, baud rate, identity."""

from __future__ import annotations

import struct
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from esploader.chips.model.chip import Architecture
from esploader.protocol.opcodes import Opcode
from esploader.simulator.rom.command import EMPTY_FRAME, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.simulator.rom.command import Handler, Request, RomState
    from esploader.simulator.soc.program import Machine

_WRITE_ENTRY_SIZE: Final = 16
_WORD_MASK: Final = 0xFFFF_FFFF
_FLAG_MASK: Final = 0xFF
_DIVIDER_UNIT: Final = 16
_MICROSECOND: Final = 1e-6

# What the divider of a UART can make of its clock.
MIN_BAUDRATE: Final = 300
MAX_BAUDRATE: Final = 5_000_000

# flags u32 | SPI_BOOT_CRYPT_CNT u8 | key purposes u8 x 7 [| chip id u32 | API version u32]
_SECURITY_INFO: Final = struct.Struct("<IB7sII")
_SECURE_BOOT_FLAG: Final = 1 << 0
_SECURE_DOWNLOAD_FLAG: Final = 1 << 2
_OTHER_FLAGS: Final = MappingProxyType(
    {
        "SECURE_BOOT_AGGRESSIVE_REVOKE": 1 << 1,
        "SECURE_BOOT_KEY_REVOKE0": 1 << 3,
        "SECURE_BOOT_KEY_REVOKE1": 1 << 4,
        "SECURE_BOOT_KEY_REVOKE2": 1 << 5,
        "SOFT_DIS_JTAG": 1 << 6,
        "HARD_DIS_JTAG": 1 << 7,
        "DIS_USB": 1 << 8,
        "DIS_DOWNLOAD_DCACHE": 1 << 9,
        "DIS_DOWNLOAD_ICACHE": 1 << 10,
    }
)
_PURPOSE_COUNT: Final = 6


def sync(state: RomState, request: Request) -> Outcome:
    """Set the value word to the first of the body; the response goes out eight times."""
    (state.value,) = request.words(1)
    return Outcome()


def read_reg(state: RomState, request: Request) -> Outcome:
    """Set the value word to what is at the address."""
    (address,) = request.words(1)
    state.value = state.machine.memory.read_word(address)
    return Outcome()


def write_reg(state: RomState, request: Request) -> Outcome:
    """Write as many entries of address, value, mask, delay as are announced, come or left over."""
    memory = state.machine.memory
    count = min(request.size, len(request.buffer)) // _WRITE_ENTRY_SIZE
    words = request.words(4 * count)
    for start in range(0, 4 * count, 4):
        address, value, mask, delay = words[start : start + 4]
        if mask != _WORD_MASK:
            value = (memory.read_word(address) & ~mask) | (value & mask)
        memory.write_word(address, value)
        state.work(delay * _MICROSECOND * state.machine.timings.requested_delay)
    return Outcome()


def change_baudrate(state: RomState, request: Request) -> Outcome:
    """Change the rate once the response is out, and send an empty frame at the new one.

    It is as wrong as what the ROM takes the crystal to be. Where a second word says so, the
    first is the divider of the UART's clock, in sixteenths. A rate that no divider gives is
    answered all the same, and nothing changes; where it is too high there is no empty frame.
    """
    requested, is_divider = request.words(2)
    crystal = state.machine.crystal
    if is_divider & _FLAG_MASK:
        clock = crystal.frequency * state.machine.chip.crystal.uart_clock_ratio
        baudrate = round(clock * _DIVIDER_UNIT / requested) if requested else 0
    else:
        baudrate = crystal.rate_for(requested)
    if baudrate > MAX_BAUDRATE:
        return Outcome()
    return Outcome(then=partial(_switch_baudrate, state.machine, baudrate))


def _switch_baudrate(machine: Machine, baudrate: int, at: float) -> None:
    if baudrate >= MIN_BAUDRATE:
        machine.set_baudrate(baudrate)
    machine.send(EMPTY_FRAME, at)


def get_security_info(state: RomState, _: Request) -> Outcome:
    """Describe the security features."""
    keeps_error = state.machine.chip.architecture is Architecture.RISCV
    return Outcome(data=security_info(state.machine), keeps_error=keeps_error)


def security_info(machine: Machine) -> bytes:
    """Return the security features as the eFuses have them, in the size of the chip."""
    chip, memory = machine.chip, machine.memory
    flags = 0
    if memory.extract(chip.secure_boot_v2):
        flags |= _SECURE_BOOT_FLAG
    if memory.extract(chip.secure_download):
        flags |= _SECURE_DOWNLOAD_FLAG
    for name, bits in chip.security_flags:
        # Of more than one bit an odd number counts, as with flash encryption.
        if memory.extract(bits).bit_count() % 2:
            flags |= _OTHER_FLAGS[name]
    purposes = bytes(memory.extract(purpose) for purpose in chip.key_purposes)
    info = _SECURITY_INFO.pack(
        flags,
        memory.extract(chip.flash_crypt_count),
        purposes.ljust(_PURPOSE_COUNT, b"\0") + bytes((machine.rom.seventh_purpose,)),
        chip.image_chip_id or 0,
        machine.rom.api_version,
    )
    return info[: chip.security_info_size]


REGISTER_HANDLERS: Final[Mapping[Opcode, Handler]] = {
    Opcode.SYNC: sync,
    Opcode.READ_REG: read_reg,
    Opcode.WRITE_REG: write_reg,
    Opcode.CHANGE_BAUDRATE: change_baudrate,
    Opcode.GET_SECURITY_INFO: get_security_info,
}
