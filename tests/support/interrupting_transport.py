"""A transport whose user is interrupted: by Ctrl-C at one moment, wherever that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from typing_extensions import override

from esploader.errors import CapabilityError
from esploader.simulator.line.transport import SimulatedTransport
from esploader.transport.clock import Clock
from esploader.transport.wrapping import WrappingTransport

if TYPE_CHECKING:
    import random

    from esploader.transport.base import Capabilities


@attrs.define
class _InterruptedClock(Clock):
    """The clock of such a transport: a sleep ends early."""

    line: InterruptingTransport

    @override
    def now(self) -> float:
        return self.line.inner.clock.now()

    @override
    def sleep(self, seconds: float) -> None:
        self.line.sleep(seconds)


@attrs.define(eq=False, kw_only=True)
class InterruptingTransport(WrappingTransport[SimulatedTransport]):
    """Raises :exc:`KeyboardInterrupt` once, in whatever is going on at a moment.

    Of what is written then a part has got there.
    """

    moment: float
    chance: random.Random
    has_lines: bool = True
    _is_over: bool = attrs.field(default=False, init=False)

    @property
    @override
    def capabilities(self) -> Capabilities:
        return attrs.evolve(
            self.inner.capabilities,
            set_lines=self.has_lines,
            set_lines_at_once=self.has_lines,
            gated=False,
        )

    @property
    @override
    def clock(self) -> Clock:
        return _InterruptedClock(self)

    @override
    def read(self, deadline: float) -> bytes:
        if self._is_over:
            return self.inner.read(deadline)
        data = self.inner.read(min(deadline, max(self.moment, self.inner.clock.now())))
        if not data:
            self._interrupt_if_due()
        return data

    @override
    def write(self, data: bytes) -> None:
        if not self._is_over:
            # Its bytes take their time; the driver may have taken them all, or not.
            spare = self.moment - max(self.inner.clock.now(), self.inner.drained_at)
            count = max(int(spare * self.inner.baudrate / 10), 0)
            if count < len(data) and self.chance.random() < 0.5:
                self.inner.write(data[:count])
                self.inner.clock.sleep(self.moment - self.inner.clock.now())
                self._interrupt_if_due()
        self.inner.write(data)

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        if not self.has_lines:
            raise CapabilityError(self.name, "set DTR and RTS")
        self._interrupt_if_due()
        self.inner.set_lines(dtr=dtr, rts=rts)

    @override
    def set_baudrate(self, baudrate: int) -> None:
        self._interrupt_if_due()
        self.inner.set_baudrate(baudrate)

    def sleep(self, seconds: float) -> None:
        """Wait, at most until the moment."""
        left = self.moment - self.inner.clock.now()
        if self._is_over or left > seconds:
            self.inner.clock.sleep(seconds)
        else:
            self.inner.clock.sleep(left)
            self._interrupt_if_due()

    def _interrupt_if_due(self) -> None:
        if not self._is_over and self.inner.clock.now() >= self.moment:
            self._is_over = True
            raise KeyboardInterrupt
