"""One connection to a loader on one transport: frames out, events in, noise kept."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, frozen, override
from esploader.errors import NoResponseError
from esploader.protocol.connection import (
    Completed,
    Connection,
    ConnectionEvent,
    Refused,
    StreamFrame,
    Unsolicited,
)
from esploader.protocol.opcodes import Opcode
from esploader.protocol.slip import Noise
from esploader.protocol.status import STATUS_SIZE
from esploader.transport.gated import GatedTransport, as_gated

if TYPE_CHECKING:
    from esploader.protocol.commands import Command
    from esploader.transport.base import Transport

_log: Final = logging.getLogger(__name__)

MAX_NOISE_SIZE: Final = 4096
"""How much noise is kept, in bytes: more than a whole boot log."""

REMOTE_ALLOWANCE: Final = 1.0
"""Added to every timeout when a network lies between, in seconds."""

SETTINGS: Final = frozenset({Opcode.SPI_ATTACH, Opcode.SPI_SET_PARAMS})
"""Requests that tell a loader where its flash is, and how large. One bit makes them of WRITE_REG
and of READ_REG, whose bodies say something else."""

_ERROR_NOISE_SIZE: Final = 1024
_MAX_LOGGED_SIZE: Final = 64


@define
class Wire:
    """What is sent to a loader, and what comes back."""

    transport: Transport
    connection: Connection
    noise: bytearray = attrs.field(factory=bytearray, init=False)
    """The last :data:`MAX_NOISE_SIZE` bytes that arrived and were no response."""

    noise_meanwhile: bytearray = attrs.field(factory=bytearray, init=False)
    """What of it came since the last command was sent."""

    _erases: bool = attrs.field(default=False, init=False)
    """A request to erase everything was sent."""

    frames: deque[bytes] = attrs.field(factory=deque, init=False)
    """Frames of a stream that nobody has read yet."""

    unasked_erasures: int = attrs.field(default=0, init=False)
    """How often the loader said that it had erased the whole flash, and nobody had asked for
    that: one bit makes ERASE_FLASH of ERASE_REGION and of READ_FLASH."""

    settings: dict[Opcode, Command[object]] = attrs.field(factory=dict, init=False, repr=False)
    """What the loader was last told of its flash, by opcode."""

    has_other_settings: bool = attrs.field(default=False, init=False)
    """It has said that it took in such a request, and there was none."""

    @property
    def gated(self) -> GatedTransport | None:
        """The transport, if everything can be sent ahead."""
        return as_gated(self.transport)

    @property
    def allowance(self) -> float:
        """What to add to every timeout on this side of the network, in seconds."""
        return REMOTE_ALLOWANCE if self.transport.capabilities.remote else 0.0

    def encode(self, command: Command[object]) -> bytes:
        """Return the frame that asks for ``command``, which is outstanding from now on.

        Raises:
            ProtocolError: the connection has failed, and this is no SYNC.
        """
        _log.debug("> %r", command)
        self._erases |= command.opcode is Opcode.ERASE_FLASH
        if command.opcode in SETTINGS:
            self.settings[command.opcode] = command
        return self.connection.send(command)

    def write(self, data: bytes) -> None:
        """Send bytes now."""
        _log.debug("> %d bytes: %s", len(data), _Hex(data))
        self.transport.write(data)

    def receive(self, deadline: float) -> list[ConnectionEvent]:
        """Return what has arrived, at once; wait for it until ``deadline``."""
        return self._judge(self.transport.read(deadline))

    def receive_ahead(self, gated: GatedTransport, deadline: float) -> list[ConnectionEvent]:
        """Return what arrives next, while the far end shows that it is there, to ``deadline``."""
        return self._judge(gated.receive_ahead(deadline))

    def _judge(self, data: bytes) -> list[ConnectionEvent]:
        if not data:
            return []
        _log.debug("< %d bytes: %s", len(data), _Hex(data))
        events = self.connection.receive(data)
        for event in events:
            self._note(event)
        return events

    def _note(self, event: ConnectionEvent) -> None:
        match event:
            case Noise(data):
                self.keep_noise(data)
            case Unsolicited(response, is_late):
                _log.debug("< unsolicited: %r", response)
                if not is_late and not any(response.body[:STATUS_SIZE]):
                    self._note_unasked(response.opcode)
            case Completed(command, result):
                _log.debug("< %s: %r", command.opcode.name, result)
            case Refused(_, error):
                _log.debug("< %s", error)
            case StreamFrame(payload):
                _log.debug("< frame of %d bytes", len(payload))
                self.frames.append(payload)

    def _note_unasked(self, opcode: int) -> None:
        """Take note of what the loader has done, and nobody had asked for."""
        # One that was sent may be answered twice.
        if opcode == Opcode.ERASE_FLASH and not self._erases:
            self.unasked_erasures += 1
            _log.warning("the loader has erased the whole flash, which nobody asked for")
        elif opcode in SETTINGS:
            self.has_other_settings = True

    def fail(self) -> None:
        """Give up what is outstanding, at the far end, too."""
        for event in self.connection.fail():
            self._note(event)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Have the far end, if it obeys gates, drop what was sent ahead."""
        gated = self.gated
        if gated is not None:
            self.keep_noise(gated.arm())

    def keep_noise(self, data: bytes) -> None:
        """Keep bytes that were no response."""
        if data:
            _log.debug("< noise: %r", data)
        self.noise += data
        del self.noise[:-MAX_NOISE_SIZE]
        self.noise_meanwhile += data
        del self.noise_meanwhile[:-_ERROR_NOISE_SIZE]

    def no_response(self, what: str, timeout: float) -> NoResponseError:
        """Return the error for a loader that stayed silent."""
        return NoResponseError(what, timeout, bytes(self.noise_meanwhile))


@frozen
class _Hex:
    """Bytes that become text only when a log line is really written."""

    data: bytes

    @override
    def __str__(self) -> str:
        text = self.data[:_MAX_LOGGED_SIZE].hex(" ")
        return text if len(self.data) <= _MAX_LOGGED_SIZE else f"{text} ..."
