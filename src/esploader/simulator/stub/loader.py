"""The stub loader of a simulated device: Espressif's esp-flasher-stub, version 1.

Nothing that was uploaded is executed. Whatever was put into RAM and is jumped to is taken
to be this stub, which is what nearly all clients upload.

Two things go on at once: interrupts put what arrives into one of two buffers
(:mod:`~esploader.simulator.stub.framing`), and the main program takes a frame, gives the
other buffer to the interrupts, and works on the frame until it is done with it. So one frame
can be received while one is worked on, and the next is lost.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.quirks import Quirk
from esploader.classes import define, override
from esploader.simulator.history import BODY_KEPT, Loader, SeenCommand, SentResponse
from esploader.simulator.rom.command import RefusedError
from esploader.simulator.soc.program import NEVER, Machine, Program
from esploader.simulator.stub.command import (
    NOT_IMPLEMENTED,
    UNKNOWN_COMMAND,
    WRONG_SIZE,
    EndedError,
    Handler,
    Outcome,
    Request,
    StubState,
    Task,
)
from esploader.simulator.stub.erase import ERASE_HANDLERS
from esploader.simulator.stub.flash import FLASH_HANDLERS
from esploader.simulator.stub.framing import BATCH_SIZE, BATCH_TIMEOUT, END, StubFrameDecoder
from esploader.simulator.stub.memory import MEMORY_HANDLERS
from esploader.simulator.stub.read import READ_HANDLERS
from esploader.simulator.stub.registers import REGISTER_HANDLERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.simulator.stub.framing import FrameEvent

HANDLERS: Final[Mapping[int, Handler]] = {
    **REGISTER_HANDLERS,
    **FLASH_HANDLERS,
    **ERASE_HANDLERS,
    **READ_HANDLERS,
    **MEMORY_HANDLERS,
}

GREETING: Final = b"OHAI"

_RESTART_BAUDRATE: Final = 115200

# Left to plug-ins, of which there are none.
_PLUGIN_OPCODES: Final = range(0xD5, 0xF0)

# direction u8 | opcode u8 | size u16 | checksum or value u32
_HEADER: Final = struct.Struct("<BBHI")
_REQUEST: Final = 0

# Work that nobody sees is done in steps of so many seconds, or when it matters.
_UNSEEN_TIME: Final = 0.02
_RESPONSE: Final = 1


@define(eq=False)
class StubLoader(Program):
    """Receives one request while it works on another.

    It begins with its greeting, except where it is taken to have greeted long ago
    (``starts_at`` is ``None``).
    """

    machine: Machine
    starts_at: float | None = None

    _state: StubState = attrs.field(init=False)
    _decoder: StubFrameDecoder = attrs.field(factory=StubFrameDecoder, init=False)
    _fifo: bytes = attrs.field(default=b"", init=False)
    """What has not raised an interrupt yet."""
    _interrupt_at: float = attrs.field(default=NEVER, init=False)
    """When it will, if nothing is added."""
    _byte_time: float = attrs.field(default=0.0, init=False)
    """Of what is in the FIFO."""
    _armed_at: float = attrs.field(default=0.0, init=False)
    """From when on interrupts have a buffer for a frame."""
    _received: FrameEvent = attrs.field(default=None, init=False)
    """What the main program has not looked at yet."""
    _received_at: float = attrs.field(default=0.0, init=False)
    _task: Task | None = attrs.field(default=None, init=False)
    _task_waits: bool = attrs.field(default=False, init=False)
    """The task wants a frame."""
    _free_at: float = attrs.field(default=0.0, init=False)
    """When the main program has done what it is doing."""
    _is_silent: bool = attrs.field(default=False, init=False)
    """The task will send nothing more."""
    _ended: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._state = StubState(machine=self.machine)
        if self.starts_at is None:
            return
        if Quirk.STUB_RESTARTS_UART in self.machine.chip.quirks:
            self.machine.set_baudrate(_RESTART_BAUDRATE)
        self._armed_at = self.starts_at + self.machine.timings.stub_start
        self.machine.moment = self._armed_at
        self._state.send(GREETING)

    # What arrives.

    @override
    def feed(self, data: bytes, start: float, byte_time: float) -> int:
        if self._fifo and start + byte_time > self._interrupt_at:
            self._interrupt_after_silence()
        run, lead = self._fifo + data, len(self._fifo)
        whole = len(run) - len(run) % BATCH_SIZE
        self._fifo = run[whole:]
        self._byte_time = byte_time
        self._interrupt_at = start + (len(data) + BATCH_TIMEOUT) * byte_time
        taken = self._interrupt(run[:whole], start - lead * byte_time, byte_time)
        return max(taken - lead, 0) if self._ended else len(data)

    @override
    def advance(self, now: float) -> None:
        if self._fifo and self._interrupt_at <= now:
            self._interrupt_after_silence()
        self._run(now)

    @override
    def next_event_time(self, next_byte: float) -> float:
        return min(self._next_work_time(), self._next_interrupt_time(next_byte))

    @override
    def next_heeded(self, data: bytes, start: int) -> int:
        return data.find(END, start)

    def _next_work_time(self) -> float:
        if self._ended:
            return NEVER
        if self._task is not None and not self._task_waits:
            # Nobody can see when it is done, until there is something to answer.
            unseen = self._is_silent and self._received is None
            return self._free_at + (_UNSEEN_TIME if unseen else 0.0)
        return NEVER if self._received is None else max(self._free_at, self._received_at)

    def _next_interrupt_time(self, next_byte: float) -> float:
        """Return when an interrupt may be worth a look, provided that there is an END."""
        if not self._fifo or next_byte > self._interrupt_at:
            return self._interrupt_at if self._fifo else NEVER
        if END not in self._fifo:
            return NEVER
        missing = BATCH_SIZE - len(self._fifo)
        full_at = self._interrupt_at + (missing - BATCH_TIMEOUT) * self._byte_time
        return max(full_at, next_byte)

    def _interrupt_after_silence(self) -> None:
        fifo, self._fifo = self._fifo, b""
        # One batch, which is seen when the silence has lasted long enough.
        batch_time = self._interrupt_at
        self._interrupt(fifo, batch_time, 0.0)

    def _interrupt(self, run: bytes, start: float, byte_time: float) -> int:
        """Decode batches, each when its last byte has arrived; return how far it got."""
        position = 0
        while position < len(run) and not self._ended:
            batch = position // BATCH_SIZE
            batch_time = start + (batch + 1) * BATCH_SIZE * byte_time
            if not self._decoder.in_frame and self._armed_at > batch_time:
                self._run(batch_time)
            if not self._decoder.in_frame and self._armed_at > batch_time:
                position = self._skip(run, batch, start, byte_time)
                continue
            position, event = self._decoder.take(run, position)
            if event is not None:
                batch = (position - 1) // BATCH_SIZE
                self._received = event
                self._received_at = start + (batch + 1) * BATCH_SIZE * byte_time
                self._armed_at = NEVER
                # Nobody can give it another buffer before this interrupt is over.
                position = (batch + 1) * BATCH_SIZE
        return min(position, len(run))

    def _skip(self, run: bytes, batch: int, start: float, byte_time: float) -> int:
        """Return where the first batch begins for which there will be a buffer."""
        batch_span = BATCH_SIZE * byte_time
        last = start + len(run) // BATCH_SIZE * batch_span
        self._run(last, until_armed=True)
        if self._armed_at > last or batch_span == 0:
            return len(run)
        first = max(int((self._armed_at - start) / batch_span) - 1, batch + 1)
        # However the division was rounded.
        while start + (first + 1) * batch_span < self._armed_at:
            first += 1
        return first * BATCH_SIZE

    # What is done about it.

    def _run(self, until: float, *, until_armed: bool = False) -> None:
        """Let the main program run, at most until it gives the interrupts a buffer."""
        while not self._ended:
            if self._task is not None and not self._task_waits:
                if self._free_at > until:
                    return
                self._resume(self._task, None, self._free_at)
                continue
            at = max(self._free_at, self._received_at)
            if self._received is None or at > until:
                return
            event, self._received = self._received, None
            self._armed_at = self._free_at = at
            if isinstance(event, bytes):
                if self._task is None:
                    self._task = self._serve(event)
                    self._resume(self._task, None, at)
                else:
                    self._resume(self._task, event, at)
            if until_armed:
                return

    def _resume(self, task: Task, frame: bytes | None, at: float) -> None:
        """Let a task do what it does at that time."""
        self.machine.moment = at
        self._task_waits = False
        try:
            seconds = task.send(frame)
        except StopIteration:
            self._task = None
            self._free_at = self.machine.moment
        except EndedError:
            self._task = None
            self._ended = True
        else:
            self._task_waits = seconds == NEVER
            self._free_at = self.machine.moment + (0.0 if self._task_waits else seconds)

    def _serve(self, frame: bytes) -> Task:
        """Answer a request, and do what it asks for."""
        state = self._state
        self._is_silent = False
        state.work(self.machine.timings.command)
        direction, opcode, size, checksum = _HEADER.unpack_from(frame.ljust(_HEADER.size, b"\0"))
        request = Request(body=frame[_HEADER.size :], checksum=checksum)
        self.machine.history.note(
            SeenCommand(
                moment=self._free_at,
                loader=Loader.STUB,
                opcode=opcode,
                body=request.body[:BODY_KEPT],
                size=len(request.body),
            )
        )
        try:
            handler = self._find_handler(
                direction, opcode, is_whole=len(frame) == _HEADER.size + size
            )
            outcome = handler(state, request)
            if outcome.before is not None:
                yield from outcome.before
        except RefusedError as refusal:
            self._respond(opcode, Outcome(), refusal.code)
            return
        self._respond(opcode, outcome, 0)
        self._is_silent = outcome.after_is_silent
        if outcome.after is not None:
            try:
                yield from outcome.after
            except RefusedError as failure:
                state.deferred_error = failure.code

    def _find_handler(self, direction: int, opcode: int, *, is_whole: bool) -> Handler:
        """Return what answers the command, if there is nothing else to be said."""
        if direction != _REQUEST:
            raise RefusedError(UNKNOWN_COMMAND)
        if not is_whole:
            raise RefusedError(WRONG_SIZE)
        error, self._state.deferred_error = self._state.deferred_error, 0
        if error:
            raise RefusedError(error)
        handler = HANDLERS.get(opcode)
        if handler is None:
            is_plugin = opcode in _PLUGIN_OPCODES
            raise RefusedError(NOT_IMPLEMENTED if is_plugin else UNKNOWN_COMMAND)
        return handler

    def _respond(self, opcode: int, outcome: Outcome, code: int) -> None:
        self.machine.history.note(
            SentResponse(moment=self.machine.moment, loader=Loader.STUB, opcode=opcode, error=code)
        )
        body = outcome.data + bytes((code, 0))
        packet = _HEADER.pack(_RESPONSE, opcode, len(body), outcome.value) + body
        for _ in range(outcome.count):
            self._state.send(packet)
