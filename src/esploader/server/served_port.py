"""A transport as a loop that waits for many things at once needs it.

A transport only has ``read(deadline)`` and ``write``, which block. The loop needs to know
what to wait for instead, and a transport may say so with one of two abilities:
:class:`~esploader.server.port_abilities.HasDescriptor` and
:class:`~esploader.server.port_abilities.HasAgenda`. Both are then used from one thread only. A
transport with neither is read by a thread of its own while the loop writes to it, so it has
to bear that (a serial port on Windows).

Nor may a write block, and what is written too far ahead of the wire can no longer be taken
back. So a port takes no more than :data:`WRITE_AHEAD` at once, as far as anything tells how
far the wire is: the transport itself (:class:`~esploader.server.port_abilities.HasWireTime`), or
the baud rate.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from esploader.classes import override
from esploader.errors import TransportClosedError, TransportError
from esploader.server.port_abilities import HasAgenda, HasDescriptor, HasWireTime, WritesPartly

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.transport.base import Transport

READ_PERIOD: Final = 0.05
"""For how long a reader thread lets the transport wait, in seconds: how long stopping may
take. Bytes end the wait at once."""

MAX_UNREAD_SIZE: Final = 1024 * 1024
"""More than this is lost, as any receive buffer loses what nobody takes. In bytes."""


WRITE_AHEAD: Final = 0.03
"""How far ahead of the wire bytes are handed to a port at most, in seconds."""

WRITE_MARGIN: Final = 0.006
"""More is handed over when so little is left to send, in seconds: not for every byte, and
still before the wire falls silent."""

WRITE_SIZE: Final = 4096
"""How much is handed over at once at most, in bytes."""

BITS_PER_BYTE: Final = 10
"""Start bit, eight data bits, stop bit."""

_ESPRESSIF: Final = 0x303A
_ROUNDING: Final = 1e-6


class ServedPort:
    """What the loop asks of a port, besides the transport itself."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._wire = transport if isinstance(transport, HasWireTime) else None
        self._partly = transport if isinstance(transport, WritesPartly) else None
        self._reckoned_at = float("-inf")
        self.heard: Callable[[bytes], None] = _ignore
        """Is called with all that the port said, when it is read or thrown away unread."""
        capabilities = transport.capabilities
        # A pseudo-terminal and the chip's own USB port take whatever comes, at any rate.
        self._has_rate = (
            capabilities.set_baudrate
            and capabilities.set_lines
            and capabilities.usb_vid != _ESPRESSIF
        )

    @property
    def usb_ids(self) -> tuple[int, int] | None:
        """USB vendor and product of the port, where they are known."""
        capabilities = self.transport.capabilities
        if capabilities.usb_vid is None or capabilities.usb_pid is None:
            return None
        return (capabilities.usb_vid, capabilities.usb_pid)

    @property
    def drained_at(self) -> float:
        """The moment at which all that was written has left, as far as can be reckoned."""
        return self._reckoned_at if self._wire is None else self._wire.drained_at

    def room(self, now: float) -> int:
        """Return how many bytes may be handed over at this moment."""
        ahead = max(0.0, self.drained_at - now)
        if ahead > WRITE_MARGIN + _ROUNDING:
            return 0
        if not self._has_rate:
            return WRITE_SIZE
        size = int((WRITE_AHEAD - ahead) * self.transport.baudrate / BITS_PER_BYTE)
        return min(max(size, 1), WRITE_SIZE)

    def room_at(self) -> float:
        """Return the moment at which there is room again."""
        return self.drained_at - WRITE_MARGIN

    def write_some(self, data: bytes, now: float) -> int:
        """Hand over as much of ``data`` as the port takes; return how much that was.

        Raises:
            TransportError: the port failed.
        """
        if self._partly is None:
            self.transport.write(data)
            written = len(data)
        else:
            written = self._partly.write_some(data)
        if self._has_rate and written:
            on_wire = written * BITS_PER_BYTE / self.transport.baudrate
            self._reckoned_at = max(self._reckoned_at, now) + on_wire
        return written

    def holds_output(self) -> bool:
        """Tell whether the system still has bytes to send, as far as it tells.

        Raises:
            TransportError: the port failed.
        """
        return self._partly is not None and self._partly.output_size() > 0

    def discard_stuck_output(self, now: float) -> None:
        """Empty the transmit buffers if what is in them should have left long ago.

        Raises:
            TransportError: the port failed.
        """
        if now > self.drained_at and self.holds_output():
            self.discard_output()

    def discard_output(self) -> None:
        """Empty the transmit buffers of the port, where that can be done.

        Raises:
            TransportError: the port failed.
        """
        if self._partly is not None:
            self._partly.discard_output()
            self._reckoned_at = float("-inf")

    def fileno(self) -> int | None:
        """Return a descriptor to wait for; ``None`` when there is none."""
        return None

    def seconds_to_wait(self) -> float | None:
        """Return after how long to look again; ``None`` for never."""
        return None

    def read(self) -> bytes:
        """Return what has arrived, without waiting."""
        data = self._receive()
        if data:
            self.heard(data)
        return data

    def discard_input(self) -> None:
        """Empty the receive buffers of the port."""
        data = self._discard()
        if data:
            self.heard(data)

    def close(self) -> None:
        """Stop whatever watches the transport, which stays open."""

    def _receive(self) -> bytes:
        return self.transport.read(self.transport.clock.now())

    def _discard(self) -> bytes:
        return self.transport.discard_input()


class _WatchedPort(ServedPort):
    """A port that the system watches."""

    def __init__(self, transport: Transport, fileno: int) -> None:
        super().__init__(transport)
        self._fileno = fileno

    @override
    def fileno(self) -> int:
        return self._fileno


class _ScheduledPort(ServedPort):
    """A port that knows its next event."""

    def __init__(self, transport: Transport, agenda: HasAgenda) -> None:
        super().__init__(transport)
        self._agenda = agenda

    @override
    def seconds_to_wait(self) -> float | None:
        moment = self._agenda.next_event()
        return None if moment is None else max(0.0, moment - self.transport.clock.now())


class _ThreadedPort(ServedPort):
    """A port that a thread reads, because nothing else can tell when there is something."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._lock = threading.Lock()
        self._unread = bytearray()
        self._failure: TransportError | None = None
        self._stopping = threading.Event()
        self._bell, self._bell_button = socket.socketpair()
        self._bell.settimeout(0)
        self._bell_button.settimeout(0)
        self._thread = threading.Thread(
            target=self._run, name=f"reader of {transport.name}", daemon=True
        )
        self._thread.start()

    @override
    def fileno(self) -> int:
        return self._bell.fileno()

    @override
    def _receive(self) -> bytes:
        with self._lock:
            data = bytes(self._unread)
            self._unread.clear()
            with suppress(BlockingIOError):
                self._bell.recv(1024)
            if self._failure is not None and not data:
                raise TransportClosedError(self._failure.port, self._failure.reason)
        return data

    @override
    def _discard(self) -> bytes:
        late = super()._discard()
        with self._lock:
            data = bytes(self._unread) + late
            self._unread.clear()
        return data

    @override
    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._bell.close()
        self._bell_button.close()

    def _run(self) -> None:
        clock = self.transport.clock
        while not self._stopping.is_set():
            try:
                data = self.transport.read(clock.now() + READ_PERIOD)
            except TransportError as exc:
                with self._lock:
                    self._failure = exc
                self._ring()
                return
            if data:
                with self._lock:
                    self._unread += data[: MAX_UNREAD_SIZE - len(self._unread)]
                self._ring()

    def _ring(self) -> None:
        # When it would block, it has rung so often that the loop cannot miss it.
        with suppress(BlockingIOError):
            self._bell_button.send(b"\0")


def serve_transport(transport: Transport) -> ServedPort:
    """Return ``transport`` in the form that suits it best."""
    if isinstance(transport, HasDescriptor):
        fileno = transport.fileno()
        if fileno is not None:
            return _WatchedPort(transport, fileno)
    if isinstance(transport, HasAgenda):
        return _ScheduledPort(transport, transport)
    return _ThreadedPort(transport)


def _ignore(_: bytes) -> None:
    pass
