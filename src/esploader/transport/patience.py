"""Trying again to open what is not there yet, or is in use."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Final, TypeVar

from esploader.errors import (
    HostUnreachableError,
    NoPortError,
    PortBusyError,
    PortNotFoundError,
    PortPermissionError,
)
from esploader.transport.clock import RealClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.transport.clock import Clock

    OpenedT = TypeVar("OpenedT")

_log: Final = logging.getLogger(__name__)

INTERVAL: Final = 0.1
"""Between two attempts, in seconds. Source: esptool documentation, "Configuration File"."""

_PASSING: Final = (NoPortError, PortNotFoundError, PortBusyError, HostUnreachableError)
"""What may be otherwise a moment later."""

_MAX_REFUSALS: Final = 20
"""A port that was plugged in is there for a moment before udev lets anybody open it."""


def open_patiently(
    open_: Callable[[], OpenedT], attempts: int, clock: Clock | None = None
) -> OpenedT:
    """Return what ``open_`` returns, which is tried ``attempts`` times; 0 for without end.

    Raises:
        EsploaderError: that of the last attempt, or one that does not pass by itself.
    """
    clock = RealClock() if clock is None else clock
    refusals = 0
    for attempt in itertools.count(1):
        try:
            return open_()
        except (*_PASSING, PortPermissionError) as exc:
            refusals = refusals + 1 if isinstance(exc, PortPermissionError) else 0
            was_there_before = refusals == attempt
            if attempt == attempts or was_there_before or refusals > _MAX_REFUSALS:
                raise
            if attempt == 1:
                _log.warning("%s; waiting for that to change", exc)
        clock.sleep(INTERVAL)
    raise AssertionError  # count() does not end.
