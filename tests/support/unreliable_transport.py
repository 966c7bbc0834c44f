"""A transport that loses what it is told to lose, in front of a real or simulated one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from typing_extensions import override

from esploader.transport.base import Capabilities, Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.transport.clock import Clock


@attrs.define
class UnreliableTransport(Transport):
    """Passes everything on, after ``garble_input`` and ``garble_output`` had their way."""

    inner: Transport
    garble_output: Callable[[bytes], bytes] = bytes
    """What becomes of bytes on their way to the device."""
    garble_input: Callable[[bytes], bytes] = bytes
    """What becomes of bytes on their way from the device."""
    writes: list[bytes] = attrs.field(factory=list, init=False)
    """What was written, a write each."""

    @property
    @override
    def name(self) -> str:
        return self.inner.name

    @property
    @override
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    @property
    @override
    def clock(self) -> Clock:
        return self.inner.clock

    @property
    @override
    def baudrate(self) -> int:
        return self.inner.baudrate

    @override
    def read(self, deadline: float) -> bytes:
        return self.garble_input(self.inner.read(deadline))

    @override
    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self.inner.write(self.garble_output(data))

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self.inner.set_lines(dtr=dtr, rts=rts)

    @override
    def set_baudrate(self, baudrate: int) -> None:
        self.inner.set_baudrate(baudrate)

    @override
    def discard_input(self) -> bytes:
        return self.inner.discard_input()

    @override
    def close(self) -> None:
        self.inner.close()
