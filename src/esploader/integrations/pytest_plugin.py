"""A plugin for pytest: simulated devices as fixtures, chosen by marks.

pytest finds it by its entry point and loads it in every run, of whoever has this library
installed. So it imports nothing of the library until a test asks for a device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from esploader.device.device import Device
    from esploader.simulator.device import SimulatedDevice
    from esploader.transport.base import Transport

CHIP: Final = "esploader_chip"
"""The mark, and the fixture that it decides."""

FAULTS: Final = "esploader_faults"
TRANSPORT: Final = "esploader_transport"

URL: Final = "esploader_url"
"""The mark, and the fixture that it decides."""

MARKS: Final = {
    f"{CHIP}(*chips, **options)": (
        "the chip to simulate, by name; several names, or 'all', make a test of each; "
        "the options are those of esploader.simulator.SimulatedDevice"
    ),
    f"{FAULTS}(*faults, seed=0)": (
        "what goes wrong on the line: faults of esploader.simulator, and what chance starts from"
    ),
    f"{URL}(served_as='rfc2217', realtime=False)": (
        f"how {URL} serves the device: 'rfc2217', 'tcp' or 'pty'; "
        "realtime makes it take the time that a UART and a flash take"
    ),
}
"""What pytest is told of the marks."""

_DEVICE: Final = pytest.StashKey["SimulatedDevice"]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks."""
    for mark, meaning in MARKS.items():
        config.addinivalue_line("markers", f"{mark}: {meaning}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each of several chips."""
    if CHIP not in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker(CHIP)
    if mark is None:
        return
    from esploader.integrations.pytest_devices import chips_of

    chips = chips_of(mark)
    if len(chips) > 1:
        metafunc.parametrize(CHIP, chips, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell of the device of a test that fails."""
    report = yield
    device = item.stash.get(_DEVICE, None)
    if device is not None and report.failed:
        from esploader.integrations.pytest_report import describe

        report.sections.append(("simulated device", describe(device)))
    return report


@pytest.fixture
def esploader_chip(request: pytest.FixtureRequest) -> str:
    """Return the name of the chip to simulate, such as ``esp32c3``.

    The mark of the same name decides it; by default it is an ESP32-C3.
    """
    from esploader.integrations.pytest_devices import only_chip

    chosen: str | None = getattr(request, "param", None)
    return only_chip(request.node.get_closest_marker(CHIP)) if chosen is None else chosen


@pytest.fixture
def simulated_device(
    request: pytest.FixtureRequest, esploader_chip: str
) -> Iterator[SimulatedDevice]:
    """Yield a new simulated device, to look into and to do things to.

    It is the one that the other fixtures of the same test are about. It is closed afterwards.
    """
    from esploader.integrations.pytest_devices import make_device

    node = request.node
    device = make_device(
        esploader_chip,
        node.get_closest_marker(CHIP),
        node.get_closest_marker(URL),
        is_served=URL in request.fixturenames,
    )
    node.stash[_DEVICE] = device
    yield device
    device.close()


@pytest.fixture
def esploader_transport(
    request: pytest.FixtureRequest, simulated_device: SimulatedDevice
) -> Iterator[Transport]:
    """Yield the line to the simulated device in virtual time, with the faults of the mark.

    :func:`esploader.connect` takes it for a port. It is closed afterwards.
    """
    from esploader.integrations.pytest_devices import line_to

    if URL in request.fixturenames:
        pytest.fail(
            f"{TRANSPORT} is in virtual time and {URL} in real time: use one", pytrace=False
        )
    with line_to(simulated_device, request.node.get_closest_marker(FAULTS)) as transport:
        yield transport


@pytest.fixture
def esploader_device(esploader_transport: Transport) -> Iterator[Device]:
    """Yield the simulated device as :func:`esploader.connect` returns it, in virtual time.

    It is closed afterwards.
    """
    from esploader.connector import connect

    with connect(esploader_transport) as device:
        yield device


@pytest.fixture
def esploader_url(
    request: pytest.FixtureRequest, simulated_device: SimulatedDevice
) -> Iterator[str]:
    """Yield the URL under which the simulated device is served, in real time.

    For programs that run as a process of their own. The mark of the same name says how; by
    default over RFC 2217, where resets work.
    """
    from esploader.integrations.pytest_devices import serve

    node = request.node
    with serve(
        simulated_device, node.get_closest_marker(URL), node.get_closest_marker(FAULTS)
    ) as url:
        yield url
