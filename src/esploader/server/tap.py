"""What a port says, for whoever listens besides its client. Nothing here does I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from esploader.classes import define

if TYPE_CHECKING:
    from collections.abc import Callable

HISTORY_SIZE: Final = 16 * 1024
"""How much of what a port said last is kept, in bytes."""

Listener: TypeAlias = "Callable[[bytes], None]"


@define(eq=False)
class Tap:
    """Passes on what a port says, and keeps the end of it. Lives in the loop of its port.

    All that is read from the port is heard, whoever has it, and also what a client has
    thrown away unread.
    """

    _history: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _listeners: list[Listener] = attrs.field(factory=list, init=False)

    @property
    def history(self) -> bytes:
        """The last that the port said, :data:`HISTORY_SIZE` bytes at most."""
        return bytes(self._history)

    @property
    def listener_count(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def listen(self, listener: Listener) -> None:
        """Have ``listener`` called with everything from now on. It may neither wait nor raise."""
        self._listeners.append(listener)

    def stop(self, listener: Listener) -> None:
        """Have it called no more, if it was."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def hear(self, data: bytes) -> None:
        """Take note of what the port said."""
        self._history += data[-HISTORY_SIZE:]
        del self._history[:-HISTORY_SIZE]
        for listener in tuple(self._listeners):
            listener(data)
