"""``sim://`` URLs are read strictly."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.chips.esp32c3 import ESP32_C3
from esploader.errors import UrlError
from esploader.simulator.config import DeviceConfig, InitialState, PortKind
from esploader.simulator.flash.chip import FlashCondition
from esploader.simulator.url import open_simulated, parse


def test_a_chip_alone_is_enough() -> None:
    assert parse("sim://esp32c3") == DeviceConfig(chip=ESP32_C3)


def test_every_option_is_understood() -> None:
    url = (
        "sim://ESP32-C3?flash=8MB&state=download&mac=02:00:00:00:00:0A&revision=0.3"
        "&file=/tmp/my%20flash&seed=7&efuses=flash_crypt_count:1,key0:0x0123456789abcdef"
    )

    assert parse(url) == DeviceConfig(
        chip=ESP32_C3,
        flash_size=8 * 1024 * 1024,
        flash_file=Path("/tmp/my flash"),  # noqa: S108 - nothing is opened
        state=InitialState.DOWNLOAD,
        mac=b"\x02\x00\x00\x00\x00\x0a",
        revision=(0, 3),
        seed=7,
        efuses={"flash_crypt_count": 1, "key0": 0x0123_4567_89AB_CDEF},
    )


@pytest.mark.parametrize(
    "url",
    [
        "sim://",
        "sim://esp99",
        "sim:esp32c3",
        "rfc2217://esp32c3",
        "sim://esp32c3/path",
        "sim://esp32c3#fragment",
        "sim://esp32c3?flash",
        "sim://esp32c3?flash=",
        "sim://esp32c3?flash=4",
        "sim://esp32c3?flash=4mb",
        "sim://esp32c3?pins=0x1ffffffff",
        "sim://esp32c3?attached=perhaps",
        "sim://esp32c3?condition=broken",
        "sim://esp32c3?state=running",
        "sim://esp32c3?mac=020000000000",
        "sim://esp32c3?mac=02:00:00:00:00:0g",
        "sim://esp32c3?revision=3",
        "sim://esp32c3?seed=-1",
        "sim://esp32c3?efuses=flash_key:1",
        "sim://esp32c3?efuses=flash_crypt_count",
        "sim://esp32c3?efuses=flash_crypt_count:0b1",
        "sim://esp32c3?efuses=flash_crypt_count:1,flash_crypt_count:1",
        "sim://esp32c3?crystal=40MHz",
        "sim://esp32?assumed=-1",
        "sim://esp32c3?color=red",
        "sim://esp32c3?seed=1&seed=2",
        "sim://esp32c3?seed=1&",
    ],
)
def test_what_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(UrlError) as caught:
        parse(url)

    assert caught.value.url == url


@pytest.mark.parametrize(
    "url",
    [
        "sim://esp32c3?flash=3MB",
        "sim://esp32c3?revision=9.0",
        "sim://esp32c3?file=/dev",
        "sim://esp32c3?crystal=26",
        "sim://esp32c3?assumed=40000000",
    ],
)
def test_what_cannot_be_made_is_refused(url: str) -> None:
    with pytest.raises(UrlError):
        open_simulated(url)


@given(st.text(max_size=40))
def test_no_text_raises_anything_else(text: str) -> None:
    with contextlib.suppress(UrlError):
        parse(f"sim://esp32c3{text}")


def test_a_crystal_and_what_the_rom_takes_it_to_be() -> None:
    config = parse("sim://esp32?crystal=26&assumed=26500000")
    assert (config.crystal_mhz, config.assumed_crystal_hz) == (26, 26_500_000)


def test_an_opened_url_is_a_port_with_that_name() -> None:
    with open_simulated("sim://esp32c3?seed=3", baudrate=74880) as transport:
        assert transport.name == "sim://esp32c3?seed=3"
        assert transport.baudrate == 74880
        assert transport.device.config.seed == 3


def test_what_the_flash_and_the_port_are_like_is_understood() -> None:
    assert parse(
        "sim://esp32c3?condition=asleep&pins=0x3f&attached=yes&port=usb-serial-jtag"
    ) == DeviceConfig(
        chip=ESP32_C3,
        flash_condition=FlashCondition.ASLEEP,
        flash_pins=0x3F,
        flash_attached=True,
        port=PortKind.USB_SERIAL_JTAG,
    )
