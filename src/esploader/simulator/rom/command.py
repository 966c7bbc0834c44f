"""What the handlers of the ROM loader's commands have in common.

Handlers unpack request bodies themselves, from the protocol document and the recorded
answers. Sharing the client's layouts would let both sides agree on the same mistake.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from esploader.classes import define, frozen
from esploader.simulator.flash.loader_view import REACH_OF_3_BYTES, LoaderFlash
from esploader.simulator.flash.nor import BLOCK_SIZE, SECTOR_SIZE
from esploader.simulator.rom.inflater import WINDOW_SIZE, Inflater

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
CANNOT_ENCRYPT: Final = 0x64

CHECKSUM_SEED: Final = 0xEF

DATA_HEADER_SIZE: Final = 16
"""Bytes before the data of FLASH_DATA, FLASH_DEFL_DATA and MEM_DATA."""

MAX_BLOCK_SIZE: Final = 0x1800

EMPTY_FRAME: Final = b"\xc0\xc0"

MAX_DATA_SIZE: Final = DATA_HEADER_SIZE + MAX_BLOCK_SIZE
"""Of what is announced in the header of a request that carries a block."""

_RESPONSE_BODY_SIZE: Final = 0x100


class RefusedError(Exception):
    """How a handler answers with a failure status.

    ``kept`` is how many bytes go before the status all the same: what the response held there.
    """

    def __init__(self, code: int, *, kept: int = 0) -> None:
        super().__init__(f"refused with error {code:#04x}")
        self.code = code
        self.kept = kept


class EndedError(Exception):
    """How a handler says that the loader has left, or hangs, without a response."""


@frozen(kw_only=True)
class Request:
    """One request, as it lies in the receive buffer."""

    buffer: memoryview = attrs.field(repr=False)
    """The buffer from the body on, leftovers of earlier requests included."""

    size: int
    """Bytes of the body as the header has it. That much may not have come."""

    checksum: int

    def require_size(self, size: int) -> None:
        """Refuse any other size. Raises :exc:`RefusedError`."""
        if self.size != size:
            raise RefusedError(INVALID_MESSAGE)

    def limit_size(self, size: int, *, kept: int = 0) -> None:
        """Refuse a larger size, with what of the response is kept. Raises :exc:`RefusedError`."""
        if self.size > size:
            raise RefusedError(INVALID_MESSAGE, kept=kept)

    def words(self, count: int) -> tuple[int, ...]:
        """Return the first words of the body, or what is left of an earlier one."""
        return struct.unpack_from(f"<{count}I", self.buffer)


@frozen(kw_only=True)
class Outcome:
    """What a handler has to say."""

    data: bytes = b""
    """Goes before the status bytes."""

    error: int = 0
    """The command is refused, with that code."""

    keeps_error: bool = False
    """The error byte shows what it held, instead of zero."""

    then: Callable[[float], None] | None = None
    """What happens when the response is out; it is told when that is."""

    ends_loader: bool = False
    """After ``then`` no more requests are taken."""


Handler: TypeAlias = "Callable[[RomState, Request], Outcome]"


@define(eq=False, kw_only=True)
class Download:
    """Blocks that come one after the other, to flash or to RAM."""

    position: int = attrs.field(default=0, repr=hex)
    """The offset or address at which the next block goes."""
    size: int = 0
    """Bytes that were announced."""
    block_count: int = 0
    """Blocks that were announced; nobody minds more of them."""
    block_size: int = 0
    is_encrypted: bool = False
    """What goes to flash is encrypted."""
    next_sequence: int = 0
    received: int = 0
    """Bytes that were taken."""

    def take_block(self, request: Request, machine: Machine, unit: int = 1) -> bytes:
        """Return the data of a block: so many bytes as its length field says, sent or left over.

        Raises:
            RefusedError: the length is no multiple of ``unit`` or larger than was announced, or
                the number is not the next one. Otherwise the next number is expected from now
                on, also where the checksum is wrong.
        """
        request.limit_size(MAX_DATA_SIZE)
        size, sequence = request.words(2)
        if sequence != self.next_sequence or size > self.block_size or size % unit:
            raise RefusedError(INVALID_MESSAGE)
        self.next_sequence += 1
        data = bytes(request.buffer[DATA_HEADER_SIZE : DATA_HEADER_SIZE + size])
        machine.moment += size * machine.timings.copied_byte
        if xor_checksum(data) != request.checksum:
            raise RefusedError(WRONG_CHECKSUM)
        return data

    def advance(self, size: int) -> None:
        """Go on behind a block that was taken."""
        self.position += size
        self.received += size

    @property
    def has_all_blocks(self) -> bool:
        """As many as were announced have come, right or wrong."""
        return self.next_sequence >= self.block_count

    @property
    def is_complete(self) -> bool:
        """All that was announced has come."""
        return self.has_all_blocks and self.received >= self.size


@define(eq=False, kw_only=True)
class CompressedDownload(Download):
    """A download that is inflated on its way to the flash."""

    inflater: Inflater


@frozen(kw_only=True)
class FlashParameters:
    """What the ROM believes about the flash, in bytes."""

    size: int
    block_size: int = BLOCK_SIZE
    sector_size: int = SECTOR_SIZE


@define(eq=False)
class RomState:
    """What the ROM loader remembers between requests."""

    machine: Machine
    opcode: int = 0
    """Of the last request that was understood; a refusal repeats it."""
    value: int = 0
    error: int = 0
    response_body: bytearray = attrs.field(factory=lambda: bytearray(_RESPONSE_BODY_SIZE))
    flash: LoaderFlash = attrs.field(init=False)
    parameters: FlashParameters = attrs.field(init=False)
    download: Download = attrs.field(factory=Download, init=False)
    """Plain, to flash or to RAM: the ROM has one for both."""
    window: bytearray = attrs.field(factory=lambda: bytearray(WINDOW_SIZE), init=False)
    """What was inflated last, of one download or another."""
    compressed: CompressedDownload = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.flash = LoaderFlash(self.machine.flash_chip, REACH_OF_3_BYTES)
        size = self.machine.personality.assumed_flash_size or self.machine.nor.size
        self.parameters = FlashParameters(size=size)
        self.compressed = CompressedDownload(inflater=Inflater(self.window))

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
