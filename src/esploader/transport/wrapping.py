"""A transport in front of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic

import attrs
from typing_extensions import TypeVar

from esploader.classes import define, override
from esploader.transport.base import Capabilities, Transport

if TYPE_CHECKING:
    from esploader.transport.clock import Clock

InnerT = TypeVar("InnerT", bound=Transport, default=Transport)


@define(eq=False, repr=False)
class WrappingTransport(Transport, Generic[InnerT]):
    """A transport that hands everything on to another; subclasses do something about it.

    Closing it closes the inner transport. Nothing is sent ahead of its turn, whatever the
    inner transport can do: that would go past whoever is in front of it.
    """

    inner: InnerT
    """The transport behind it."""

    @property
    @override
    def name(self) -> str:
        return self.inner.name

    @property
    @override
    def capabilities(self) -> Capabilities:
        found = self.inner.capabilities
        return attrs.evolve(found, gated=False) if found.gated else found

    @property
    @override
    def clock(self) -> Clock:
        return self.inner.clock

    @property
    @override
    def baudrate(self) -> int:
        return self.inner.baudrate

    @property
    @override
    def round_trip(self) -> float:
        return self.inner.round_trip

    @override
    def read(self, deadline: float) -> bytes:
        return self.inner.read(deadline)

    @override
    def write(self, data: bytes) -> None:
        self.inner.write(data)

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
