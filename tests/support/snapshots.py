"""A connected device kept as it is, and played from as often as a test likes.

Everything that a simulated device and its client know is pickled, which takes a fraction of
a millisecond; what never changes, such as the facts of a chip, is shared.
"""

from __future__ import annotations

import io
import pickle
import threading
import zlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

import attrs
from typing_extensions import override

from esploader.chips.model.chip import Chip
from esploader.protocol.dialect import Dialect

if TYPE_CHECKING:
    from esploader.simulator import SimulatedDevice

ClientT = TypeVar("ClientT")

_SHARED = (Chip, Dialect, MappingProxyType)
_INFLATER = type(zlib.decompressobj())


class _Copyable(Protocol):
    def copy(self) -> object: ...


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.kept: list[object] = []

    @override
    def persistent_id(self, obj: object) -> int | None:
        if not isinstance(obj, (*_SHARED, _INFLATER, threading.Condition)):
            return None
        for number, known in enumerate(self.kept):
            if known is obj:
                return number
        self.kept.append(obj)
        return len(self.kept) - 1


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, kept: list[object]) -> None:
        super().__init__(io.BytesIO(data))
        self._kept = kept
        self._made: dict[int, object] = {}

    @override
    def persistent_load(self, pid: int) -> object:
        kept = self._kept[pid]
        if isinstance(kept, _SHARED):
            return kept
        if pid not in self._made:
            is_lock = isinstance(kept, threading.Condition)
            self._made[pid] = threading.Condition() if is_lock else _copied(kept)
        return self._made[pid]


def _copied(inflater: object) -> object:
    """Copy what has no public type."""
    return cast("_Copyable", inflater).copy()


@attrs.frozen
class Snapshot(Generic[ClientT]):
    """A simulated device and what talks to it, at one moment."""

    _data: bytes = attrs.field(repr=False)
    _kept: list[object] = attrs.field(repr=False)

    @classmethod
    def of(cls, simulated: SimulatedDevice, client: ClientT) -> Snapshot[ClientT]:
        """Keep both as they are."""
        file = io.BytesIO()
        pickler = _Pickler(file)
        pickler.dump((simulated, client))
        return Snapshot(file.getvalue(), pickler.kept)

    def restore(self) -> tuple[SimulatedDevice, ClientT]:
        """Return both once more, to be played with."""
        simulated, client = _Unpickler(self._data, self._kept).load()
        return simulated, client
