"""The ROM loader of a simulated device.

Its state, which explains every recorded answer (``tests/vectors``), is small and global
to all commands:

* one receive buffer: a frame overwrites its beginning, so a request that is too short
  runs on what an earlier one left behind;
* one response: its ``value`` word stays until a command sets another, its body keeps
  what it held behind the bytes that a command writes;
* one error byte, shown by the flash download commands even when they succeed.

What the ESP8266 answers to a command that it does not know is not recorded. Its ROM is
the ancestor of the others, so it is taken to refuse as they do.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

import attrs
from typing_extensions import override

from esploader.protocol.opcodes import Opcode
from esploader.simulator.history import BODY_KEPT, Loader, SeenCommand, SentResponse
from esploader.simulator.rom.command import (
    INVALID_MESSAGE,
    EndedError,
    Handler,
    Outcome,
    RefusedError,
    Request,
    RomState,
)
from esploader.simulator.rom.flash import FLASH_HANDLERS, READ_FUNCTION
from esploader.simulator.rom.framing import (
    FRAME_BUFFER_SIZE,
    FramingError,
    RomFrameDecoder,
    encode_frame,
)
from esploader.simulator.rom.memory import MEMORY_HANDLERS
from esploader.simulator.rom.registers import REGISTER_HANDLERS
from esploader.simulator.soc.program import NEVER, Machine, Program

if TYPE_CHECKING:
    from collections.abc import Mapping

HANDLERS: Final[Mapping[Opcode, Handler]] = {
    **REGISTER_HANDLERS,
    **FLASH_HANDLERS,
    **MEMORY_HANDLERS,
}

# direction u8 | opcode u8 | size u16 | checksum or value u32
_HEADER: Final = struct.Struct("<BBHI")
_REQUEST: Final = 0
_RESPONSE: Final = 1

_SYNC_RESPONSE_COUNT: Final = 8

_SUCCESS: Final = 0
_FAILURE: Final = 1

# What is left in Secure Download Mode (esptool documentation, "Serial Protocol").
_SECURE_DOWNLOAD: Final = frozenset(
    {
        Opcode.SYNC,
        Opcode.SPI_ATTACH,
        Opcode.SPI_SET_PARAMS,
        Opcode.CHANGE_BAUDRATE,
        Opcode.FLASH_BEGIN,
        Opcode.FLASH_DATA,
        Opcode.FLASH_END,
        Opcode.GET_SECURITY_INFO,
    }
)

# The fastest rate that the ROM finds out by itself.
_MAX_DETECTED_BAUDRATE: Final = 115200

# The end of a frame, and what breaks an escape, or may do so with what follows.
_HEEDED: Final = re.compile(rb"\xc0|\xdb(?:[^\xdc\xdd]|\Z)", re.DOTALL)

# A chip whose ring nobody has measured still has the FIFO of its UART.
_FIFO_SIZE: Final = 0x80


@attrs.define(eq=False)
class RomLoader(Program):
    """Receives requests, one at a time, and answers each when its work is done.

    While it works, what arrives goes to a ring that nobody checks for overflow: each time
    it is filled, one ring-full is lost.
    """

    machine: Machine
    listening_from: float = 0.0
    """Bytes that are complete before that time are lost."""

    _known_opcodes: frozenset[int] = attrs.field(init=False, repr=False)
    _state: RomState = attrs.field(init=False)
    _decoder: RomFrameDecoder = attrs.field(factory=RomFrameDecoder, init=False)
    _buffer: bytearray = attrs.field(factory=lambda: bytearray(FRAME_BUFFER_SIZE), init=False)
    _ring: bytearray = attrs.field(factory=bytearray, init=False)
    _busy_until: float = attrs.field(init=False)
    _is_detecting: bool = attrs.field(default=True, init=False)
    """Until the first request it measures the rate of what it cannot understand."""
    _ended: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._known_opcodes = self.machine.chip.rom.opcodes | self.machine.personality.more_opcodes
        self._state = RomState(machine=self.machine)
        if self.machine.chip.stub_hook is not None:
            self.machine.memory.write_word(self.machine.chip.stub_hook, READ_FUNCTION)
        self._busy_until = self.listening_from

    @override
    def feed(self, data: bytes, start: float, byte_time: float) -> int:
        position = 0
        while position < len(data) and not self._ended:
            next_time = start + (position + 1) * byte_time
            if next_time < self._busy_until:
                count = _count_before(self._busy_until, start, byte_time, len(data))
                # At least the one just looked at, however the division is rounded.
                count = max(count, position + 1)
                if next_time >= self.listening_from and self.machine.port.keeps_early_bytes:
                    self._ring += data[position:count]
                position = count
            elif self._ring:
                self._drain_ring()
            else:
                position, event = self._decoder.take(data, position)
                self._handle(event, start + position * byte_time)
        return position

    @override
    def detect_rate(self, baudrate: int) -> bool:
        return self._is_detecting and baudrate <= _MAX_DETECTED_BAUDRATE

    @override
    def advance(self, now: float) -> None:
        while self._ring and self._busy_until <= now and not self._ended:
            self._drain_ring()

    @override
    def next_event_time(self, next_byte: float) -> float:
        return self._busy_until if self._ring and not self._ended else NEVER

    @override
    def next_heeded(self, data: bytes, start: int) -> int:
        if self._decoder.is_broken_by(data[start]):
            return start
        match = _HEEDED.search(data, start)
        return -1 if match is None else match.end() - 1

    def _drain_ring(self) -> None:
        """Read what is in the ring at the end of a command, up to the end of a frame."""
        size = self.machine.chip.rom.receive_ring_size or _FIFO_SIZE
        if len(self._ring) >= size:
            # The writer has lapped the reader, who sees only what came after the last lap.
            del self._ring[: len(self._ring) - len(self._ring) % size]
        position, event = self._decoder.take(bytes(self._ring), 0)
        del self._ring[:position]
        self._handle(event, self._busy_until)

    def _handle(self, event: bytes | FramingError | None, at: float) -> None:
        if event is FramingError.BROKEN_ESCAPE:
            self._ended = True
            self.machine.halt()
            self.machine.send(self.machine.personality.crash_report, at)
        elif event is not None and len(event) <= (self.machine.port.max_frame_size or len(event)):
            self._execute(event, at)

    def _execute(self, frame: bytes, at: float) -> None:
        self._is_detecting = False
        self._buffer[: len(frame)] = frame
        direction, code, size, checksum = _HEADER.unpack_from(self._buffer)
        request = Request(
            buffer=memoryview(self._buffer)[_HEADER.size :], size=size, checksum=checksum
        )
        come = max(len(frame) - _HEADER.size, 0)
        self.machine.moment = at
        self.machine.history.note(
            SeenCommand(
                moment=at,
                loader=Loader.ROM,
                opcode=code,
                body=bytes(request.buffer[: min(come, BODY_KEPT)]),
                size=come,
            )
        )
        self.machine.moment += self.machine.timings.command
        handler = self._find_handler(direction, code)
        state = self._state
        try:
            if handler is None:
                raise RefusedError(INVALID_MESSAGE)  # noqa: TRY301 - as a handler does
            state.opcode = code
            outcome = handler(state, request)
        except RefusedError as refusal:
            leftovers = bytes(state.response_body[: refusal.kept])
            outcome = Outcome(data=leftovers, error=refusal.code)
        except EndedError:
            self._ended = True
            return
        if outcome.error or not outcome.keeps_error:
            state.error = outcome.error
        self._respond(outcome)
        if outcome.then is not None:
            self._ended = outcome.ends_loader
            outcome.then(self._busy_until)

    def _find_handler(self, direction: int, code: int) -> Handler | None:
        if direction != _REQUEST or code not in self._known_opcodes:
            return None
        secure_download = self.machine.chip.secure_download
        if code not in _SECURE_DOWNLOAD and self.machine.memory.extract(secure_download):
            return None
        return HANDLERS[Opcode(code)]

    def _respond(self, outcome: Outcome) -> None:
        state = self._state
        status = _FAILURE if outcome.error else _SUCCESS
        size = len(outcome.data) + self.machine.chip.rom.status_size
        body = state.response_body
        body[: len(outcome.data)] = outcome.data
        body[len(outcome.data) : len(outcome.data) + 2] = bytes((status, state.error))
        header = _HEADER.pack(_RESPONSE, state.opcode, size, state.value)
        frame = encode_frame(header + body[:size])
        count = _SYNC_RESPONSE_COUNT if state.opcode == Opcode.SYNC else 1
        self.machine.history.note(
            SentResponse(
                moment=self.machine.moment,
                loader=Loader.ROM,
                opcode=state.opcode,
                error=outcome.error,
            )
        )
        out = self.machine.send(frame * count, self.machine.moment)
        # The response goes to a FIFO; only an action that follows has to wait for it.
        self._busy_until = self.machine.moment if outcome.then is None else out


def _count_before(moment: float, start: float, byte_time: float, limit: int) -> int:
    """Return how many of the bytes are complete before ``moment``."""
    if byte_time == 0:
        return limit
    count = min(int((moment - start) / byte_time), limit)
    while count > 0 and start + count * byte_time >= moment:
        count -= 1
    return count
