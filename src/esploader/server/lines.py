"""DTR and RTS of a served port, set by a client that is far away.

A client that resets a chip into download mode holds it in reset with RTS alone, then
asserts DTR, then releases RTS. In between both are asserted, which is neutral: the chip
starts. On a local port that takes microseconds and the capacitor on EN bridges it; a
client on a network sends the two changes as two requests, and pyserial's waits for at
least 50 ms after the first. By then the chip has started from flash, with its boot strap
released. So a DTR that is asserted while RTS holds the chip in reset is kept back for a
moment, and reaches the port together with the release of RTS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from esploader.transport.base import Transport

HOLD_TIME: Final = 0.5
"""For how long DTR is kept back at most, in seconds: pyserial's pause and a slow network's
round trip. Staying in reset for that long does no harm."""


@attrs.define
class Lines:
    """Set the lines of a transport for a client; without lines, only remember what it asked."""

    _transport: Transport
    dtr: bool = attrs.field(default=False, init=False)
    """As the client asked."""

    rts: bool = attrs.field(default=False, init=False)
    """As the client asked."""

    _held_until: float | None = attrs.field(default=None, init=False)

    def set_dtr(self, asserted: bool) -> None:  # noqa: FBT001 - it is what the name says
        """Assert or release DTR, now or, when the chip is held in reset, a little later."""
        is_held, was_asserted = self._held_until is not None, self.dtr
        self.dtr = asserted
        if is_held and asserted:
            return
        if is_held:
            self._held_until = None  # it was never asserted at the port
        elif asserted and self.rts and not was_asserted:
            self._held_until = self._transport.clock.now() + HOLD_TIME
        else:
            self._set(dtr=asserted)

    def set_rts(self, asserted: bool) -> None:  # noqa: FBT001 - it is what the name says
        """Assert or release RTS, and DTR with it if that was kept back."""
        self.rts = asserted
        self._set(dtr=None if self._held_until is None else True, rts=asserted)

    def settle(self) -> None:
        """Assert what was kept back."""
        if self._held_until is not None:
            self._set(dtr=True)

    def settle_in_time(self) -> None:
        """Assert what was kept back for long enough."""
        if self.seconds_to_wait() == 0:
            self.settle()

    def seconds_to_wait(self) -> float | None:
        """Return when :meth:`settle_in_time` has something to do; ``None`` for never."""
        if self._held_until is None:
            return None
        return max(0.0, self._held_until - self._transport.clock.now())

    def release(self) -> None:
        """Release what the client asserted, without a reset."""
        self._held_until = None
        if self.dtr and self.rts and self._transport.capabilities.set_lines_at_once:
            self._set(dtr=False, rts=False)
        else:
            # RTS first: DTR first would leave RTS alone asserted, which resets the chip.
            if self.rts:
                self._set(rts=False)
            if self.dtr:
                self._set(dtr=False)
        self.dtr = self.rts = False

    def _set(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self._held_until = None
        if self._transport.capabilities.set_lines:
            self._transport.set_lines(dtr=dtr, rts=rts)
