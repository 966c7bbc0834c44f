"""What the fixtures of the pytest plugin hand out, made as the marks of a test say.

A mark that makes no sense fails the test in one sentence, without a traceback.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import pytest

from esploader.chips.registry import CHIPS, chip_by_name
from esploader.errors import CapabilityError, HostUnreachableError, UnsupportedError
from esploader.simulator.config import InitialState
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.faults import Fault
from esploader.simulator.faulty_transport import FaultyRealTimeTransport, FaultyTransport
from esploader.simulator.timings import UNPACED, Timings
from esploader.simulator.transport import RealTimeTransport
from esploader.transport.base import DEFAULT_BAUDRATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import NoReturn

    from esploader.transport.base import Transport

DEFAULT_CHIP: Final = "esp32c3"

ALL: Final = "all"
"""Stands for all chips that can do more than be recognised."""

RFC2217: Final = "rfc2217"
TCP: Final = "tcp"
PTY: Final = "pty"
WAYS: Final = (RFC2217, TCP, PTY)
"""How a device can be served."""


def chips_of(mark: pytest.Mark) -> tuple[str, ...]:
    """Return the chips that ``esploader_chip`` names, each by its usual name."""
    names: list[str] = []
    for argument in mark.args:
        names += [argument] if isinstance(argument, str) else argument
    if ALL in names:
        return tuple(chip.key for chip in CHIPS if chip.is_described)
    try:
        return tuple(chip_by_name(name).key for name in names) or (DEFAULT_CHIP,)
    except UnsupportedError as exc:
        _refuse(mark, str(exc))


def only_chip(mark: pytest.Mark | None) -> str:
    """Return the one chip that a test which was not multiplied is about."""
    if mark is None:
        return DEFAULT_CHIP
    chips = chips_of(mark)
    if len(chips) > 1:
        _refuse(mark, "several chips are too many where the mark belongs to a parameter")
    return chips[0]


def make_device(
    chip: str, chip_mark: pytest.Mark | None, url_mark: pytest.Mark | None, *, is_served: bool
) -> SimulatedDevice:
    """Return a new device. One that is served is as quick as it can, unless told otherwise."""
    options = {} if chip_mark is None else dict(chip_mark.kwargs)
    way, realtime = _way_of(url_mark)
    if is_served and way != RFC2217:
        # Without reset lines nobody could get it out of its application.
        options.setdefault("state", InitialState.DOWNLOAD)
    timings = UNPACED if is_served and not realtime else Timings()
    try:
        return SimulatedDevice(chip, timings=timings, **options)
    except (TypeError, ValueError, OSError) as exc:
        if chip_mark is None:
            raise
        _refuse(chip_mark, str(exc))


def line_to(device: SimulatedDevice, faults_mark: pytest.Mark | None) -> Transport:
    """Return the line to ``device`` in virtual time, with its faults."""
    faults, seed = _faults_of(faults_mark)
    line = device.open_transport()
    return FaultyTransport(line, faults, seed) if faults else line


@contextlib.contextmanager
def serve(
    device: SimulatedDevice, url_mark: pytest.Mark | None, faults_mark: pytest.Mark | None
) -> Iterator[str]:
    """Serve ``device`` in real time, from a thread; yield the URL.

    What its application raised meanwhile is raised at the end.
    """
    from esploader.server.serve import Server  # noqa: PLC0415 - only for those who serve

    way, _ = _way_of(url_mark)
    faults, seed = _faults_of(faults_mark)
    # A client of raw TCP cannot set the rate, so the line follows the device.
    baudrate = None if way == TCP else DEFAULT_BAUDRATE
    failures: list[BaseException] = []
    line = RealTimeTransport(
        device, f"sim://{device.chip.key}", baudrate=baudrate, on_failure=failures.append
    )
    faulty = FaultyRealTimeTransport(line, faults, seed)

    def reopen() -> Transport:
        if device.is_line_broken:
            raise HostUnreachableError(line.name, "the line is broken")
        return faulty.reopen()

    with line, Server(faulty, reopen=reopen) as server:
        listen: Mapping[str, Callable[[], str]] = {
            RFC2217: server.listen_rfc2217,
            TCP: server.listen_tcp,
            PTY: server.open_pty,
        }
        try:
            url = listen[way]()
        except CapabilityError as exc:
            pytest.skip(str(exc))
        server.start()
        yield url
    if failures:
        # The first may explain the others.
        raise failures[0]


def _faults_of(mark: pytest.Mark | None) -> tuple[tuple[Fault, ...], int]:
    """Return what ``esploader_faults`` lists, and its seed."""
    if mark is None:
        return (), 0
    try:
        return _checked_faults(*mark.args, **mark.kwargs)
    except (TypeError, ValueError) as exc:
        _refuse(mark, str(exc))


def _checked_faults(*faults: Fault, seed: int = 0) -> tuple[tuple[Fault, ...], int]:
    for fault in faults:
        if not isinstance(fault, Fault):
            raise TypeError(f"{fault!r} is no fault")
    return faults, seed


def _way_of(mark: pytest.Mark | None) -> tuple[str, bool]:
    """Return how ``esploader_url`` says to serve, and whether in real time."""
    if mark is None:
        return RFC2217, False
    try:
        return _checked_way(*mark.args, **mark.kwargs)
    except (TypeError, ValueError) as exc:
        _refuse(mark, str(exc))


def _checked_way(served_as: str = RFC2217, *, realtime: bool = False) -> tuple[str, bool]:
    if served_as not in WAYS:
        raise ValueError(f"{served_as!r} is none of {', '.join(WAYS)}")
    return served_as, realtime


def _refuse(mark: pytest.Mark, reason: str) -> NoReturn:
    pytest.fail(f"{mark.name}: {reason}", pytrace=False)
