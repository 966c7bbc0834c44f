"""A pipe around another one, for those who change what passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from esploader.transport.pipe import Pipe

if TYPE_CHECKING:
    from esploader.transport.clock import Clock

PipeT = TypeVar("PipeT", bound=Pipe)


@attrs.define
class WrappingPipe(Generic[PipeT]):
    """Hands everything on as it is."""

    inner: PipeT

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def clock(self) -> Clock:
        return self.inner.clock

    @property
    def connect_time(self) -> float:
        return self.inner.connect_time

    @property
    def write_timeout(self) -> float:
        return self.inner.write_timeout

    def fileno(self) -> int:
        return self.inner.fileno()

    def receive(self, deadline: float) -> bytes:
        return self.inner.receive(deadline)

    def send(self, data: bytes) -> None:
        self.inner.send(data)

    def close(self) -> None:
        self.inner.close()
