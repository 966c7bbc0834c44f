"""Transports whose far end obeys gates, so that a whole job may be sent ahead.

``docs/gates.md`` says what gates are. Here is what the layers above need of them: items
go out in order and in one flight; what went wrong shows up where the bytes are read.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Final, TypeAlias

from esploader.classes import frozen, override
from esploader.errors import TransportTimeoutError
from esploader.transport.base import Transport

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esploader.transport.gates import Gate
    from esploader.transport.steps import ResetStep

SILENCE_TIMEOUT: Final = 10.0
"""For how long a server that has something to do may say nothing at all, in seconds. It
owes a sign of life every two."""

GATED_TURNAROUND: Final = 0.003
"""From a response at the far end to the next command there, in seconds, give or take."""


@frozen
class SetBaudrate:
    """Set the rate of the port in its turn, when everything in front has left it."""

    baudrate: int


Item: TypeAlias = "bytes | Gate | ResetStep | SetBaudrate"
"""What can be sent ahead."""


class GatedTransport(Transport):
    """A transport that can send ahead, while :attr:`Capabilities.gated` says so.

    What goes out through :meth:`~Transport.write` and its like takes its turn behind what
    was sent ahead.
    """

    @property
    @abc.abstractmethod
    def queue_size(self) -> int:
        """How much may wait behind a gate at the far end, in bytes on the way there."""

    @property
    @abc.abstractmethod
    def last_activity(self) -> float:
        """When anything was last sent or received, signs of life included."""

    @property
    @override
    def turnaround(self) -> float:
        return GATED_TURNAROUND if self.capabilities.gated else self.round_trip

    @abc.abstractmethod
    def send_ahead(self, items: Iterable[Item]) -> int:
        """Send ``items`` in one flight; return its size in bytes.

        :meth:`read` raises :exc:`~esploader.transport.gates.GateFailedError` when a gate
        among them stays shut, once it has returned what came in front of that.
        """

    @abc.abstractmethod
    def arm(self) -> bytes:
        """Begin anew: take back what has not reached the chip, throw away what came.

        Costs no round trip. Returns bytes of the port that have been thrown away; nothing
        that the chip says after this is among them.
        """

    @abc.abstractmethod
    def await_settings(self, seconds: float) -> None:
        """Wait until the lines have been set that were sent ahead.

        ``seconds`` is how long the delays in front of them are.
        """

    def receive_ahead(self, deadline: float) -> bytes:
        """Return what arrives next, for as long as the far end shows that it is there.

        ``deadline`` is when what is waited for has to be there, whatever signs of life come:
        a server that keeps its promises has said by then that a gate stayed shut.

        Raises:
            GateFailedError: a gate stayed shut.
            TransportTimeoutError: not even a sign of life for :data:`SILENCE_TIMEOUT`, or
                nothing else until ``deadline``.
        """
        while True:
            data = self.read(min(self.last_activity + SILENCE_TIMEOUT, deadline))
            if data:
                return data
            now = self.clock.now()
            if now >= self.last_activity + SILENCE_TIMEOUT:
                raise TransportTimeoutError(
                    self.name, f"the server said nothing for {SILENCE_TIMEOUT:g} s"
                )
            if now >= deadline:
                raise self.overdue()

    def overdue(self) -> TransportTimeoutError:
        """Return the error for a server that neither opens a gate nor says that it failed."""
        return TransportTimeoutError(
            self.name, "the server keeps a gate shut for longer than it was told to"
        )


def as_gated(transport: Transport) -> GatedTransport | None:
    """Return ``transport`` if its far end obeys gates."""
    if isinstance(transport, GatedTransport) and transport.capabilities.gated:
        return transport
    return None
