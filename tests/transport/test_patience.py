"""A port that is not there, or in use, is tried again as often as that is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esploader.errors import (
    EsploaderError,
    HostUnreachableError,
    NegotiationError,
    NoPortError,
    PortBusyError,
    PortNotFoundError,
    PortPermissionError,
    UrlError,
)
from esploader.transport.clock import VirtualClock
from esploader.transport.patience import INTERVAL, open_patiently

if TYPE_CHECKING:
    from collections.abc import Callable

MISSING = PortNotFoundError("P", "there is none")
BUSY = PortBusyError("P", "somebody has it")
FORBIDDEN = PortPermissionError("P", "not allowed")
UNREACHABLE = HostUnreachableError("P", "refused")


def opening(*failures: EsploaderError) -> Callable[[], str]:
    """Return what fails like that, and then opens a port."""
    left = list(failures)

    def open_() -> str:
        if left:
            raise left.pop(0)
        return "open"

    return open_


@pytest.mark.parametrize(
    "failures",
    [
        (),
        (MISSING, MISSING, BUSY),
        (UNREACHABLE,) * 100,
        (NoPortError(candidates=(), filtered=True),),
        (MISSING, *[FORBIDDEN] * 19),
        (MISSING, FORBIDDEN, MISSING, *[FORBIDDEN] * 20),
    ],
    ids=["none", "missing, then busy", "no host", "no match", "udev", "udev, unplugged again"],
)
def test_what_passes_is_waited_for(
    failures: tuple[EsploaderError, ...], caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualClock()
    assert open_patiently(opening(*failures), 0, clock) == "open"
    assert clock.now() == pytest.approx(len(failures) * INTERVAL)
    assert len(caplog.records) == min(1, len(failures))
    assert open_patiently(opening(*failures), len(failures) + 1, VirtualClock()) == "open"


@pytest.mark.parametrize("attempts", [1, 2, 7])
def test_attempts_are_counted(attempts: int) -> None:
    clock = VirtualClock()
    with pytest.raises(PortBusyError):
        open_patiently(opening(*[BUSY] * attempts), attempts, clock)
    assert clock.now() == pytest.approx((attempts - 1) * INTERVAL)


@pytest.mark.parametrize(
    ("failures", "waits"),
    [
        ((UrlError("P", "nonsense"),), 0),
        ((NegotiationError("P", "no server"),), 0),
        ((FORBIDDEN,), 0),
        ((BUSY, NegotiationError("P", "no server")), 1),
        ((MISSING, *[FORBIDDEN] * 21), 21),
    ],
    ids=["nonsense", "no server", "forbidden", "busy, then no server", "forbidden for long"],
)
def test_what_does_not_pass_is_not(failures: tuple[EsploaderError, ...], waits: int) -> None:
    clock = VirtualClock()
    with pytest.raises(type(failures[-1])):
        open_patiently(opening(*failures), 0, clock)
    assert clock.now() == pytest.approx(waits * INTERVAL)
