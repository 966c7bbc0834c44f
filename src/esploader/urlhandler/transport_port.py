"""A transport of ours as an object of pyserial, for programs that know nothing else.

There is no file descriptor, so whoever sets lines by ``ioctl`` does not reach them; ``dtr`` and
``rts`` do.
"""

from __future__ import annotations

import abc
import errno
import io
import math
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import serial

from esploader.classes import override
from esploader.errors import EsploaderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from esploader.transport.base import Transport


class TransportPort(serial.SerialBase, abc.ABC):
    """What pyserial calls a port, over a transport that :meth:`_open_transport` opens.

    As with other ports of pyserial, one thread may wait in :meth:`read` while others write,
    set lines, purge and close, where the transport allows that.
    """

    # Kept by the base class, which the type stubs do not say.
    _dtr_state: bool
    _rts_state: bool
    _timeout: float | None

    def __init__(self, *args: object, **kwargs: object) -> None:
        self._transport: Transport | None = None
        self._received = bytearray()
        self._receiving = threading.Lock()
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    @abc.abstractmethod
    def _open_transport(self, url: str) -> Transport:
        """Return a new transport to ``url``, at the rate and with the lines that are asked for.

        Raises:
            EsploaderError: it cannot be opened.
        """

    def open(self) -> None:
        """Connect."""
        if self._transport is not None:
            raise serial.SerialException("the port is already open")
        url = self.portstr
        if url is None:
            raise serial.SerialException("the port has no URL yet")
        with _as_serial_exception():
            self._transport = self._open_transport(url)
        self.is_open = True

    @override
    def close(self) -> None:
        self.is_open = False
        transport, self._transport = self._transport, None
        self._received.clear()
        if transport is not None:
            with _as_serial_exception():
                transport.close()

    @property
    def in_waiting(self) -> int:
        """How many bytes can be read without waiting."""
        transport = self._opened()
        # Another thread that waits in read() takes in what arrives.
        if self._receiving.acquire(blocking=False):
            try:
                self._receive(transport, -math.inf)
            finally:
                self._receiving.release()
        return len(self._received)

    @override
    def read(self, size: int = 1, /) -> bytes:
        transport = self._opened()
        now = transport.clock.now
        deadline = math.inf if self._timeout is None else now() + self._timeout
        with self._receiving:
            while len(self._received) < size:
                # Before the look at the clock: a timeout of 0 takes what is there.
                self._receive(transport, deadline)
                if now() >= deadline:
                    break
            data = bytes(self._received[:size])
            del self._received[:size]
        return data

    @override
    def write(self, b: Buffer, /) -> int | None:
        data = bytes(b)
        with _as_serial_exception():
            self._opened().write(data)
        return len(data)

    @override
    def flush(self) -> None:
        self._opened()

    @override
    def fileno(self) -> int:
        # The number says to those who want lines what a pseudo-terminal would say.
        raise io.UnsupportedOperation(errno.ENOTTY, "this port has no descriptor")

    def reset_input_buffer(self) -> None:
        """Drop what has arrived."""
        with _as_serial_exception():
            self._opened().discard_input()
        self._received.clear()

    def reset_output_buffer(self) -> None:
        """Do nothing: what is written has been taken at once."""
        self._opened()

    def _reconfigure_port(self) -> None:
        transport = self._opened()
        # pyserial comes here with every setting, and not every transport can set a rate.
        if self.baudrate != transport.baudrate:
            with _as_serial_exception():
                transport.set_baudrate(self.baudrate)

    def _update_dtr_state(self) -> None:
        with _as_serial_exception():
            self._opened().set_lines(dtr=self._dtr_state)

    def _update_rts_state(self) -> None:
        with _as_serial_exception():
            self._opened().set_lines(rts=self._rts_state)

    def _update_break_state(self) -> None:
        self._opened()

    @property
    def cts(self) -> bool:
        """Clear to send; nothing here stops the host."""
        return True

    @property
    def dsr(self) -> bool:
        """Data set ready."""
        return True

    @property
    def ri(self) -> bool:
        """Ring indicator."""
        return False

    @property
    def cd(self) -> bool:
        """Carrier detect."""
        return False

    def _opened(self) -> Transport:
        if self._transport is None:
            raise serial.PortNotOpenError
        return self._transport

    def _receive(self, transport: Transport, deadline: float) -> None:
        with _as_serial_exception():
            self._received += transport.read(deadline)


@contextmanager
def _as_serial_exception() -> Iterator[None]:
    try:
        yield
    except EsploaderError as exc:
        raise serial.SerialException(str(exc)) from exc
