r"""What runs in a simulated device when it has booted: an application of the user's.

It is a function, called with a :class:`Runtime` when the chip has started it. A generator
function goes on from there::

    def echo(runtime: Runtime) -> Task:
        runtime.send(b"ready\r\n")
        while True:
            runtime.send((yield None))

``yield None`` waits for bytes and gives those that came; ``yield 0.5`` waits no longer than half a
second, and gives ``b""`` when nothing came. When the function has ended, the device is silent.

Bytes come as from the FIFO of a UART: when it is full, or nothing has come for the time of
two bytes. Nothing depends on when the host looks.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

import attrs

from esploader.classes import define, frozen, override
from esploader.simulator.personality import ResetCause
from esploader.simulator.soc.program import NEVER, Machine, Program
from esploader.transport.base import DEFAULT_BAUDRATE

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip
    from esploader.simulator.flash.nor import NorFlash

FIFO_SIZE: Final = 120
"""How many bytes an application gets at once, at most; that is where drivers set the mark."""

_SILENCE: Final = 2.0
"""After how many byte times without a byte it gets what is there."""


class RestartedError(Exception):
    """How an application ends in a reset of the chip."""

    def __init__(self, cause: ResetCause) -> None:
        super().__init__(f"the application has reset the chip: {cause.name}")
        self.cause = cause


@frozen(eq=False)
class Runtime:
    """What an application sees of its device."""

    _machine: Machine = attrs.field(repr=False)

    reset_cause: ResetCause
    """Why the chip has booted."""

    @property
    def chip(self) -> Chip:
        """The model."""
        return self._machine.chip

    @property
    def flash(self) -> NorFlash:
        """The flash, with the image that was booted."""
        return self._machine.nor

    @property
    def now(self) -> float:
        """The time in seconds, as the clock of the device has it."""
        return self._machine.moment

    def send(self, data: bytes) -> None:
        """Send bytes, after those that are on their way."""
        self._machine.send(data, self._machine.moment)

    def set_baudrate(self, baudrate: int) -> None:
        """Set the rate of the UART in baud, for what is sent and received from now on."""
        self._machine.set_baudrate(baudrate)

    def restart(self, cause: ResetCause = ResetCause.SOFTWARE) -> NoReturn:
        """Reset the chip when all is sent, and so end the application."""
        raise RestartedError(cause)


Task: TypeAlias = Generator[float | None, bytes, None]
"""An application that is running; it yields how long it waits for bytes, in seconds."""

Application: TypeAlias = Callable[[Runtime], Task | None]


def require_application(value: object) -> None:
    """Raise :exc:`TypeError` unless that can be run as an application.

    No validator does that: those are looked for whenever anything of a device is set.
    """
    if value is not None and not callable(value):
        raise TypeError(f"application={value!r}: a function or None is needed")


def hello(runtime: Runtime) -> None:
    """Print one line, and fall silent."""
    runtime.send(b"Hello from the simulated application\r\n")


@define(eq=False)
class ApplicationProgram(Program):
    """Runs an application. An exception in it comes out wherever time passes."""

    machine: Machine
    application: Application
    runtime: Runtime
    starts_at: float

    _task: Task | None = attrs.field(default=None, init=False)
    _started: bool = attrs.field(default=False, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _wakes_at: float = attrs.field(init=False)
    """When it goes on without bytes."""
    _fifo: bytearray = attrs.field(factory=bytearray, init=False)
    _due_at: float = attrs.field(default=NEVER, init=False)
    """When it gets what is in the FIFO, if nothing is added."""
    _byte_time: float = attrs.field(default=0.0, init=False)
    """Of what is in the FIFO."""

    def __attrs_post_init__(self) -> None:
        self._wakes_at = self.starts_at

    @override
    def feed(self, data: bytes, start: float, byte_time: float) -> int:
        position = 0
        while position < len(data):
            self.advance(start + (position + 1) * byte_time)
            if self._ended:
                break
            if not self._started:
                # Nobody has switched on the UART yet.
                position += 1
                continue
            count = min(FIFO_SIZE - len(self._fifo), len(data) - position)
            position += count
            last = start + position * byte_time
            self._fifo += data[position - count : position]
            self._byte_time = byte_time
            is_full = len(self._fifo) == FIFO_SIZE
            self._due_at = last if is_full else last + _SILENCE * byte_time
            self.advance(last)
        return position

    @override
    def advance(self, now: float) -> None:
        while not self._ended:
            moment = min(self._wakes_at, self._due_at)
            if moment > now:
                return
            received = b""
            if self._due_at <= moment:
                received, self._due_at = bytes(self._fifo), NEVER
                self._fifo.clear()
            self._run(received, moment)

    @override
    def next_event_time(self, next_byte: float) -> float:
        if self._ended:
            return NEVER
        return min(self._wakes_at, self._next_handover(next_byte))

    def _next_handover(self, next_byte: float) -> float:
        """Return when the FIFO may be full, or nothing has come for a while."""
        if not self._fifo:
            return next_byte if self._started else NEVER
        if next_byte > self._due_at:
            return self._due_at
        return next_byte + (FIFO_SIZE - len(self._fifo) - 1) * self._byte_time

    def _run(self, received: bytes, moment: float) -> None:
        """Let it do what it does at that moment, up to its next wait."""
        self.machine.moment = moment
        self._ended = True
        try:
            wait = self._step(received)
        except StopIteration:
            self.machine.halt()
        except RestartedError as restart:
            self.machine.restart(restart.cause, self.machine.send(b"", moment))
        else:
            if wait is not None and not isinstance(wait, int | float):
                raise TypeError(f"the application yields {wait!r}: seconds or None are needed")
            if wait is not None and not wait > 0:
                raise ValueError(f"the application waits {wait} seconds: more than 0 are needed")
            self._ended = False
            self._wakes_at = NEVER if wait is None else moment + wait

    def _step(self, received: bytes) -> float | None:
        """Return how long it waits. Raises :exc:`StopIteration` when it has ended."""
        if self._task is not None:
            return self._task.send(received)
        self._started = True
        self.machine.set_baudrate(DEFAULT_BAUDRATE)
        self._task = task = self.application(self.runtime)
        if task is None:
            raise StopIteration
        if not isinstance(task, Generator):
            raise TypeError(f"the application returns {task!r}: a generator or None is needed")
        return next(task)
