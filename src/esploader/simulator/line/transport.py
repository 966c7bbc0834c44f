"""The transport whose other end is a simulated device."""

from __future__ import annotations

import abc
import logging
from typing import TYPE_CHECKING, ClassVar, ParamSpec, TypeVar

import attrs

from esploader.classes import define, override
from esploader.errors import (
    FlashFileError,
    PortNotFoundError,
    TransportClosedError,
    TransportError,
)
from esploader.transport.base import DEFAULT_BAUDRATE, Capabilities, Transport
from esploader.transport.clock import Clock, RealClock, VirtualClock

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from typing import Self

    from esploader.simulator.bench import HardwareOnBench

_LOG = logging.getLogger(__name__)

_T = TypeVar("_T")
_P = ParamSpec("_P")

_CAPABILITIES = Capabilities(set_lines=True, set_lines_at_once=True, set_baudrate=True)


@define(eq=False, repr=False)
class _Line(Transport):
    """A serial line to a simulated device, whatever the clock.

    Closing it writes what of the flash is not in its file, if it has one. Once something
    cannot be written to that file, all that is asked of the device fails: nobody is to take
    for done what is not there afterwards.
    """

    _reads_pieces: ClassVar[bool] = False
    """:meth:`read` returns what an adapter hands over at once, and no half of it."""

    device: HardwareOnBench
    """The device at its other end."""
    _name: str = "sim://"
    _baudrate: int | None = attrs.field(default=DEFAULT_BAUDRATE, kw_only=True)
    _owns_device: bool = attrs.field(default=False, kw_only=True)
    """Closing it ends the device, too."""

    _free_at: float = attrs.field(default=float("-inf"), init=False)
    _known_absence: float = attrs.field(init=False)
    """Until when the port was last gone of which the user has had an exception."""
    _closed: bool = attrs.field(default=False, init=False)
    _changed: threading.Condition = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._changed = self.device.changed
        self._known_absence = self.device.port.absent_until

    @property
    @override
    def name(self) -> str:
        return self._name

    @property
    @override
    def capabilities(self) -> Capabilities:
        ids = self.device.port.usb_ids
        if ids is None:
            return _CAPABILITIES
        return attrs.evolve(_CAPABILITIES, usb_vid=ids[0], usb_pid=ids[1])

    @property
    @override
    def baudrate(self) -> int:
        return self._baudrate if self._baudrate is not None else self.device.baudrate

    @property
    def _line_rate(self) -> int | None:
        """The rate on the line; ``None`` on USB, where any that is set suits the device."""
        return self._baudrate if self.device.port.usb_ids is None else None

    @property
    def drained_at(self) -> float:
        """The moment at which all that was written has arrived at the device."""
        return self._free_at

    def next_event(self) -> float | None:
        """Return when :meth:`read` can first return something new; ``None`` for never.

        Anything done to the device may change the answer.
        """
        with self._changed:
            moment = self.device.next_event_time()
        return None if moment == float("inf") else moment

    @override
    def read(self, deadline: float) -> bytes:
        with self._changed:
            while True:
                now = self._check_open()
                data = self._take_output(now, in_pieces=self._reads_pieces)
                if data or now >= deadline:
                    return data
                self._wait(min(self.device.next_event_time(), deadline))

    @override
    def write(self, data: bytes) -> None:
        with self._changed:
            start = max(self._check_open(), self._free_at)
            self._free_at = self.device.receive(data, start, self._line_rate)
            self._changed.notify_all()

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        with self._changed:
            device, now = self.device, self._check_open()
            # First what was due before that.
            self._involve(None, device.advance, now)
            dtr = device.dtr if dtr is None else dtr
            rts = device.rts if rts is None else rts
            self._involve(None, device.set_lines, dtr=dtr, rts=rts, now=now)
            self._changed.notify_all()

    @override
    def set_baudrate(self, baudrate: int) -> None:
        with self._changed:
            self._check_open()
            self._baudrate = baudrate

    @override
    def discard_input(self) -> bytes:
        with self._changed:
            return self._take_output(self._check_open(), in_pieces=False)

    @override
    def close(self) -> None:
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        try:
            if self._owns_device:
                self.device.close()
            else:
                self.device.nor.save_changes()
        except OSError as exc:
            raise _file_error(self._name, exc) from exc

    def _take_output(self, until: float, *, in_pieces: bool) -> bytes:
        output = self._involve(
            b"", self.device.take_output, until, self._line_rate, in_pieces=in_pieces
        )
        # Not before what came of it is passed on.
        self._check_file()
        return output

    def _involve(
        self,
        otherwise: _T,  # noqa: ARG002 - see below
        action: Callable[_P, _T],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _T:
        """Have the device do something, in which its application or a listener may fail.

        ``otherwise`` is what to return then, for those who do not let exceptions pass.
        """
        return action(*args, **kwargs)

    @abc.abstractmethod
    def _wait(self, until: float) -> None:
        """Let time pass until that moment or until something changes. The lock is held."""

    def _check_open(self) -> float:
        """Return what time it is, if the port is still there."""
        if self._closed:
            raise TransportClosedError(self._name, "the port is closed")
        now, absent_until = self.clock.now(), self.device.port.absent_until
        if now < absent_until or absent_until > self._known_absence:
            # Also who looks only when it is back has lost what was opened.
            self._known_absence = absent_until
            raise TransportClosedError(self._name, "a reset has taken the port away")
        if now < self.device.unheard_until:
            raise TransportClosedError(self._name, "the line is broken")
        self._check_file()
        return now

    def _check_file(self) -> None:
        failure = self.device.nor.file_failure
        if failure is not None:
            raise _file_error(self._name, failure)


def _file_error(name: str, exc: OSError) -> FlashFileError:
    reason = f"the flash cannot be written to its file {exc.filename}: {exc.strerror}"
    return FlashFileError(name, reason)


@define(eq=False, repr=False)
class SimulatedTransport(_Line):
    """A device in virtual time: waiting takes no time, and all times are exact.

    Raises:
        ValueError: the device lives in real time.
    """

    _clock: VirtualClock = attrs.field(init=False)

    @override
    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if not isinstance(self.device.clock, VirtualClock):
            raise ValueError("the device lives in real time")  # noqa: TRY004 - no wrong type
        self._clock = self.device.clock

    @property
    @override
    def clock(self) -> Clock:
        return self._clock

    @override
    def _wait(self, until: float) -> None:
        if until == float("inf"):
            raise TransportError(self._name, "waiting without end for a device that is silent")
        self._clock.advance_to(until)


@define(eq=False, repr=False)
class RealTimeTransport(_Line):
    """A device in real time, for those who serve it to other programs.

    Safe to use from several threads: one may wait in :meth:`read` while others call the
    rest. While nothing happens nothing is done. From the moment on at which it is made, the
    device lives in real time.

    An exception in its application, or in a listener, would end up with whoever serves it, who
    cannot do anything about it. So it does not come out here, but goes to ``on_failure``, and
    into the log without that; the device is silent until its next reset.
    """

    # Every read wakes whoever serves it, and a client, which is what serving costs.
    _reads_pieces: ClassVar[bool] = True

    on_failure: Callable[[BaseException], None] | None = attrs.field(default=None, kw_only=True)
    """Called with such an exception, in the thread in which it came up."""

    _clock: RealClock = attrs.field(factory=RealClock, init=False)

    @override
    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.device.clock = self._clock

    @property
    @override
    def clock(self) -> Clock:
        return self._clock

    def reopened(self) -> Self:
        """Return another port to the device, which still ends with this one.

        Raises:
            PortNotFoundError: a reset has taken it away, and it is not back.
        """
        if self.device.is_line_broken:
            raise PortNotFoundError(self._name, "a reset has taken it off the bus")
        return attrs.evolve(self, owns_device=False)

    @override
    def _wait(self, until: float) -> None:
        if until == float("inf"):
            self._changed.wait()
        else:
            self._changed.wait(max(until - self._clock.now(), 0.0))

    @override
    def _involve(
        self, otherwise: _T, action: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        try:
            return action(*args, **kwargs)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # noqa: BLE001 - pytest.fail() and sys.exit(), too
            self.device.halt()
            if self.on_failure is None:
                _LOG.warning(
                    "%s: the device has failed, and is silent until it is reset",
                    self._name,
                    exc_info=exc,
                )
            else:
                self.on_failure(exc)
            return otherwise
