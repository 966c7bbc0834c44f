"""Reset sequences that a client far away plays on DTR and RTS, recognised.

A reset is a matter of milliseconds between two changes of a line, and a client on a network
cannot keep them: pyserial waits for at least 50 ms after each request. So a change that
may belong to a reset sequence is withheld, and when it is clear which sequence it was, the
whole of it is played next to the port, with the right times.

What is requested is a pair of lines, DTR and RTS. On the usual circuit RTS alone holds the
chip in reset (EN is low), DTR alone pulls the boot strap, and both or none are neutral.

* A neutral pair passes at once and in one step, so that opening and closing a port, which
  asserts or releases DTR and then RTS, never resets a chip.
* A reset begins when RTS is asserted while DTR is released: by a request for that, and not
  because DTR was released while RTS was asserted. Without one nothing here ever resets.
* It ends when RTS is released: with DTR asserted into download mode, else into the
  application, or, if the pairs before were those of USB-Serial/JTAG, by that sequence.
* What nothing decides within :data:`PATIENCE` is passed on as it is; except that a client
  whose first two requests assert RTS and then DTR has opened the port, and reset nothing. If
  it releases them again within that time, this is a reset: nothing tells it from one.

Nothing here does I/O; time comes as an argument.
"""

from __future__ import annotations

from collections import deque
from typing import Final, TypeAlias

import attrs

from esploader.classes import define, frozen
from esploader.transport.reset import (
    HARD_RESET,
    LONG_STRAP_DELAY,
    STRAP_DELAY,
    USB_SERIAL_JTAG,
    USB_SERIAL_JTAG_HARD_RESET,
    classic,
    tight,
)
from esploader.transport.steps import ResetSequence, SetLines, Wait

PATIENCE: Final = 2.0
"""After how long without another request what was withheld is passed on, in seconds: more
than a strap delay and the round trip of any network that works."""

REPETITION: Final = 10.0
"""A download reset that comes so soon after the last one comes because that one failed, in
seconds: the strap is then held for longer."""

_HOLD: Final = 0.1

Pair: TypeAlias = tuple[bool, bool]
"""DTR and RTS; asserted or not."""

RELEASED: Final[Pair] = (False, False)
ASSERTED: Final[Pair] = (True, True)
IN_RESET: Final[Pair] = (False, True)
STRAPPED: Final[Pair] = (True, False)

_USB_SERIAL_JTAG_PAIRS: Final = (RELEASED, STRAPPED, ASSERTED, IN_RESET, RELEASED)
# Two lines changed in one step, sent as two requests with RTS first: DTR is still to come.
_RTS_FIRST_PAIRS: Final = (IN_RESET, ASSERTED, IN_RESET, RELEASED)


@frozen(kw_only=True)
class ResetPolicy:
    """What becomes of the reset sequences that clients play."""

    is_recognised: bool = True
    """They are recognised and played by the server; otherwise every line passes as it is."""

    long_strap_delay: bool = False
    """The boot strap is held longer: for a large capacitor on EN."""

    download_mode: ResetSequence | None = None
    """Is played in place of the usual sequence into download mode."""

    hard_reset: ResetSequence | None = None
    """Is played in place of :data:`~esploader.transport.reset.HARD_RESET`."""


@define
class Recogniser:
    """Decides what reaches the lines of one port. Its methods return the steps to take."""

    policy: ResetPolicy
    sets_at_once: bool = attrs.field(kw_only=True)
    """The port changes both lines in one step."""

    is_usb_serial_jtag: bool = attrs.field(kw_only=True)
    """The port is that of the chip itself."""

    is_usb_otg: bool = attrs.field(default=False, kw_only=True)
    """The port is the other one that a chip may have itself."""

    dtr: bool = attrs.field(default=False, init=False)
    """As last requested."""

    rts: bool = attrs.field(default=False, init=False)
    """As last requested."""

    reset_count: int = attrs.field(default=0, init=False)
    """How many resets have been recognised since the last :meth:`release`, or were made by
    a client whose requests pass through."""

    _at_port: Pair | None = attrs.field(default=None, init=False)
    """What the port was last told; ``None`` when it was never told anything."""

    _pairs: deque[Pair] = attrs.field(factory=lambda: deque(maxlen=5), init=False)
    """What was requested lately, without repetitions."""

    _is_reset_begun: bool = attrs.field(default=False, init=False)
    _deadline: float | None = attrs.field(default=None, init=False)
    _downloaded_at: float | None = attrs.field(default=None, init=False)
    """When the strap was last held for the usual time, if no other reset came since."""

    @property
    def requested(self) -> Pair:
        """DTR and RTS as last requested."""
        return (self.dtr, self.rts)

    @property
    def deadline(self) -> float | None:
        """When to :meth:`give_up`; ``None`` while nothing is withheld."""
        return self._deadline

    def request(
        self, *, now: float, dtr: bool | None = None, rts: bool | None = None
    ) -> ResetSequence:
        """Take in a request for one line, or for both in one step."""
        self._take_in(dtr=dtr, rts=rts)
        pair = self.requested
        if rts and not self.dtr:
            self._is_reset_begun = True
        if not self._is_reset_begun:
            return self._pass_on() if self.dtr == self.rts else self._withhold(now)
        if pair == STRAPPED:
            return self._enter_download_mode(now)
        if pair == RELEASED and self._ends_with(_USB_SERIAL_JTAG_PAIRS):
            # Who cannot see which port it is means download mode.
            return (
                self._enter_download_mode(now)
                if self.is_usb_otg
                else self._play(USB_SERIAL_JTAG, now)
            )
        if pair == RELEASED and not self._ends_with(_RTS_FIRST_PAIRS):
            return self.restart(now)
        return self._withhold(now)

    def pass_through(self, *, dtr: bool | None = None, rts: bool | None = None) -> ResetSequence:
        """Take in a request that is carried out as it is."""
        self._take_in(dtr=dtr, rts=rts)
        self._begin_anew()
        before = self._at_port or RELEASED
        self._at_port = (
            before[0] if dtr is None else dtr,
            before[1] if rts is None else rts,
        )
        if before == IN_RESET != self._at_port:
            self.reset_count += 1
        return (SetLines(dtr=dtr, rts=rts),)

    def give_up(self, now: float) -> ResetSequence:
        """Pass on what is withheld: it is late, or something else depends on it."""
        if self._deadline is None:
            return ()
        self._deadline = None
        if self._is_reset_begun and self.requested == RELEASED:
            return self.restart(now)
        is_opening = self._at_port is None and tuple(self._pairs) == (IN_RESET, ASSERTED)
        is_unplayed = self.requested == ASSERTED and self._at_port != IN_RESET
        if self._is_reset_begun and is_unplayed and not is_opening:
            self.reset_count += 1
            return (*self._steps_to(IN_RESET), Wait(_HOLD), *self._pass_on())
        return self._pass_on()

    def restart(self, now: float) -> ResetSequence:
        """Return the reset into the application."""
        self._downloaded_at = None
        usual = USB_SERIAL_JTAG_HARD_RESET if self.is_usb_serial_jtag else HARD_RESET
        return self._play(self.policy.hard_reset or usual, now)

    def release(self) -> ResetSequence:
        """Release both lines, without a reset, if they were ever touched; begin anew."""
        is_untouched = self._at_port is None
        self._begin_anew()
        self.dtr = self.rts = False
        self.reset_count = 0
        self._downloaded_at = None
        return () if is_untouched else self._steps_to(RELEASED)

    def reopened(self) -> ResetSequence:
        """Return what a port needs that has come back: what was requested, if it is neutral."""
        if self._at_port is None:
            return ()
        self._begin_anew()
        self._at_port = None
        return self._steps_to(self.requested if self.dtr == self.rts else RELEASED)

    def _take_in(self, *, dtr: bool | None, rts: bool | None) -> None:
        self.dtr = self.dtr if dtr is None else dtr
        self.rts = self.rts if rts is None else rts
        if not self._pairs or self._pairs[-1] != self.requested:
            self._pairs.append(self.requested)

    def _ends_with(self, pairs: tuple[Pair, ...]) -> bool:
        return tuple(self._pairs)[-len(pairs) :] == pairs

    def _withhold(self, now: float) -> ResetSequence:
        self._deadline = now + PATIENCE
        return ()

    def _pass_on(self) -> ResetSequence:
        self._deadline = None
        if self.requested != IN_RESET:
            self._is_reset_begun = False
        return self._steps_to(self.requested)

    def _enter_download_mode(self, now: float) -> ResetSequence:
        last = self._downloaded_at
        is_repeated = last is not None and now - last <= REPETITION
        holds_longer = self.policy.long_strap_delay or is_repeated
        self._downloaded_at = None if holds_longer else now
        if self.policy.download_mode is not None:
            return self._play(self.policy.download_mode, now)
        if self.is_usb_serial_jtag:
            return self._play(USB_SERIAL_JTAG, now)
        delay = LONG_STRAP_DELAY if holds_longer else STRAP_DELAY
        return self._play(tight(delay) if self.sets_at_once else classic(delay), now)

    def _play(self, sequence: ResetSequence, now: float) -> ResetSequence:
        self._begin_anew()
        self.reset_count += 1
        dtr, rts = self._at_port or RELEASED
        duration = 0.0
        for step in sequence:
            match step:
                case SetLines():
                    dtr = dtr if step.dtr is None else step.dtr
                    rts = rts if step.rts is None else step.rts
                case Wait(seconds):
                    duration += seconds
        self._at_port = (dtr, rts)
        if self._at_port != self.requested:
            # The rest of the client's own sequence is on its way.
            self._deadline = now + duration + PATIENCE
        return sequence

    def _begin_anew(self) -> None:
        self._pairs.clear()
        self._is_reset_begun = False
        self._deadline = None

    def _steps_to(self, pair: Pair) -> ResetSequence:
        """Return what brings the port to ``pair`` without any other state, if it can be."""
        before, self._at_port = self._at_port, pair
        if before == pair:
            return ()
        dtr, rts = pair
        if self.sets_at_once:
            return (SetLines(dtr=dtr, rts=rts),)
        set_dtr, set_rts = SetLines(dtr=dtr), SetLines(rts=rts)
        if before is not None and before[0] == dtr:
            return (set_rts,)
        if before is not None and before[1] == rts:
            return (set_dtr,)
        # Never through RTS alone: DTR is asserted before RTS changes, and released after it.
        return (set_dtr, set_rts) if dtr else (set_rts, set_dtr)
