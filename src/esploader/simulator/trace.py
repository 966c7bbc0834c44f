"""Write down what passes between clients and a device: a line for each thing that happens.

``   0.001234 sim://esp32c3 > READ_REG address=0x40001000`` is a request, ``<`` a response with
its outcome; ``=`` is what the host does with its lines and its baud rate. Times are seconds
from the beginning.
"""

from __future__ import annotations

import threading
from typing import IO, TYPE_CHECKING, Final

import attrs
from typing_extensions import override

from esploader.protocol.opcodes import Opcode
from esploader.protocol.slip import Frame, SlipDecoder
from esploader.simulator.description import describe_request, describe_response, show_noise
from esploader.simulator.recording import RELEASED, LineChange
from esploader.simulator.tapped_transport import PunctualTransport, TappedTransport

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.chips.model import Chip
    from esploader.protocol.slip import SlipEvent

MAX_TRACE_SIZE: Final = 64 * 1024 * 1024
"""A trace ends when it has so many characters."""

_GREETING: Final = b"OHAI"
_STUB_STATUS_SIZE: Final = 2
_ACKNOWLEDGEMENT_SIZE: Final = 4


@attrs.define(eq=False)
class Trace:
    """A file that lines are added to, of any number of devices, each line at once."""

    _file: IO[str]
    _room: int = MAX_TRACE_SIZE
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    @classmethod
    def open(cls, path: Path) -> Trace:
        """Begin a file anew. Raises :exc:`OSError`."""
        # Whoever follows the file sees each line when it is there.
        return cls(path.open("w", encoding="utf-8", buffering=1))

    def add(self, seconds: float, label: str, text: str) -> None:
        """Add a line, unless there are too many."""
        line = f"{seconds:11.6f} {label} {text}\n"
        with self._lock:
            if self._room <= 0 or self._file.closed:
                return
            self._room -= len(line)
            try:
                self._file.write(line if self._room > 0 else "the trace ends here\n")
            except OSError:
                # A full disk ends the trace, not the device.
                self._room = 0

    def close(self) -> None:
        """End the file."""
        with self._lock:
            self._file.close()


@attrs.define(eq=False)
class TracedTransport(TappedTransport, PunctualTransport):
    """A transport whose traffic goes to a trace, in front of that to the device."""

    inner: PunctualTransport
    _trace: Trace
    _chip: Chip
    _label: str
    """What the device is called in the trace."""
    _is_stub: bool = attrs.field(default=False, kw_only=True)
    _started: float = attrs.field(init=False)
    _requests: SlipDecoder = attrs.field(factory=SlipDecoder, init=False)
    _responses: SlipDecoder = attrs.field(factory=SlipDecoder, init=False)
    _lines: LineChange = attrs.field(default=RELEASED, init=False)
    _opcode: int | None = attrs.field(default=None, init=False)
    """Of the last request."""
    _is_streaming: bool = attrs.field(default=False, init=False)
    """What comes is data, not responses."""

    def __attrs_post_init__(self) -> None:
        self._started = self.clock.now()

    @override
    def next_event(self) -> float | None:
        return self.inner.next_event()

    @property
    @override
    def drained_at(self) -> float:
        return self.inner.drained_at

    @override
    def read(self, deadline: float) -> bytes:
        data = self.inner.read(deadline)
        self._follow_device(data)
        return data

    @override
    def write(self, data: bytes) -> None:
        for event in self._requests.feed(data):
            self._add(f"> {self._describe_request(event)}")
        self.inner.write(data)

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self._add("= " + " ".join(_line("DTR", dtr) + _line("RTS", rts)))
        self.inner.set_lines(dtr=dtr, rts=rts)
        self._lines = self._lines.followed_by(dtr=dtr, rts=rts)
        if self._lines.holds_reset:
            # A frame that has begun ends in a reset, and so does a stub.
            self._requests.reset()
            self._is_stub = self._is_streaming = False

    @override
    def set_baudrate(self, baudrate: int) -> None:
        self._add(f"= {baudrate} baud")
        self.inner.set_baudrate(baudrate)

    @override
    def discard_input(self) -> bytes:
        data = self.inner.discard_input()
        self._follow_device(data)
        return data

    def _add(self, text: str) -> None:
        self._trace.add(self.clock.now() - self._started, self._label, text)

    def _follow_device(self, data: bytes) -> None:
        for event in self._responses.feed(data) if data else ():
            self._add(f"< {self._describe_response(event)}")

    def _describe_request(self, event: SlipEvent) -> str:
        if not isinstance(event, Frame):
            return show_noise(event)
        if len(event.payload) != _ACKNOWLEDGEMENT_SIZE:
            self._opcode = event.payload[1] if len(event.payload) > 1 else None
            self._is_streaming = False
        return describe_request(event.payload)

    def _describe_response(self, event: SlipEvent) -> str:
        if not isinstance(event, Frame):
            return show_noise(event)
        if event.payload == _GREETING:
            self._is_stub = True
            return "the stub says OHAI"
        if self._is_streaming:
            return f"{len(event.payload)} bytes of data"
        self._is_streaming = self._opcode == Opcode.READ_FLASH
        size = _STUB_STATUS_SIZE if self._is_stub else self._chip.rom.status_size
        return describe_response(event.payload, status_size=size)


def _line(name: str, asserted: bool | None) -> list[str]:  # noqa: FBT001 - a line's state
    if asserted is None:
        return []
    return [f"{name} {'asserted' if asserted else 'released'}"]
