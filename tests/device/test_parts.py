"""A device is made of parts, each of which does one thing in one place."""

from __future__ import annotations

import pytest

from esploader import connect
from esploader.device.device import NEW_PLACES


@pytest.mark.parametrize(("name", "place"), NEW_PLACES.items())
def test_who_looks_for_the_name_of_a_command_is_told_the_place(name: str, place: str) -> None:
    part, method = place.split(".")
    with connect("sim://esp32c3") as device:
        with pytest.raises(AttributeError, match=rf"'{name}'; it is device\.{place}$"):
            getattr(device, name)
        assert hasattr(getattr(device, part), method)


def test_what_a_device_never_had_is_no_place_of_anything() -> None:
    with connect("sim://esp32c3") as device, pytest.raises(AttributeError) as caught:
        _ = device.fly  # type: ignore[attr-defined]
    assert str(caught.value) == "a device has no 'fly'"


def test_a_device_and_its_parts_are_short_in_a_log() -> None:
    with connect("sim://esp32c3?mac=24:0a:c4:aa:bb:cc") as device:
        assert repr(device) == (
            "<Device ESP32-C3 24:0a:c4:aa:bb:cc on sim://esp32c3?mac=24:0a:c4:aa:bb:cc>"
        )
        parts = (device.flash, device.memory, device.efuses, device.security, device.partitions)
        for part in parts:
            assert len(repr(part)) < 120


def test_efuses_are_read_anew_after_a_reset() -> None:
    with connect("sim://esp32c3") as device:
        before = device.efuses.read()
        assert device.efuses.read() is before
        device.reset()
        device.link.revive(slower=False)
        assert device.efuses.read() is not before
        assert device.efuses.read()["mac"] == before["mac"]
