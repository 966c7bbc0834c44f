"""A port in virtual time whose device talks by a script, and which may be lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from typing_extensions import override

from esploader.errors import TransportClosedError, TransportError
from esploader.transport.base import Capabilities, Transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esploader.transport.clock import Clock, VirtualClock

Said: TypeAlias = "bytes | TransportError"
"""What comes: bytes, or the end of it."""


class TalkingTransport(Transport):
    """Says each thing at its moment, counted from when it was opened."""

    def __init__(
        self,
        clock: VirtualClock,
        script: Sequence[tuple[float, Said]] = (),
        *,
        set_lines: bool = True,
        remote: bool = False,
    ) -> None:
        self._clock = clock
        self._script = [(clock.now() + moment, said) for moment, said in script]
        self._capabilities = Capabilities(
            set_lines=set_lines, set_lines_at_once=False, set_baudrate=True, remote=remote
        )
        self.written = b""
        self.lines: list[tuple[bool | None, bool | None]] = []
        self.is_open = True

    @property
    @override
    def name(self) -> str:
        return "talking"

    @property
    @override
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    @override
    def clock(self) -> Clock:
        return self._clock

    @property
    @override
    def baudrate(self) -> int:
        return 115200

    @override
    def read(self, deadline: float) -> bytes:
        self._check()
        if not self._script or self._script[0][0] > deadline:
            self._clock.advance_to(deadline)
            return b""
        moment, said = self._script.pop(0)
        self._clock.advance_to(moment)
        if isinstance(said, TransportError):
            raise said
        return said

    @override
    def write(self, data: bytes) -> None:
        self._check()
        self.written += data

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self._check()
        self.require_lines()
        self.lines.append((dtr, rts))

    @override
    def set_baudrate(self, baudrate: int) -> None:
        self._check()

    @override
    def discard_input(self) -> bytes:
        return b""

    @override
    def close(self) -> None:
        self.is_open = False

    def _check(self) -> None:
        if not self.is_open:
            raise TransportClosedError(self.name, "it was closed")
