"""What a simulated device has seen and done, with the time of each."""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from esploader.classes import define, frozen
from esploader.protocol.opcodes import Opcode

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.simulator.personality import ResetCause

BODY_KEPT: Final = 64
"""Of the body of a request so many bytes are kept."""

_BODY_SHOWN: Final = 16
_LIMIT: Final = 10_000


@enum.unique
class Loader(enum.Enum):
    """Who answers commands."""

    ROM = "ROM"
    STUB = "stub"


@frozen(kw_only=True)
class SeenCommand:
    """A request that a loader has taken up."""

    moment: float
    """When it came, in seconds."""

    loader: Loader
    """Which loader it was sent to."""
    opcode: int = attrs.field(repr=hex)
    """Which command it is."""

    body: bytes = attrs.field(repr=lambda body: f"<{body[:_BODY_SHOWN].hex(' ')}>")
    """Its first :data:`BODY_KEPT` bytes."""

    size: int
    """Bytes of the body."""

    @property
    def name(self) -> str:
        """The name of the opcode in the protocol document, or its number."""
        return name_of(self.opcode)


@frozen(kw_only=True)
class SentResponse:
    """What a loader answered."""

    moment: float
    """When the first byte of it left, at the earliest."""

    loader: Loader
    """Which loader sent it."""
    opcode: int = attrs.field(repr=hex)
    """Which command it answers."""

    error: int = attrs.field(repr=hex)
    """The error byte of a refusal; 0 for success."""

    @property
    def name(self) -> str:
        """The name of the opcode in the protocol document, or its number."""
        return name_of(self.opcode)


@frozen(kw_only=True)
class SeenLines:
    """The host has set its lines; ``True`` is asserted."""

    moment: float
    """When, in seconds of the clock of the device."""
    dtr: bool
    """DTR was asserted."""
    rts: bool
    """RTS was asserted."""


@frozen(kw_only=True)
class Boot:
    """The chip has started."""

    moment: float
    """When, in seconds of the clock of the device."""
    cause: ResetCause
    """What made it boot."""
    download: bool
    """Into download mode."""


HistoryEvent: TypeAlias = SeenCommand | SentResponse | SeenLines | Boot


@define(eq=False)
class History:
    """The latest events of a device, at most ``limit``; the oldest give way."""

    limit: int = _LIMIT
    """How many entries of a kind are kept; older ones go."""
    listeners: list[Callable[[HistoryEvent], None]] = attrs.field(factory=list, init=False)
    """Each is called with every event to come."""

    _events: deque[HistoryEvent] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._events = deque(maxlen=self.limit)

    def note(self, event: HistoryEvent) -> None:
        """Keep an event, and tell the listeners of it."""
        self._events.append(event)
        for listener in self.listeners:
            listener(event)

    def clear(self) -> None:
        """Forget everything."""
        self._events.clear()

    @property
    def events(self) -> list[HistoryEvent]:
        """All of them, in the order in which they became known."""
        return list(self._events)

    @property
    def commands(self) -> list[SeenCommand]:
        """The requests that loaders have taken up."""
        return [event for event in self._events if isinstance(event, SeenCommand)]

    @property
    def responses(self) -> list[SentResponse]:
        """What loaders have answered."""
        return [event for event in self._events if isinstance(event, SentResponse)]

    @property
    def lines(self) -> list[SeenLines]:
        """What the host has done to the lines."""
        return [event for event in self._events if isinstance(event, SeenLines)]

    @property
    def boots(self) -> list[Boot]:
        """How often the chip has started, and why."""
        return [event for event in self._events if isinstance(event, Boot)]


def name_of(opcode: int) -> str:
    """Return the name of an opcode in the protocol document, or its number."""
    try:
        return Opcode(opcode).name
    except ValueError:
        return f"{opcode:#04x}"
