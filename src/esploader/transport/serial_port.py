"""Local serial ports, and everything else that pyserial opens.

Deadlines never touch the port. Where it has a descriptor we wait on that, and the port
itself never blocks; where it has none (Windows, ``loop://``) the port gets one short
timeout, once.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, cast

import attrs
import serial

from esploader.classes import define, override
from esploader.errors import (
    CapabilityError,
    PortNotFoundError,
    TransportClosedError,
    TransportError,
    TransportTimeoutError,
    UnknownSchemeError,
    UrlError,
)
from esploader.transport import modem_lines, serial_errors
from esploader.transport.base import DEFAULT_BAUDRATE, Capabilities, Transport
from esploader.transport.clock import Clock, RealClock
from esploader.transport.hwgrep import is_hwgrep, matching_devices
from esploader.transport.line_format import FlowControl, InputLines, LineFormat, Parity
from esploader.transport.ports import PortInfo, described, find_port, list_ports
from esploader.transport.serial_errors import PORT_ERRORS, STUCK, io_errors, open_errors
from esploader.transport.wait import wait_readable

if TYPE_CHECKING:
    from collections.abc import Iterator

_log: Final = logging.getLogger(__name__)

WRITE_TIMEOUT: Final = 10.0
"""For how long the port may take to accept one write of :data:`WRITE_SIZE`, in seconds."""

WRITE_SIZE: Final = 1024
"""How much is handed to the port at once, in bytes: 8.5 s at 1200 baud."""

READ_SIZE: Final = 64 * 1024
"""How much one read takes at most, in bytes."""

READ_TIMEOUT: Final = 0.02
"""The one timeout of a port without a descriptor, in seconds. It wakes up earlier when
something arrives, so this only bounds how late a deadline is noticed."""

_SPURIOUS_WAKE_UP: Final = 0.001

# Their properties for lines and baud rate do nothing but log.
_DEAF_MODULES: Final = frozenset({"serial.urlhandler.protocol_socket"})


@define(eq=False, repr=False)
class SerialPortTransport(Transport):
    """A port of this machine, or any object that behaves like one of pyserial's.

    Opening moves no line beyond what the operating system does: on POSIX both are
    asserted, which is neutral on boards with the usual reset circuit; on Windows both
    stay released.
    """

    _name: str
    _port: serial.Serial
    _capabilities: Capabilities
    _fileno: int | None
    _usb_port: PortInfo | None
    _restored: tuple[float | None, float | None] | None = None
    """Timeouts to give back with a port that belongs to the caller; ``None`` for our own."""

    _clock: Clock = attrs.field(factory=RealClock)
    _closed: bool = attrs.field(default=False, init=False)

    @classmethod
    def open(cls, port: str, *, baudrate: int = DEFAULT_BAUDRATE) -> SerialPortTransport:
        """Open a device by its name, or a pyserial URL, for this process alone.

        Raises:
            PortNotFoundError: there is no such port.
            PortPermissionError: this user may not open it.
            PortBusyError: somebody else has it.
            UnknownSchemeError: pyserial does not know the scheme of the URL either.
            UrlError: the rest of the URL makes no sense.
            TransportError: it is no serial port, or does not take the baud rate.
        """
        if baudrate <= 0:
            raise TransportError(port, f"{baudrate} is no baud rate")
        opened = prepare(port, baudrate)
        if is_hwgrep(port):
            _say_which(port, str(opened.port))
        with open_errors(port):
            if sys.platform == "win32":  # no test
                opened.dtr = False
                opened.rts = False
            opened.open()
        if sys.platform == "linux":  # no test
            # Adapters of FTDI keep bytes back for 16 ms otherwise. Not every port can.
            with suppress(AttributeError, NotImplementedError, OSError, ValueError):
                opened.set_low_latency_mode(True)
        try:
            return cls._around(port, opened, restored=None)
        except BaseException:
            opened.close()
            raise

    @classmethod
    def from_port(cls, port: serial.SerialBase) -> SerialPortTransport:
        """Use a port that the caller has opened.

        It stays the caller's: :meth:`close` gives it back open, with the timeouts it had.
        Its lines and its baud rate stay as they were last set. A write timeout that it has
        already is kept to.

        Raises:
            TransportClosedError: it is not open.
        """
        name = str(port.port or type(port).__name__)
        if not port.is_open:
            raise TransportClosedError(name, "the port that was handed over is not open")
        # The type stubs give to this class alone what every class of port has.
        every = cast("serial.Serial", port)
        return cls._around(name, every, restored=(port.timeout, port.write_timeout))

    @classmethod
    def _around(
        cls,
        name: str,
        port: serial.Serial,
        *,
        restored: tuple[float | None, float | None] | None,
    ) -> SerialPortTransport:
        fileno = _descriptor(port)
        with io_errors(name):
            port.timeout = READ_TIMEOUT if fileno is None else 0
            if not port.write_timeout:
                try:
                    port.write_timeout = WRITE_TIMEOUT
                except NotImplementedError:
                    # pyserial's rfc2217:// has none. It keeps the value all the same, and
                    # would fail with it at every change of a setting.
                    port.write_timeout = None
        known = _known_port(port)
        usb_port = None if known is None or known.vid is None else known
        return cls(name, port, _capabilities(port, fileno, usb_port), fileno, usb_port, restored)

    @property
    @override
    def name(self) -> str:
        return self._name

    @property
    @override
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    @override
    def usb_port(self) -> PortInfo | None:
        return self._usb_port

    @property
    @override
    def clock(self) -> Clock:
        return self._clock

    @property
    @override
    def baudrate(self) -> int:
        return self._port.baudrate

    def fileno(self) -> int | None:
        """Return a descriptor to wait on for bytes; ``None`` where there is none."""
        return self._fileno

    @override
    def read(self, deadline: float) -> bytes:
        with self._errors():
            if self._fileno is not None:
                return self._read_with_descriptor(self._fileno, deadline)
            return self._read_with_timeout(deadline)

    @override
    def write(self, data: bytes) -> None:
        unsent = memoryview(data)
        with self._errors():
            while unsent:
                # Real ports write all of it or raise; others say how much they took.
                written = self._port.write(bytes(unsent[:WRITE_SIZE]))
                if written == 0:
                    raise TransportTimeoutError(self._name, STUCK)
                unsent = unsent[WRITE_SIZE if written is None else written :]

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self.require_lines()
        with self._errors():
            if self._fileno is not None and self._capabilities.set_lines_at_once:
                modem_lines.set_at_once(self._fileno, dtr=dtr, rts=rts)
                return
            if dtr is not None:
                self._port.dtr = dtr
            if rts is not None:
                self._port.rts = rts
                if sys.platform == "win32":  # no test
                    # usbser.sys passes RTS on with the next write of DTR only.
                    self._port.dtr = self._port.dtr

    @override
    def set_baudrate(self, baudrate: int) -> None:
        self.require_baudrate()
        if baudrate == self._port.baudrate:
            return
        with self._errors(), serial_errors.rate_errors(self._name, baudrate):
            # What is still in the buffers belongs to the old rate.
            self._port.flush()
            previous = self._port.baudrate
            try:
                self._port.baudrate = baudrate
            except PORT_ERRORS:
                # pyserial remembers a rate that it could not set.
                with suppress(*PORT_ERRORS):
                    self._port.baudrate = previous
                raise

    def write_some(self, data: bytes) -> int:
        """Hand over as much of ``data`` as the port takes without waiting.

        Returns:
            How many bytes that was; on a port that has no descriptor, all of them.
        """
        if self._fileno is None:
            self.write(data)
            return len(data)
        with self._errors():
            try:
                return os.write(self._fileno, data)
            except (BlockingIOError, InterruptedError):
                return 0

    def output_size(self) -> int:
        """Return how many bytes have not left yet, as far as the system knows."""
        with self._errors(), suppress(AttributeError, NotImplementedError):
            return self._port.out_waiting
        return 0

    def discard_output(self) -> None:
        """Empty the transmit buffers."""
        with self._errors(), suppress(AttributeError, NotImplementedError):
            self._port.reset_output_buffer()

    @property
    def line_format(self) -> LineFormat:
        """How the line was last set."""
        port = self._port
        flow_control = FlowControl.NONE
        if port.rtscts:
            flow_control = FlowControl.RTS_CTS
        elif port.dsrdtr:
            flow_control = FlowControl.DTR_DSR
        elif port.xonxoff:
            flow_control = FlowControl.XON_XOFF
        return LineFormat(
            data_size=port.bytesize,
            parity=Parity(port.parity),
            stop_size=port.stopbits,
            flow_control=flow_control,
        )

    def set_line_format(self, line_format: LineFormat) -> None:
        """Set the whole format; where that fails, as much of the old one as can be.

        Raises:
            CapabilityError: the flow control is one that this system does not have.
            TransportError: the port does not take it, or failed.
        """
        is_dsr = line_format.flow_control is FlowControl.DTR_DSR
        if is_dsr and sys.platform != "win32":  # tests/transport/test_serial_port.py
            raise CapabilityError(self._name, "hold bytes back by DSR")
        before = self.line_format
        try:
            self._apply_format(line_format)
        except TransportClosedError:
            raise
        except TransportError:
            # pyserial remembers what it could not set.
            with suppress(TransportError):
                self._apply_format(before)
            raise

    def set_break(self, *, asserted: bool) -> None:
        """Hold the line low, or let it go."""
        with self._errors():
            self._port.break_condition = asserted

    def input_lines(self) -> InputLines | None:
        """Return the lines that the other end sets; ``None`` when the port has none."""
        if not self._capabilities.set_lines:
            return None
        with self._errors(), suppress(AttributeError, NotImplementedError):
            port = self._port
            return InputLines(cts=port.cts, dsr=port.dsr, ri=port.ri, dcd=port.cd)
        return None

    @override
    def discard_input(self) -> bytes:
        with self._errors():
            # A deadline long past: only what is there already.
            data = self.read(0.0)
            self._port.reset_input_buffer()
        return data

    @override
    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with suppress(NotImplementedError, *PORT_ERRORS):
            if self._restored is None:
                self._port.close()
            else:
                self._port.timeout, self._port.write_timeout = self._restored

    def _apply_format(self, line_format: LineFormat) -> None:
        with self._errors():
            port, flow_control = self._port, line_format.flow_control
            port.bytesize = line_format.data_size
            port.parity = line_format.parity.value
            port.stopbits = line_format.stop_size
            port.xonxoff = flow_control is FlowControl.XON_XOFF
            port.rtscts = flow_control is FlowControl.RTS_CTS
            port.dsrdtr = flow_control is FlowControl.DTR_DSR

    def _read_with_descriptor(self, fileno: int, deadline: float) -> bytes:
        readable = False
        while not (data := bytes(self._port.read(READ_SIZE))):
            remaining = deadline - self._clock.now()
            if remaining <= 0:
                break
            if readable:
                # It promised bytes and gave none; nobody says that it will not do so again.
                self._clock.sleep(min(remaining, _SPURIOUS_WAKE_UP))
            readable = wait_readable(fileno, remaining)
        return data

    def _read_with_timeout(self, deadline: float) -> bytes:
        while True:
            waiting = self._port.in_waiting
            if waiting:
                return bytes(self._port.read(waiting))
            if self._clock.now() >= deadline:
                return b""
            first = bytes(self._port.read(1))
            if first:
                return first + bytes(self._port.read(self._port.in_waiting))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        if self._closed:
            raise TransportClosedError(self._name, "the port is closed")
        with io_errors(self._name):
            yield


def prepare(port: str, baudrate: int = DEFAULT_BAUDRATE) -> serial.Serial:
    """Return pyserial's object for ``port``, not open yet.

    Raises:
        UnknownSchemeError: pyserial does not know the scheme of the URL.
        UrlError: the rest of the URL makes no sense.
        TransportError: there is no such port, as far as that shows by now.
    """
    scheme, separator, _ = port.partition("://")
    if separator and not _is_known(scheme.lower()):
        raise UnknownSchemeError(port, f"the scheme {scheme!r} is not known")
    try:
        return serial.serial_for_url(
            port,
            do_not_open=True,
            baudrate=baudrate,
            timeout=0,
            write_timeout=WRITE_TIMEOUT,
            exclusive=True,
        )
    # The handlers of URLs let through whatever goes wrong inside.
    except (LookupError, OSError, ValueError, re.error) as exc:
        if not separator:
            raise TransportError(port, str(exc)) from exc
        if scheme.lower() == "hwgrep" and isinstance(exc, serial.SerialException):
            raise PortNotFoundError(port, str(exc)) from exc
        raise UrlError(port, str(exc)) from exc


def _is_known(scheme: str) -> bool:
    if not scheme.isidentifier():
        return False
    return any(
        importlib.util.find_spec(f"{package}.protocol_{scheme}") is not None
        for package in serial.protocol_handler_packages
    )


def _descriptor(port: serial.SerialBase) -> int | None:
    """Return a descriptor that can be waited on; ``None`` where there is none."""
    try:
        fileno = port.fileno()
    except (AttributeError, NotImplementedError, OSError):
        return None
    return fileno if fileno >= 0 else None


def _known_port(port: serial.SerialBase) -> PortInfo | None:
    device = port.port if isinstance(port.port, str) and "://" not in port.port else None
    return find_port(device) if device else None


def _say_which(url: str, device: str) -> None:
    """Say which port is opened where others fit, too: the device may be another one than meant."""
    names = matching_devices(url)
    if len(names) > 1:
        known = {port.device: described(port) for port in list_ports()}
        fitting = ", ".join(known.get(name, name) for name in names)
        _log.warning("%s fits %d ports: %s; %s is opened", url, len(names), fitting, device)


def _capabilities(
    port: serial.SerialBase, fileno: int | None, usb_port: PortInfo | None
) -> Capabilities:
    """Find out what the port can do, without changing anything."""
    is_deaf = type(port).__module__ in _DEAF_MODULES
    is_atomic = fileno is not None and modem_lines.has_lines(fileno)
    # A port of this system that cannot tell its lines has none (a PTY); for other objects
    # their properties are all there is.
    is_native = fileno is not None and isinstance(port, serial.Serial)
    return Capabilities(
        set_lines=is_atomic or not (is_native or is_deaf),
        set_lines_at_once=is_atomic,
        set_baudrate=not is_deaf,
        usb_vid=usb_port.vid if usb_port else None,
        usb_pid=usb_port.pid if usb_port else None,
    )
