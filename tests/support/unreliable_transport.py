"""A transport that loses what it is told to lose, in front of a real or simulated one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from typing_extensions import override

from esploader.transport.wrapping import WrappingTransport

if TYPE_CHECKING:
    from collections.abc import Callable


@attrs.define(eq=False)
class UnreliableTransport(WrappingTransport):
    """Passes everything on, after ``garble_input`` and ``garble_output`` had their way."""

    garble_output: Callable[[bytes], bytes] = bytes
    """What becomes of bytes on their way to the device."""
    garble_input: Callable[[bytes], bytes] = bytes
    """What becomes of bytes on their way from the device."""
    writes: list[bytes] = attrs.field(factory=list, init=False)
    """What was written, a write each."""

    @override
    def read(self, deadline: float) -> bytes:
        return self.garble_input(self.inner.read(deadline))

    @override
    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self.inner.write(self.garble_output(data))
