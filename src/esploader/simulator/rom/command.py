"""What the handlers of the ROM loader's commands have in common.

Handlers unpack request bodies themselves, from the protocol document and the recorded
answers. Sharing the client's layouts would let both sides agree on the same mistake.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from esploader.simulator.flash.loader_view import REACH_OF_3_BYTES, LoaderFlash
from esploader.simulator.rom.inflater import WINDOW_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.simulator.soc.program import Machine

INVALID_MESSAGE: Final = 0x05
OPERATION_FAILED: Final = 0x06
WRONG_CHECKSUM: Final = 0x07
FLASH_WRITE_FAILED: Final = 0x08
FLASH_READ_FAILED: Final = 0x09
INVALID_READ_SIZE: Final = 0x0A
INFLATE_FAILED: Final = 0x0B
WRONG_ADLER32: Final = 0x0C

CHECKSUM_SEED: Final = 0xEF

DATA_HEADER_SIZE: Final = 16
"""Bytes before the data of FLASH_DATA, FLASH_DEFL_DATA and MEM_DATA."""

_RESPONSE_BODY_SIZE: Final = 0x100


class RefusedError(Exception):
    """How a handler answers with a failure status."""

    def __init__(self, code: int) -> None:
        super().__init__(f"refused with error {code:#04x}")
        self.code = code


class EndedError(Exception):
    """How a handler says that the loader has left, without a response."""


@attrs.frozen(kw_only=True)
class Request:
    """One request, as it lies in the receive buffer."""

    buffer: memoryview = attrs.field(repr=False)
    """The buffer from the body on, leftovers of earlier requests included."""

    size: int
    """Bytes of the body that came with this request; the header's size field is ignored."""

    checksum: int

    def words(self, count: int) -> tuple[int, ...]:
        """Return the first words of the body, or what is left of an earlier one."""
        return struct.unpack_from(f"<{count}I", self.buffer)


@attrs.frozen(kw_only=True)
class Outcome:
    """What a handler has to say."""

    data: bytes = b""
    """Goes before the status bytes."""

    keeps_error: bool = False
    """The error byte shows what it held, instead of zero."""

    then: Callable[[float], None] | None = None
    """What happens when the response is out; it is told when that is."""

    ends_loader: bool = False
    """After ``then`` no more requests are taken."""


Handler: TypeAlias = "Callable[[RomState, Request], Outcome]"


@attrs.define(eq=False, kw_only=True)
class Download:
    """Blocks that come one after the other, to flash or to RAM."""

    position: int = attrs.field(repr=hex)
    """The offset or address at which the next block goes."""
    block_size: int
    block_count: int = 0
    """How many were announced."""
    is_encrypted: bool = False
    """What goes to flash is encrypted."""
    next_sequence: int = 0

    def take_block(self, request: Request) -> bytes:
        """Return the data of a block, the checksum of which nobody has looked at yet.

        Raises:
            RefusedError: its length field or its number is not as expected. Otherwise the
                next number is expected from now on, whatever becomes of this block.
        """
        size, sequence = request.words(2)
        if size != request.size - DATA_HEADER_SIZE or sequence != self.next_sequence:
            raise RefusedError(INVALID_MESSAGE)
        if size > self.block_size:
            raise RefusedError(INVALID_MESSAGE)
        self.next_sequence += 1
        return bytes(request.buffer[DATA_HEADER_SIZE : DATA_HEADER_SIZE + size])


@attrs.define(eq=False)
class RomState:
    """What the ROM loader remembers between requests."""

    machine: Machine
    opcode: int = 0
    """Of the last request that was understood; a refusal repeats it."""
    value: int = 0
    error: int = 0
    response_body: bytearray = attrs.field(factory=lambda: bytearray(_RESPONSE_BODY_SIZE))
    flash: LoaderFlash = attrs.field(init=False)
    flash_size: int = attrs.field(init=False)
    """How large the ROM believes the flash to be."""
    flash_download: Download | None = attrs.field(default=None, init=False)
    window: bytearray = attrs.field(factory=lambda: bytearray(WINDOW_SIZE), init=False)
    """What compressed downloads are inflated into, one after the other."""
    ram_download: Download | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.flash = LoaderFlash(self.machine.flash_chip, REACH_OF_3_BYTES)
        self.flash_size = self.machine.personality.assumed_flash_size or self.machine.nor.size

    def work(self, seconds: float) -> None:
        """Spend time on the request."""
        self.machine.moment += seconds


def xor_checksum(data: bytes) -> int:
    """Return the checksum over the data of a block: XOR of all bytes, seed 0xEF."""
    folded = int.from_bytes(data, "little")
    size = len(data)
    # Folding in halves takes a dozen operations where a loop over bytes takes thousands.
    while size > 1:
        half = (size + 1) // 2
        folded = (folded >> (8 * half)) ^ (folded & ((1 << (8 * half)) - 1))
        size = half
    return folded ^ CHECKSUM_SEED
