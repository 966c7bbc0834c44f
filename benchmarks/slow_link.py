"""A simulated device at the far end of a link with latency, in virtual time."""

from __future__ import annotations

from collections import deque

import attrs
from typing_extensions import override

from esploader.transport.wrapping import WrappingTransport

FLASH_DATA = 0x03
FLASH_DEFL_DATA = 0x11


@attrs.define(eq=False)
class SlowLink(WrappingTransport):
    """Everything takes half the round trip, each way. Notes when data blocks were sent."""

    link_round_trip: float
    data_sent_at: list[float] = attrs.field(factory=list, init=False)
    _outgoing: deque[tuple[float, bytes]] = attrs.field(factory=deque, init=False)
    _incoming: deque[tuple[float, bytes]] = attrs.field(factory=deque, init=False)

    @property
    @override
    def round_trip(self) -> float:
        return self.link_round_trip

    @override
    def read(self, deadline: float) -> bytes:
        while True:
            now = self.clock.now()
            while self._outgoing and self._outgoing[0][0] <= now:
                self.inner.write(self._outgoing.popleft()[1])
            if self._incoming and self._incoming[0][0] <= now:
                return self._incoming.popleft()[1]
            if now >= deadline:
                return b""
            pending = [queue[0][0] for queue in (self._outgoing, self._incoming) if queue]
            data = self.inner.read(min([*pending, deadline]))
            if data:
                self._incoming.append((self.clock.now() + self.link_round_trip / 2, data))

    @override
    def write(self, data: bytes) -> None:
        if data[2:3] in (bytes((FLASH_DATA,)), bytes((FLASH_DEFL_DATA,))):
            self.data_sent_at.append(self.clock.now())
        self._outgoing.append((self.clock.now() + self.link_round_trip / 2, data))

    @override
    def discard_input(self) -> bytes:
        dropped = b"".join(data for _, data in self._incoming)
        self._incoming.clear()
        return dropped + self.inner.discard_input()
