"""What many threads ask for, and one of them works out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, TypeVar, cast

import attrs

from esploader.classes import define

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

ValueT = TypeVar("ValueT")


@define(eq=False)
class Once:
    """Keeps what was worked out, up to :attr:`most` values: those that were asked for last.

    Who asks for a value that another thread is at waits for it. What raises is kept by nobody:
    each who asks is told itself.
    """

    most: int
    """How many values are kept."""
    _values: OrderedDict[Hashable, object] = attrs.field(factory=OrderedDict, init=False)
    _at_work: dict[Hashable, threading.Lock] = attrs.field(factory=dict, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    """Held for moments, never at work."""

    def get(self, key: Hashable, work: Callable[[], ValueT]) -> ValueT:
        """Return what ``work`` does, which is always the same for one ``key``."""
        with self._lock:
            if key in self._values:
                return cast("ValueT", self._known(key))
            at_work = self._at_work.setdefault(key, threading.Lock())
        with at_work:
            with self._lock:
                if key in self._values:
                    return cast("ValueT", self._known(key))
            try:
                value = work()
                with self._lock:
                    self._values[key] = value
                    if len(self._values) > self.most:
                        self._values.popitem(last=False)
            finally:
                with self._lock:
                    self._at_work.pop(key, None)
        return value

    def _known(self, key: Hashable) -> object:
        self._values.move_to_end(key)
        return self._values[key]
