"""The ports of a server, for another thread that looks at them and may change something.

Ports live in the loop of their server. What is asked here is done there, between everything else
that happens in it, and nobody waits for who asks.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import attrs

from esploader.classes import define, frozen
from esploader.errors import PortNotFoundError
from esploader.server.status.logs import BoardLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from esploader.server.place import OpenPlace, Place
    from esploader.server.station_view import StationView
    from esploader.server.tap import Tap

T = TypeVar("T")

Which: TypeAlias = str | int
"""A port by its name, or by its TCP port, which no other has."""


@frozen
class PortView:
    """A port at one moment, and where it is found."""

    place: Place
    station: StationView


@define(eq=False)
class _Ear:
    """Listens to a port, which may be another one after a reload."""

    log: BoardLog = attrs.field(factory=BoardLog, init=False)
    readers: int = attrs.field(default=0, init=False)
    _tap: Tap | None = attrs.field(default=None, init=False)

    def follow(self, tap: Tap | None) -> None:
        """Listen to another port, if it is another one."""
        if tap is self._tap:
            return
        if self._tap is not None:
            self._tap.stop(self.log.hear)
        self._tap = tap
        if tap is not None:
            self.log.hear(tap.history)
            tap.listen(self.log.hear)


@define(eq=False)
class Lab:
    """What can be asked of the ports of a server, and done to them, from another loop.

    Everything raises what the port raises.
    """

    _places: Callable[[], Iterable[OpenPlace]]
    _loop: asyncio.AbstractEventLoop
    """Of the ports."""

    _ears: dict[Which, _Ear] = attrs.field(factory=dict, init=False)

    async def look(self) -> tuple[PortView, ...]:
        """Return how all ports stand."""
        return await self._there(self._look)

    async def release(self, which: Which, reason: str) -> bool:
        """Send off whoever has a port, which is told ``reason``; tell whether somebody had it.

        Raises:
            PortNotFoundError: there is no such port, or more than one of that name.
        """
        return await self._there(lambda: self._find(which).station.release(reason))

    async def reset(self, which: Which, *, force: bool) -> None:
        """Reset the device at a port; with ``force`` also while somebody has the port.

        Raises:
            PortBusyError: somebody has the port.
            PortNotFoundError: as for :meth:`release`, or nothing is plugged in.
            CapabilityError: the port has no lines.
            TransportError: the port failed.
        """
        await self._there(lambda: self._find(which).station.reset(force=force))

    @asynccontextmanager
    async def heard(self, which: Which) -> AsyncIterator[BoardLog]:
        """Keep what a board says meanwhile, and what it said before."""
        log = await self._there(lambda: self._begin_to_hear(which))
        try:
            yield log
        finally:
            # Without waiting: whoever read may be gone. A loop that is closed hears nothing.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._hear_no_more, which)

    async def _there(self, function: Callable[[], T]) -> T:
        """Return what a function returns in the loop of the ports."""

        async def call() -> T:
            return function()

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call(), self._loop))

    # In the loop of the ports --------------------------------------------------------------

    def _look(self) -> tuple[PortView, ...]:
        places = tuple(self._places())
        if self._ears:
            taps: dict[Which, Tap] = {each.place.label: each.station.tap for each in places}
            taps |= {each.place.tcp_port: each.station.tap for each in places}
            for which, ear in self._ears.items():
                ear.follow(taps.get(which))
        return tuple(PortView(each.place, each.station.snapshot()) for each in places)

    def _find(self, which: Which) -> OpenPlace:
        found = [
            each for each in self._places() if which in (each.place.label, each.place.tcp_port)
        ]
        if len(found) != 1:
            reason = "more than one port has that name" if found else "this server has no such port"
            raise PortNotFoundError(str(which), reason)
        return found[0]

    def _begin_to_hear(self, which: Which) -> BoardLog:
        ear = self._ears.setdefault(which, _Ear())
        ear.readers += 1
        self._look()
        return ear.log

    def _hear_no_more(self, which: Which) -> None:
        ear = self._ears[which]
        ear.readers -= 1
        if not ear.readers:
            del self._ears[which]
            ear.follow(None)
