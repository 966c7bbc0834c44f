"""A transport as a loop that waits for many things at once needs it.

A transport only has ``read(deadline)``, which blocks. The loop needs to know what to
wait for instead, and a transport may say so with one of two methods:

* :class:`HasDescriptor`: the system can tell when bytes have arrived (a serial port on
  POSIX, a socket);
* :class:`HasAgenda`: the transport itself knows when it will have something to say (a
  simulated device: it never speaks before its next event).

Both are then used from one thread only. A transport with neither is read by a thread of
its own while the loop writes to it, so it has to bear that (a serial port on Windows).
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from typing_extensions import override

from esploader.errors import TransportClosedError, TransportError

if TYPE_CHECKING:
    from esploader.transport.base import Transport

READ_PERIOD: Final = 0.05
"""For how long a reader thread lets the transport wait, in seconds: how long stopping may
take. Bytes end the wait at once."""

MAX_UNREAD_SIZE: Final = 1024 * 1024
"""More than this is lost, as any receive buffer loses what nobody takes. In bytes."""


@runtime_checkable
class HasDescriptor(Protocol):
    """A transport that the system can watch."""

    def fileno(self) -> int | None:
        """Return a descriptor that is readable when bytes have arrived; ``None`` without."""
        ...


@runtime_checkable
class HasAgenda(Protocol):
    """A transport that knows when it will have something to say."""

    def next_event(self) -> float | None:
        """Return the moment of its clock at which ``read`` can first return something new.

        ``None`` when it will stay silent until something is done to it. Anything done to
        it may change the answer.
        """
        ...


class ServedPort:
    """What the loop asks of a port, besides the transport itself."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def fileno(self) -> int | None:
        """Return a descriptor to wait for; ``None`` when there is none."""
        return None

    def seconds_to_wait(self) -> float | None:
        """Return after how long to look again; ``None`` for never."""
        return None

    def read(self) -> bytes:
        """Return what has arrived, without waiting."""
        return self.transport.read(self.transport.clock.now())

    def discard_input(self) -> None:
        """Empty the receive buffers of the port."""
        self.transport.discard_input()

    def close(self) -> None:
        """Stop whatever watches the transport, which stays open."""


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
    def read(self) -> bytes:
        with self._lock:
            data = bytes(self._unread)
            self._unread.clear()
            with suppress(BlockingIOError):
                self._bell.recv(1024)
            if self._failure is not None and not data:
                raise TransportClosedError(self._failure.port, self._failure.reason)
        return data

    @override
    def discard_input(self) -> None:
        super().discard_input()
        with self._lock:
            self._unread.clear()

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
