"""What a client has asked to be emptied of the buffers of a port, until it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.classes import define
from esploader.transport.com_port import Code, Purge, Setting

if TYPE_CHECKING:
    from esploader.server.request_queue import Request
    from esploader.server.served_port import ServedPort


def is_purge(request: Request, which: Purge) -> bool:
    """Tell whether a request is to empty that buffer, with or without the other one."""
    return (
        isinstance(request, Setting)
        and request.code is Code.PURGE_DATA
        and request.value in {which, Purge.BOTH}
    )


@define
class PendingPurges:
    """Has buffers of a port emptied before anything else is done with it.

    Not at once: a client can ask a thousand times in one breath, and some ports take a
    millisecond each time.
    """

    _which: Purge | None = attrs.field(default=None, init=False)

    @property
    def is_pending(self) -> bool:
        """Something was asked for that is not done yet."""
        return self._which is not None

    def ask(self, which: Purge) -> None:
        """Have this emptied as well; both, if it is not what was asked for before."""
        self._which = which if self._which in {None, which} else Purge.BOTH

    def forget(self) -> None:
        """Have nothing emptied after all."""
        self._which = None

    def carry_out(self, port: ServedPort) -> None:
        """Empty what is to be emptied.

        Raises:
            TransportError: the port failed.
        """
        which, self._which = self._which, None
        if which is not None:
            port.discard_output()
        if which is Purge.BOTH:
            port.discard_input()
