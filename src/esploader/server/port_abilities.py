"""What a transport may be able to do beyond the least, for those who serve it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from esploader.transport.line_format import InputLines, LineFormat


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


@runtime_checkable
class HasWireTime(Protocol):
    """A transport that knows how far the wire is."""

    @property
    def drained_at(self) -> float:
        """The moment of its clock at which all that was written is on the wire."""
        ...


@runtime_checkable
class WritesPartly(Protocol):
    """A transport that can be written to without waiting."""

    def write_some(self, data: bytes) -> int:
        """Hand over as much of ``data`` as is taken at once; return how much that was."""
        ...

    def output_size(self) -> int:
        """Return how many bytes have not left yet, as far as the system knows."""
        ...

    def discard_output(self) -> None:
        """Empty the transmit buffers."""
        ...


@runtime_checkable
class HasLineFormat(Protocol):
    """A transport that speaks more than 8N1, and can send a break."""

    @property
    def line_format(self) -> LineFormat:
        """How it was last set."""
        ...

    def set_line_format(self, line_format: LineFormat) -> None:
        """Set all of it.

        Raises:
            TransportError: it cannot be set like that, or the port failed.
        """
        ...

    def set_break(self, *, asserted: bool) -> None:
        """Hold the line low, or let it go."""
        ...


@runtime_checkable
class HasInputLines(Protocol):
    """A transport that can tell what the other end does with its lines."""

    def input_lines(self) -> InputLines | None:
        """Return the lines; ``None`` when it has none."""
        ...
