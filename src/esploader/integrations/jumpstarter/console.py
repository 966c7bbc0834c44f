"""A console for the exporter, that shares the port of a board with what flashes it.

jumpstarter's own opens the port whenever a client asks for it, also in the middle of a write: that
moves the lines, which reset the board, and takes bytes away.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from jumpstarter.driver import exportstream
from jumpstarter_driver_pyserial.driver import PySerial

from esploader.classes import override
from esploader.errors import PortBusyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import ObjectStream

PATIENCE: Final = 600.0
"""For how long a console waits for the port, in seconds; to erase a large flash takes minutes."""


@dataclass(kw_only=True)
class EspConsole(PySerial):
    """jumpstarter's PySerial, which waits while the board is flashed."""

    _holders: int = field(default=0, init=False, repr=False)
    _changed: threading.Condition = field(
        default_factory=threading.Condition, init=False, repr=False
    )

    def hold(self) -> None:
        """Open the port no more, until it is given back as often."""
        with self._changed:
            self._holders += 1

    def give_back(self) -> None:
        """Open the port again, for whoever has asked meanwhile."""
        with self._changed:
            self._holders -= 1
            self._changed.notify_all()

    @exportstream
    @contextlib.asynccontextmanager
    @override
    async def connect(self) -> AsyncIterator[ObjectStream[bytes]]:
        """Open the port when it is free, and yield what it says and is told."""
        await asyncio.to_thread(self._wait)
        async with super().connect() as stream:
            yield stream

    def _wait(self) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: not self._holders, PATIENCE):
                raise PortBusyError(self.url, "the board is still being flashed")
