"""Having a loader answer SYNC, which may be starting up, far away, or confused."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, cast

from esploader.errors import ProtocolError
from esploader.protocol import slip
from esploader.protocol.commands import Sync
from esploader.protocol.connection import Completed, Refused
from esploader.transport.base import BITS_PER_BYTE

if TYPE_CHECKING:
    from esploader.session.wire import Wire

SYNC_INTERVAL: Final = 0.1
"""Between two SYNCs while none has been answered, in seconds."""

_SYNC_FRAME_SIZE: Final = 46


def synchronise(wire: Wire, timeout: float, busy: float) -> tuple[int, bool]:
    """Send SYNC until it is answered.

    ``busy`` is for how long the far end has still to do with what was sent ahead, in
    seconds. Returns the value word of the response, and whether more than one SYNC was
    sent, so that there may be one on the way that nobody waits for any more.

    Raises:
        NoResponseError: not within ``timeout`` seconds after that.
        TransportError: the port failed.
    """
    clock = wire.transport.clock
    end = clock.now() + busy + timeout
    inverts_framing = wire.connection.dialect.stray_end_inverts_framing
    command = Sync()
    wire.noise_meanwhile.clear()
    interval = SYNC_INTERVAL + _SYNC_FRAME_SIZE * BITS_PER_BYTE / wire.transport.baudrate
    if inverts_framing:
        # Where the framing is right that END inverts it: an answer has to come first.
        interval += 2 * wire.transport.round_trip
    for attempt in itertools.count():
        now = clock.now()
        if now >= end:
            break
        if attempt % 2 and inverts_framing:
            wire.write(slip.END)
        wire.write(wire.connection.send(command))
        next_sync = min(now + interval + (0.0 if attempt else busy), end)
        while clock.now() < next_sync:
            try:
                events = wire.receive(next_sync)
            except ProtocolError:
                break
            for event in events:
                # A stub may answer with what went wrong before: it listens, then.
                if isinstance(event, Completed) and event.command is command:
                    return cast("int", event.result), attempt > 0
            if any(isinstance(event, Refused) for event in events):
                break
    wire.fail()
    raise wire.no_response(command.opcode.name, timeout)
