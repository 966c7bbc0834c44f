"""What makes no sense is refused in words that say what would: a test must not check nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from esploader.chips.esp32c3 import ESP32_C3
from esploader.simulator import (
    Corrupt,
    Cut,
    Delay,
    DeviceConfig,
    Drop,
    FaultyTransport,
    InitialState,
    Jitter,
    Overflow,
    SimulatedDevice,
    Stall,
    minimal_image,
)

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE = minimal_image("esp32c3")

# Annotations would keep those who use them from all of that.
NO_TEXT: Any = "text"


def words_of(options: dict[str, object]) -> str:
    return " ".join(f"{name}={value!r}" for name, value in options.items())


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        ({"mac": "24:0a"}, ValueError, "'24:0a': a MAC address is 6 pairs"),
        ({"mac": "24-0a-c4-00-00-01"}, ValueError, "a MAC address is 6 pairs"),
        ({"mac": b"123"}, ValueError, "a MAC address has 6 bytes"),
        ({"mac": 7}, TypeError, "mac=7: bytes are needed"),
        ({"state": "x"}, ValueError, "'x' is not one of app, download, stub"),
        ({"flash_size": "4MB"}, TypeError, "flash_size='4MB': a whole number is needed"),
        ({"flash": 7}, TypeError, "flash=7: bytes, bytes by offset or a path"),
        ({"revision": "3.1"}, TypeError, r"revision='3.1': \(major, minor\)"),
        ({"revision": (3,)}, TypeError, r"revision=\(3,\): \(major, minor\)"),
        ({"crystal_mhz": "40"}, TypeError, "crystal_mhz='40': a whole number"),
        ({"crystal_mhz": 0}, ValueError, "no crystal of 0 MHz"),
        ({"seed": "x"}, TypeError, "seed='x': a whole number"),
        ({"efuses": "secure_download"}, TypeError, "efuses='secure_download': numbers by name"),
        ({"efuses": {"secure_download": "1"}}, TypeError, "numbers by name"),
        ({"application": "x"}, TypeError, "application='x': a function or None"),
    ],
    ids=lambda value: words_of(value) if isinstance(value, dict) else "",
)
def test_options_of_a_device(
    options: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        SimulatedDevice("esp32c3", **options)


def test_no_chip() -> None:
    no_chip: Any = None
    with pytest.raises(TypeError, match="None is neither a chip nor the name of one"):
        SimulatedDevice(no_chip)


def test_a_configuration_takes_the_name_of_a_state() -> None:
    name: Any = "stub"
    assert DeviceConfig(chip=ESP32_C3, state=name).state is InitialState.STUB


@pytest.mark.parametrize(
    "misuse",
    [
        lambda device: device.press_reset(-1),
        lambda device: device.press_reset(float("nan")),
        lambda device: device.break_line(-1),
        lambda device: device.read_register(3),
        lambda device: device.read_register(-4),
        lambda device: device.read_register(1 << 32),
        lambda device: device.nor.mark_bad(5 << 20),
        lambda device: device.nor.mark_bad(4 << 20),
        lambda device: device.nor.mark_bad(-1),
        lambda device: device.nor.mark_bad(0, bits=0x1FF),
        lambda device: device.nor.mark_bad(0, bits=0),
        lambda device: device.nor.wear_out(4 << 20),
        lambda device: device.nor.wear_out((4 << 20) - 1, 2),
        lambda device: device.nor.wear_out(-1),
        lambda device: device.nor.wear_out(0, -1),
        lambda device: device.nor.wear_out(0, 0),
    ],
)
def test_what_is_done_to_a_device(misuse: Callable[[SimulatedDevice], object]) -> None:
    device = SimulatedDevice("esp32c3")
    with pytest.raises(ValueError, match=r"less than none|no word|none there|not those"):
        misuse(device)
    assert not device.history.events
    assert not device.is_line_broken


def test_the_ends_of_a_flash_are_in_it() -> None:
    nor = SimulatedDevice("esp32c3").nor
    nor.mark_bad(nor.size - 1)
    nor.wear_out(0, nor.size)
    nor.program(nor.size - 2, b"\0\0")
    nor.erase(nor.size - 2, 2)
    assert nor.read(nor.size - 2, 2) == b"\0\xff"


def test_an_application_that_is_none() -> None:
    with pytest.raises(TypeError, match="a function or None"):
        SimulatedDevice("esp32c3").run(NO_TEXT)


@pytest.mark.parametrize(
    ("application", "complaint"),
    [
        (lambda _: (each for each in ["soon"]), "the application yields 'soon': seconds or None"),
        (lambda _: [None], r"the application returns \[None\]: a generator or None"),
    ],
    ids=["text", "list"],
)
def test_what_an_application_cannot_do(application: Any, complaint: str) -> None:  # noqa: ANN401 - a wrong one
    device = SimulatedDevice("esp32c3", flash=IMAGE, state="download", application=application)
    device.press_reset()
    with pytest.raises(TypeError, match=complaint):
        device.clock.sleep(1.0)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Drop(rate=1, direction=NO_TEXT), "direction='text': one of Direction.TO_DEVICE"),
        (lambda: Drop(positions=[-1]), "position -1: bytes are counted from 0 on"),
        (lambda: Drop(positions=[NO_TEXT]), "position 'text'"),
        (lambda: Drop(rate=NO_TEXT), "rate='text': a number is needed"),
        (lambda: Corrupt(rate=1.5), "rate=1.5: from 0 to 1 is needed"),
        (lambda: Overflow(count=0), "count=0: at least 1 is needed"),
        (lambda: Delay(seconds=-1), "seconds=-1: at least 0 is needed"),
        (lambda: Delay(seconds=NO_TEXT), "seconds='text': a number is needed"),
        (lambda: Jitter(seconds=-0.5), "seconds=-0.5: at least 0"),
        (lambda: Stall(seconds=float("nan")), "seconds=nan: at least 0"),
        (lambda: Cut(seconds=-1), "seconds=-1: at least 0"),
    ],
)
def test_faults(make: Callable[[], object], complaint: str) -> None:
    with pytest.raises((TypeError, ValueError), match=complaint):
        make()


@pytest.mark.parametrize(
    ("faults", "complaint"),
    [(("x",), "'x' is no fault"), (Drop(), r"Drop\(.*: a tuple of faults is needed")],
)
def test_faults_of_a_line(faults: Any, complaint: str) -> None:  # noqa: ANN401 - wrong ones
    line = SimulatedDevice("esp32c3").open_transport()
    with pytest.raises(TypeError, match=complaint):
        FaultyTransport(line, faults)
