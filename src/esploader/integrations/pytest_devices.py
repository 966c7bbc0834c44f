"""What the fixtures of the pytest plugin hand out, made as the marks of a test say.

A mark that makes no sense fails the test in one sentence, without a traceback.
"""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Final

import pytest

from esploader.chips.registry import CHIPS, chip_by_name
from esploader.errors import CapabilityError, HostUnreachableError, UnsupportedError
from esploader.simulator.config import InitialState
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.flash.timings import UNPACED, Timings
from esploader.simulator.line.faults import Fault
from esploader.simulator.line.faulty_transport import FaultyRealTimeTransport, FaultyTransport
from esploader.simulator.line.transport import RealTimeTransport
from esploader.transport.base import DEFAULT_BAUDRATE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
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


DEVICE_OPTIONS: Final = tuple(
    name
    for name, parameter in inspect.signature(SimulatedDevice).parameters.items()
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY
)
"""What ``esploader_chip`` may say by keyword."""


def chips_of(mark: pytest.Mark) -> tuple[str, ...]:
    """Return the chips that ``esploader_chip`` names, each by its usual name.

    None, where it makes no sense: :func:`only_chip` says so when the test runs, so that no other
    test has to suffer for it.
    """
    try:
        return _named_chips(mark)
    except (TypeError, UnsupportedError):
        return ()


def only_chip(mark: pytest.Mark | None) -> str:
    """Return the one chip that a test which was not multiplied is about."""
    if mark is None:
        return DEFAULT_CHIP
    try:
        chips = _named_chips(mark)
    except (TypeError, UnsupportedError) as exc:
        _refuse(mark, str(exc))
    if len(chips) > 1:
        _refuse(mark, "several chips are too many where the mark belongs to a parameter")
    return chips[0]


def _named_chips(mark: pytest.Mark) -> tuple[str, ...]:
    names: list[object] = []
    for argument in mark.args:
        names += argument if isinstance(argument, list | tuple | set) else [argument]
    if ALL in names:
        return tuple(chip.key for chip in CHIPS if chip.is_described)
    return tuple(map(_chip_key, names)) or (DEFAULT_CHIP,)


def _chip_key(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{name!r} is not the name of a chip")
    return chip_by_name(name).key


def make_device(
    chip: str, chip_mark: pytest.Mark | None, url_mark: pytest.Mark | None, *, is_served: bool
) -> SimulatedDevice:
    """Return a new device. One that is served is as quick as it can, unless told otherwise."""
    options = {} if chip_mark is None else dict(chip_mark.kwargs)
    if chip_mark is not None:
        _require_known(chip_mark, DEVICE_OPTIONS)
    way, realtime = _way_of(url_mark)
    if is_served and way != RFC2217:
        # Without reset lines nobody could get it out of its application.
        options.setdefault("state", InitialState.DOWNLOAD)
    options.setdefault("timings", UNPACED if is_served and not realtime else Timings())
    try:
        return SimulatedDevice(chip, **options)
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
    from esploader.server.serve import Server

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
    for fault in mark.args:
        if not isinstance(fault, Fault):
            _refuse(mark, f"{fault!r} is no fault")
    _require_known(mark, ("seed",))
    return mark.args, mark.kwargs.get("seed", 0)


def _way_of(mark: pytest.Mark | None) -> tuple[str, bool]:
    """Return how ``esploader_url`` says to serve, and whether in real time."""
    if mark is None:
        return RFC2217, False
    _require_known(mark, ("served_as", "realtime"))
    named = [mark.kwargs["served_as"]] if "served_as" in mark.kwargs else []
    ways = [*mark.args, *named]
    if len(ways) > 1:
        _refuse(mark, f"{len(ways)} ways to serve a device are too many")
    way = ways[0] if ways else RFC2217
    if way not in WAYS:
        _refuse(mark, f"{way!r} is none of {', '.join(WAYS)}")
    return way, mark.kwargs.get("realtime", False)


def _require_known(mark: pytest.Mark, known: Collection[str]) -> None:
    """See to it that a mark says nothing else by keyword."""
    for name in mark.kwargs:
        if name not in known:
            _refuse(mark, f"no option is called {name!r}, but {', '.join(known)}")


def _refuse(mark: pytest.Mark, reason: str) -> NoReturn:
    # As pytest.fail() does; the error behind it is in the reason already.
    raise pytest.fail.Exception(f"{mark.name}: {reason}", pytrace=False) from None
