"""What a server does for a client that sends ahead: watch the chip, open gates.

``docs/gates.md`` says what is decided here: which frames of the chip open a gate, when
one has failed, and what counts as seen. Nothing here does I/O; time comes as arguments.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import attrs

from esploader.classes import define
from esploader.protocol.slip import Frame, SlipDecoder
from esploader.transport.gates import (
    Armed,
    Gate,
    GateFailed,
    PrefixRule,
    Reason,
    ResponseRule,
    SizeRule,
)

MAX_FRAME_SIZE: Final = 32768
"""A longer frame is none, in bytes."""

MAX_FRAMES: Final = 256
"""How many frames are remembered that no gate has looked at."""

_HEADER_SIZE: Final = 8
_FROM_CHIP: Final = 1


@define
class Gatekeeper:
    """Opens gates by what the chip says.

    At most one gate is closed at a time: :meth:`close` puts it there, :meth:`check` tells
    what has become of it. After a failure everything of the client is to be thrown away
    (:attr:`is_discarding`) until :meth:`arm`.
    """

    epoch: int | None = attrs.field(default=None, init=False)
    """Of the last ARM; ``None`` before the first."""

    is_discarding: bool = attrs.field(default=False, init=False)
    """What comes from the client is thrown away."""

    _gate: Gate | None = attrs.field(default=None, init=False)
    _deadline: float = attrs.field(default=0.0, init=False)
    _matched: int = attrs.field(default=0, init=False)
    _is_refused: bool = attrs.field(default=False, init=False)
    _frames: deque[bytes] = attrs.field(factory=lambda: deque(maxlen=MAX_FRAMES), init=False)
    _decoder: SlipDecoder = attrs.field(factory=SlipDecoder, init=False)

    @property
    def is_armed(self) -> bool:
        """The client uses gates."""
        return self.epoch is not None

    @property
    def deadline(self) -> float | None:
        """When the gate that is closed fails; ``None`` without one."""
        return None if self._gate is None else self._deadline

    def arm(self, epoch: int) -> Armed:
        """Begin anew; return what to tell the client."""
        self.epoch = epoch
        self.is_discarding = False
        self._gate = None
        self.forget()
        return Armed(epoch)

    def forget(self) -> None:
        """Forget every frame so far, and half a frame: what comes now is something else."""
        self._frames.clear()
        self._decoder.reset()

    def receive(self, data: bytes) -> None:
        """Take note of what the chip said."""
        if not self.is_armed:
            return
        for event in self._decoder.feed(data):
            if isinstance(event, Frame) and len(event.payload) <= MAX_FRAME_SIZE:
                self._frames.append(event.payload)

    def close(self, gate: Gate, deadline: float) -> None:
        """Have ``gate`` hold what is behind it, until ``deadline`` at most."""
        self._gate = gate
        self._deadline = deadline
        self._matched = 0
        self._is_refused = False

    def postpone(self, seconds: float) -> None:
        """Stop the clock of the gate that is closed for a while."""
        self._deadline += seconds

    def check(self, now: float) -> bool | GateFailed:
        """Return whether the way is free, or what to tell the client when it never will be."""
        gate = self._gate
        if gate is None:
            return True
        while self._frames and self._matched < gate.count and not self._is_refused:
            self._look_at(gate, self._frames.popleft())
        if self._is_refused:
            return self.fail(Reason.STATUS)
        if self._matched >= gate.count:
            self._gate = None
            return True
        return self.fail(Reason.TIMEOUT) if now >= self._deadline else False

    def fail(self, reason: Reason, *, gate_id: int = 0) -> GateFailed:
        """Give up; return what to tell the client.

        ``gate_id`` counts if no gate is closed.
        """
        failed = GateFailed(
            epoch=self.epoch or 0,
            gate_id=gate_id if self._gate is None else self._gate.gate_id,
            reason=reason,
            matched=0 if self._gate is None else self._matched,
        )
        self.discard()
        return failed

    def discard(self) -> None:
        """Have what the client sends thrown away until it arms again."""
        self._gate = None
        self.is_discarding = True

    def _look_at(self, gate: Gate, frame: bytes) -> None:
        match gate.rule:
            case ResponseRule(opcode, status_offset):
                if not _is_response(frame, opcode):
                    return
                if status_offset is not None and _status(frame, status_offset):
                    self._is_refused = True
                    return
            case SizeRule(size):
                if len(frame) != size:
                    return
            case PrefixRule(prefix):
                if not frame.startswith(prefix):
                    return
        self._matched += 1


def _is_response(frame: bytes, opcode: int) -> bool:
    return (
        len(frame) >= _HEADER_SIZE
        and frame[0] == _FROM_CHIP
        and frame[1] == opcode
        and int.from_bytes(frame[2:4], "little") == len(frame) - _HEADER_SIZE
    )


def _status(frame: bytes, offset: int) -> int:
    """Return the status of a response; of a shorter one than expected it comes first."""
    body = frame[_HEADER_SIZE:]
    if offset < len(body):
        return body[offset]
    return body[0] if body else 0
