"""DTR and RTS of a served port: what the recogniser decides, carried out in time.

A sequence takes up to a second, and a server has other things to do meanwhile: its steps
are carried out one by one when they are due.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.server.recogniser import Recogniser, ResetPolicy
from esploader.transport.steps import ResetSequence, ResetStep, SetLines, Wait

if TYPE_CHECKING:
    from esploader.transport.base import Transport

USB_SERIAL_JTAG_IDS: Final = (0x303A, 0x1001)
"""USB vendor and product id of the chip's own USB-Serial/JTAG port. Source: Technical
Reference Manual of the ESP32-C3."""


@define
class Lines:
    """Set the lines of a transport for a client; without lines, only remember what it asked."""

    _transport: Transport
    _policy: ResetPolicy = attrs.field(factory=ResetPolicy)
    is_transparent: bool = attrs.field(init=False)
    """Every request is carried out as it is."""

    _recogniser: Recogniser = attrs.field(init=False)
    _steps: deque[ResetStep] = attrs.field(factory=deque, init=False)
    _next_at: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self.is_transparent = not self._policy.is_recognised
        capabilities = self._transport.capabilities
        self._recogniser = Recogniser(
            self._policy,
            sets_at_once=capabilities.set_lines_at_once,
            is_usb_serial_jtag=(capabilities.usb_vid, capabilities.usb_pid) == USB_SERIAL_JTAG_IDS,
        )

    @property
    def dtr(self) -> bool:
        """As the client asked."""
        return self._recogniser.dtr

    @property
    def rts(self) -> bool:
        """As the client asked."""
        return self._recogniser.rts

    @property
    def reset_count(self) -> int:
        """How many sequences have been recognised."""
        return self._recogniser.reset_count

    @property
    def is_playing(self) -> bool:
        """A sequence is being played; everything else has to wait for it."""
        return bool(self._steps)

    @property
    def next_at(self) -> float | None:
        """When :meth:`pump` has something to do; ``None`` for never."""
        return self._next_at if self._steps else self._recogniser.deadline

    def request(self, *, now: float, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Take in a request of the client, which may move the lines now, later or not at all.

        Raises:
            TransportError: the port failed.
        """
        if self.is_transparent:
            self._start(self._recogniser.pass_through(dtr=dtr, rts=rts), now)
        else:
            self._start(self._recogniser.request(now=now, dtr=dtr, rts=rts), now)

    def restart(self, now: float) -> None:
        """Play the reset into the application, after what is being played.

        Raises:
            TransportError: the port failed.
        """
        self._start(self._recogniser.restart(now), now)

    def settle(self, now: float) -> None:
        """Pass on what is withheld: what comes next may depend on it.

        Raises:
            TransportError: the port failed.
        """
        self._start(self._recogniser.give_up(now), now)

    def pump(self, now: float) -> None:
        """Do what is due.

        Raises:
            TransportError: the port failed.
        """
        self._carry_out(now)
        deadline = self._recogniser.deadline
        if not self._steps and deadline is not None and now >= deadline:
            self.settle(now)

    def release(self, now: float) -> None:
        """Let the client go: release what it asserted, after what is being played.

        Raises:
            TransportError: the port failed.
        """
        self._start(self._recogniser.release(), now)
        self.is_transparent = not self._policy.is_recognised

    def reopen(self, transport: Transport, now: float) -> None:
        """Go on with a port that has come back.

        Raises:
            TransportError: the port failed.
        """
        self._transport = transport
        self._steps.clear()
        self._start(self._recogniser.reopened(), now)

    def _start(self, steps: ResetSequence, now: float) -> None:
        if not self._transport.capabilities.set_lines:
            return
        if not self._steps:
            self._next_at = now
        self._steps.extend(steps)
        self._carry_out(now)

    def _carry_out(self, now: float) -> None:
        while self._steps and now >= self._next_at:
            match self._steps.popleft():
                case SetLines(dtr, rts):
                    self._transport.set_lines(dtr=dtr, rts=rts)
                case Wait(seconds):
                    # From now and not from when it was due: no step is ever cut short.
                    self._next_at = now + seconds
