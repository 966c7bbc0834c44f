"""Who has a port next, when whoever has it leaves. Nothing here does I/O."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, frozen

if TYPE_CHECKING:
    from esploader.server.client_end import ClientEnd
    from esploader.transport.turns import Ask

MAX_WAITING: Final = 32
"""How many may stand in line at one port."""

MAX_LISTENING: Final = 16
"""How many may have lent the port, or listen until nobody else wants it."""


@frozen(eq=False)
class Waiter:
    """A client in line."""

    end: ClientEnd
    ask: Ask
    since: dt.datetime = attrs.field(factory=lambda: dt.datetime.now(dt.UTC))


@define(eq=False)
class Succession:
    """Those who want a port that somebody else has.

    First come, first served; but those who would take the port over stand in front of those
    who only wait, and behind all of them come those who give way to everybody, whoever had the
    port last first.
    """

    _takers: list[Waiter] = attrs.field(factory=list, init=False)
    _patient: list[Waiter] = attrs.field(factory=list, init=False)
    _listening: list[ClientEnd] = attrs.field(factory=list, init=False)

    @property
    def line(self) -> tuple[Waiter, ...]:
        """Who waits, the next one first."""
        return (*self._takers, *self._patient)

    @property
    def listening(self) -> tuple[ClientEnd, ...]:
        """Who listens until nobody else wants the port, the next one first."""
        return tuple(reversed(self._listening))

    @property
    def first_taker(self) -> Waiter | None:
        """Who takes the port over as soon as that is allowed."""
        return self._takers[0] if self._takers else None

    def join(self, end: ClientEnd, ask: Ask) -> bool:
        """Have a client stand in line; tell whether there is room."""
        if len(self._takers) + len(self._patient) >= MAX_WAITING:
            return False
        (self._takers if ask.takes_over else self._patient).append(Waiter(end, ask))
        return True

    def listen(self, end: ClientEnd, *, has_had_it: bool) -> ClientEnd | None:
        """Have a client listen, and have the port next if ``has_had_it``, or last.

        Return who has to go for it, when there are too many.
        """
        self._listening.insert(len(self._listening) if has_had_it else 0, end)
        return self._listening.pop(0) if len(self._listening) > MAX_LISTENING else None

    def leave(self, end: ClientEnd) -> bool:
        """Forget a client; tell whether it was here."""
        count = len(self._takers) + len(self._patient) + len(self._listening)
        self._takers = [each for each in self._takers if each.end is not end]
        self._patient = [each for each in self._patient if each.end is not end]
        self._listening = [each for each in self._listening if each is not end]
        return len(self._takers) + len(self._patient) + len(self._listening) < count

    def pop(self) -> ClientEnd | None:
        """Return who has the port next, and forget it; ``None`` when nobody wants it."""
        for line in (self._takers, self._patient):
            if line:
                return line.pop(0).end
        return self._listening.pop() if self._listening else None

    def clear(self) -> list[ClientEnd]:
        """Return everybody, and forget them."""
        everybody = [*(each.end for each in self.line), *self.listening]
        for those in (self._takers, self._patient, self._listening):
            those.clear()
        return everybody
