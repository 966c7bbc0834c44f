"""Waiting for a port that a reset has taken away.

What answers at a chip's own USB port is the chip: when it is reset the host may lose the port, and
find it again when something in the chip has brought it up, be it the ROM or an application. Source:
esptool documentation, "Troubleshooting"; what esptool 5.6.0 does when a reset fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.errors import TransportError
from esploader.transport.gated import as_gated
from esploader.transport.steps import SetLines
from esploader.transport.vendors import ESPRESSIF_VID

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.session.session import Session
    from esploader.transport.base import Capabilities, Transport

RETURN_TIME: Final = 5.0
"""For how long a port may be away, in seconds. Our server keeps its client for as long."""

_INTERVAL: Final = 0.1


def may_vanish(port: Capabilities) -> bool:
    """Tell whether a reset may take the port away: it is the chip's own, or a network hides it."""
    if port.usb_vid is None:
        return port.remote and port.set_lines
    return port.usb_vid == ESPRESSIF_VID


def await_return(
    session: Session, reopen: Callable[[], Transport] | None, failure: TransportError
) -> None:
    """Wait until the port of ``session`` is back, on a new transport if need be.

    ``reopen`` opens the port once more; without it the transport at hand has to come back to life.
    A server that keeps us takes what it is told when it has found the port.

    Raises:
        TransportError: ``failure``, by which the loss was noticed: the port has not come back.
    """
    gated = as_gated(session.transport)
    clock = session.transport.clock
    deadline = clock.now() + RETURN_TIME
    while True:
        try:
            if gated is not None:
                gated.arm()
                gated.send_ahead([SetLines(dtr=False, rts=False)])
                gated.await_settings(RETURN_TIME)
                return
            if reopen is not None:
                session.transport.close()
                session.transport = reopen()
            session.transport.discard_input()
        except TransportError:
            if clock.now() >= deadline:
                raise failure from None
            # A server that did not keep us lets us in again.
            gated = None
        else:
            return
        clock.sleep(_INTERVAL)
