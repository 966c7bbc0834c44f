"""What the report of a test that failed tells of its simulated device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.chips.model import KIB
from esploader.simulator.history import Boot, HistoryEvent, SeenCommand, SeenLines, SentResponse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from esploader.simulator.device import SimulatedDevice

MAX_LINES: Final = 40
"""The last ones are what a failure is about."""

_BODY_SHOWN: Final = 16


def describe(device: SimulatedDevice) -> str:
    """Return lines that say what the device is, and what it has seen and done at last.

    The times are seconds since the first that is known of it. Of the body of a request
    the first bytes are shown, in hexadecimal.
    """
    events = list(_lines(device.history.events))
    lines = [f"{device.chip.name}, {device.nor.size // KIB} KiB of flash, {device.baudrate} baud"]
    if len(events) > MAX_LINES:
        lines.append(f"({len(events) - MAX_LINES} lines before these)")
    return "\n".join([*lines, *events[-MAX_LINES:]])


def _lines(events: Iterable[HistoryEvent]) -> Iterator[str]:
    """Yield a line for each event; a response goes with its request, if that comes before it."""
    first: float | None = None
    pending: tuple[SeenCommand, str] | None = None
    for event in events:
        first = event.moment if first is None else first
        line = f"{event.moment - first:11.6f}  {_text_of(event)}"
        if pending is not None:
            command, text = pending
            pending = None
            if isinstance(event, SentResponse) and event.opcode == command.opcode:
                yield f"{text}: {_outcome_of(event)}"
                continue
            yield text
        if isinstance(event, SeenCommand):
            pending = event, line
        else:
            yield line
    if pending is not None:
        yield pending[1]


def _text_of(event: HistoryEvent) -> str:
    match event:
        case SeenCommand():
            body = f" {event.body[:_BODY_SHOWN].hex()}" if event.body else ""
            more = f"... ({event.size} bytes)" if event.size > _BODY_SHOWN else ""
            return f"{event.loader.value} {event.name}{body}{more}"
        case SentResponse():
            return f"{event.loader.value} {event.name}: {_outcome_of(event)}"
        case SeenLines():
            return f"DTR {_state_of(event.dtr)}, RTS {_state_of(event.rts)}"
        case Boot():
            what = "into download mode" if event.download else "from flash"
            return f"boot {what} ({event.cause.name})"


def _outcome_of(response: SentResponse) -> str:
    return f"refused, error {response.error:#04x}" if response.error else "done"


def _state_of(asserted: bool) -> str:  # noqa: FBT001 - the state of a line is just that
    return "asserted" if asserted else "released"
