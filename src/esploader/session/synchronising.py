"""Having a loader answer SYNC, which may be starting up, far away, or confused."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, cast

from esploader.errors import ProtocolError
from esploader.protocol import slip
from esploader.protocol.commands import SYNC_VALUE_OF_ROM, SYNC_VALUE_OF_STUB, Sync
from esploader.protocol.connection import Completed, Refused, Unsolicited
from esploader.protocol.opcodes import Opcode
from esploader.transport.base import BITS_PER_BYTE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from esploader.protocol.connection import ConnectionEvent
    from esploader.session.wire import Wire

SYNC_INTERVAL: Final = 0.1
"""Between two SYNCs while none has been answered, in seconds."""

_SYNC_FRAME_SIZE: Final = 46

# One bit does not make one of the other. What a loader unknown to us says counts, once it has
# come twice.
_KNOWN_VALUES: Final = frozenset({SYNC_VALUE_OF_ROM, SYNC_VALUE_OF_STUB})


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
    odd_value: int | None = None
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
            for value in _values(events):
                if value in _KNOWN_VALUES or value == odd_value:
                    return value, attempt > 0
                odd_value = value
            # A stub may answer with what went wrong before: it listens, then.
            if any(isinstance(event, Refused) for event in events):
                break
    wire.fail()
    raise wire.no_response(command.opcode.name, timeout)


def _values(events: Sequence[ConnectionEvent]) -> Iterator[int]:
    """Yield what answers to SYNC say, from the one to ours on: each comes eight times."""
    for event in events:
        if isinstance(event, Completed) and isinstance(event.command, Sync):
            yield cast("int", event.result)
        elif isinstance(event, Unsolicited) and event.response.opcode == Opcode.SYNC:
            yield event.response.value
