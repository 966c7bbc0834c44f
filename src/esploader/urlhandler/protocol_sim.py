"""A simulated device as an object of pyserial; found there by the name of this module.

The device runs in real time without the pace of a UART. It has no file descriptor, so
whoever changes lines by ``ioctl`` cannot reset it; ``dtr`` and ``rts`` do.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Final

import serial
from typing_extensions import override

from esploader.errors import EsploaderError
from esploader.simulator.url import open_served, parse

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from esploader.transport.base import Transport

_WITHOUT_END: Final = 3600.0


class Serial(serial.SerialBase):
    """The port of a simulated device."""

    # Kept by the base class, which the type stubs do not say.
    _dtr_state: bool
    _rts_state: bool
    _timeout: float | None

    def __init__(self, *args: object, **kwargs: object) -> None:
        self._transport: Transport | None = None
        self._received = bytearray()
        self._lock = threading.Lock()
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def open(self) -> None:
        """Make the device and connect to it."""
        if self._transport is not None:
            raise serial.SerialException("the port is already open")
        try:
            url = self.portstr or ""
            self._transport = open_served(parse(url), url)
            self._transport.set_baudrate(self.baudrate)
        except EsploaderError as exc:
            raise serial.SerialException(str(exc)) from exc
        self.is_open = True
        self._transport.set_lines(dtr=self._dtr_state, rts=self._rts_state)

    @override
    def close(self) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    @property
    def in_waiting(self) -> int:
        """How many bytes can be read without waiting."""
        with self._lock:
            self._receive(-math.inf)
            return len(self._received)

    @override
    def read(self, size: int = 1, /) -> bytes:
        clock = self._port().clock
        deadline = clock.now() + (_WITHOUT_END if self._timeout is None else self._timeout)
        with self._lock:
            while len(self._received) < size:
                self._receive(deadline)
                if clock.now() >= deadline:
                    break
            data = bytes(self._received[:size])
            del self._received[:size]
        return data

    @override
    def write(self, b: Buffer, /) -> int | None:
        try:
            self._port().write(data := bytes(b))
        except EsploaderError as exc:
            raise serial.SerialException(str(exc)) from exc
        return len(data)

    @override
    def flush(self) -> None:
        self._port()

    def reset_input_buffer(self) -> None:
        """Drop what has arrived."""
        with self._lock:
            self._port().discard_input()
            self._received.clear()

    def reset_output_buffer(self) -> None:
        """Do nothing: what is written has been taken at once."""
        self._port()

    def _reconfigure_port(self) -> None:
        if self._transport is not None and self._transport.baudrate != self.baudrate:
            self._transport.set_baudrate(self.baudrate)

    def _update_dtr_state(self) -> None:
        self._port().set_lines(dtr=self._dtr_state)

    def _update_rts_state(self) -> None:
        self._port().set_lines(rts=self._rts_state)

    def _update_break_state(self) -> None:
        self._port()

    @property
    def cts(self) -> bool:
        """Clear to send; the simulated bridge never stops the host."""
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

    def _port(self) -> Transport:
        if self._transport is None:
            raise serial.PortNotOpenError
        return self._transport

    def _receive(self, deadline: float) -> None:
        try:
            self._received += self._port().read(deadline)
        except EsploaderError as exc:
            raise serial.SerialException(str(exc)) from exc
