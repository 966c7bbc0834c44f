"""What the layers above may expect of a byte pipe."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

from esploader.classes import frozen, override
from esploader.errors import CapabilityError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from esploader.transport.clock import Clock
    from esploader.transport.ports import PortInfo

DEFAULT_BAUDRATE = 115200
"""The rate at which every ROM loader listens after a reset, in baud."""

BAUDRATES = (DEFAULT_BAUDRATE, 230400, 460800, 921600, 1_500_000, 2_000_000, 3_000_000)
"""The rates to step down through, in baud."""

BITS_PER_BYTE = 10
"""On the wire: a start bit, eight data bits, a stop bit."""


@frozen(kw_only=True)
class Capabilities:
    """What a pipe can do. Data, so that nobody has to try in order to know."""

    set_lines: bool
    """DTR and RTS can be set."""

    set_lines_at_once: bool
    """Both lines can change in one step, with no state between."""

    set_baudrate: bool
    """The baud rate can be set."""

    gated: bool = False
    """The far end obeys gates, so that a whole job may be sent ahead."""

    remote: bool = False
    """A network lies between: a round trip costs more than a millisecond."""

    usb_vid: int | None = None
    """USB vendor id of the port, where it is known."""

    usb_pid: int | None = None
    """USB product id of the port, where it is known."""


class Transport(abc.ABC):
    """A byte pipe with two lines, a baud rate and a clock.

    A deadline is a moment of :attr:`clock`. It is an argument of each call and never a
    state of the port, so changing one costs nothing. Every method raises
    :exc:`~esploader.errors.TransportError` (or a subclass) when the pipe fails, and
    nothing else; what a pipe cannot do at all raises
    :exc:`~esploader.errors.CapabilityError`.

    Used as a context manager it closes itself, and nothing more: no reset.
    """

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The port's name or URL, as a person would write it."""

    @property
    @abc.abstractmethod
    def capabilities(self) -> Capabilities:
        """What this pipe can do."""

    @property
    def usb_port(self) -> PortInfo | None:
        """What the port was on USB when it was opened; ``None`` where that is not known."""
        return None

    @property
    @abc.abstractmethod
    def clock(self) -> Clock:
        """The clock that deadlines refer to."""

    @property
    @abc.abstractmethod
    def baudrate(self) -> int:
        """The rate in baud that the pipe was last set to."""

    @property
    def round_trip(self) -> float:
        """How long a byte takes there and back, in seconds; 0 where no network lies between."""
        return 0.0

    @property
    def turnaround(self) -> float:
        """What one more exchange costs among several, wire and work apart, in seconds."""
        return self.round_trip

    @abc.abstractmethod
    def read(self, deadline: float) -> bytes:
        """Return what has arrived, at once; wait for it until ``deadline``.

        Returns ``b""`` when nothing has arrived by then. A deadline in the past polls.
        """

    @abc.abstractmethod
    def write(self, data: bytes) -> None:
        """Hand over all of ``data``, in order.

        Returns when the pipe has taken it, which may be before it is on the wire.
        """

    @abc.abstractmethod
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Assert (``True``) or release (``False``) lines; ``None`` leaves one as it is.

        Both in one step where the pipe can (:attr:`Capabilities.set_lines_at_once`).
        """

    @abc.abstractmethod
    def set_baudrate(self, baudrate: int) -> None:
        """Set the rate in baud, from the next byte on."""

    def require_baudrate(self) -> None:
        """Raise :exc:`~esploader.errors.CapabilityError` unless the rate can be set."""
        if not self.capabilities.set_baudrate:
            raise CapabilityError(self.name, "set the baud rate")

    def require_lines(self) -> None:
        """Raise :exc:`~esploader.errors.CapabilityError` unless there are lines to set."""
        if not self.capabilities.set_lines:
            raise CapabilityError(self.name, "set DTR and RTS")

    @abc.abstractmethod
    def discard_input(self) -> bytes:
        """Empty the receive buffers and return what was in them, as far as it is known."""

    @abc.abstractmethod
    def close(self) -> None:
        """Release the port. Never raises; closing twice is allowed."""

    @override
    def __repr__(self) -> str:
        # What it is made of, down to a simulated chip, would bury whatever it is printed with.
        return f"<{type(self).__name__} {self.name}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
