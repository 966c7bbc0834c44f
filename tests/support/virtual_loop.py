"""A loop of asyncio in virtual time: an hour of waiting takes a moment."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, TypeVar

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Executor

    from typing_extensions import TypeVarTuple

    from esploader.transport.clock import VirtualClock

    ArgumentsT = TypeVarTuple("ArgumentsT")

T = TypeVar("T")


class VirtualSelector(selectors.DefaultSelector):
    """Does not wait, but has the time pass for which it should."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "the loop waits for something that never happens"
            self._clock.sleep(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that goes by ``clock``, and does in its own thread what is meant for others."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(VirtualSelector(clock))
        self._virtual_clock = clock

    @override
    def time(self) -> float:
        return self._virtual_clock.now()

    @override
    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[*ArgumentsT], T],
        *args: *ArgumentsT,
    ) -> asyncio.Future[T]:
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as exc:  # noqa: BLE001 - as an executor does
            done.set_exception(exc)
        return done


def run_virtually(clock: VirtualClock, task: Coroutine[object, object, T]) -> T:
    """Return what ``task`` returns, which runs in virtual time."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(task)
