"""One that listens to a port without having it, and what it misses because it does not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.classes import define

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.server.peers import Peer
    from esploader.server.tap import Tap


@define(eq=False)
class Audience:
    """Hands on what a port says to a client that listens, as far as it takes that.

    The port never waits for it. Not more is kept for it than its peer keeps, and how much it
    missed is said in a line of text.
    """

    _tap: Tap
    _peer: Peer
    _flush: Callable[[], None]
    _lost: int = attrs.field(default=0, init=False)

    def begin(self, *, with_history: bool) -> None:
        """Listen from now on, and say first what was said before."""
        if with_history:
            self._hear(self._tap.history)
        self._tap.listen(self._hear)

    def end(self) -> None:
        """Listen no longer."""
        self._tap.stop(self._hear)

    def go_on(self) -> None:
        """Say what was missed, once there is room again."""
        if self._lost and self._peer.can_take:
            self._peer.send(b"\r\n[%d bytes lost]\r\n" % self._lost)
            self._lost = 0
            self._flush()

    def _hear(self, data: bytes) -> None:
        self.go_on()
        if self._peer.can_take:
            self._peer.send(data)
            self._flush()
        else:
            self._lost += len(data)
