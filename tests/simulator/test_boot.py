"""A chip checks the image in its flash as its ROM does, and says so in its own words."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from described_chips import DESCRIBED as CHIPS
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp8266 import ESP8266
from esploader.errors import UrlError
from esploader.image.suitability import Suitability, check_image
from esploader.simulator import SimulatedDevice, Timings, minimal_image
from esploader.simulator.url import open_simulated, parse
from images import build_image, header_for, small_image
from simulated import Bench

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

EXTENDED_CHIPS = [chip for chip in CHIPS if chip not in {ESP8266, ESP32}]
GREETING = b"Hello from the simulated application\r\n"

every_chip = pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.key)


def boot(chip: Chip, content: bytes, *, at: int | None = None) -> str:
    """Return what a chip prints when it is reset with some content in its flash."""
    offset = chip.bootloader_offset if at is None else at
    device = SimulatedDevice(chip, flash={offset: content})
    log = Bench(device.open_transport(baudrate=None)).reset(strap_low=False)
    return log.decode("ascii").replace("\r\n", "\n")


def test_the_log_of_a_risc_v_chip() -> None:
    parts = ((0x3FCD_5820, bytes(0x1714)), (0x403C_C710, bytes(0x968)))
    image = build_image(header_for(ESP32_C3, parts, mode=2, frequency=0xF), parts)

    assert boot(ESP32_C3, image) == (
        "ESP-ROM:esp32c3-api1-20210207\n"
        "Build:Feb  7 2021\n"
        "rst:0x1 (POWERON),boot:0xd (SPI_FAST_FLASH_BOOT)\n"
        "SPIWP:0xee\n"
        "mode:DIO, clock div:1\n"
        "load:0x3fcd5820,len:0x1714\n"
        "load:0x403cc710,len:0x968\n"
        "entry 0x403cc710\n"
        "Hello from the simulated application\n"
    )


def test_the_log_of_an_esp32_counts_in_tens() -> None:
    parts = ((0x3FFF_0030, bytes(1184)), (0x4007_8000, bytes(13232)))
    image = build_image(header_for(ESP32, parts, mode=2), parts)

    assert boot(ESP32, image) == (
        "ets Jul 29 2019 12:21:46\n"
        "\n"
        "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\n"
        "configsip: 0, SPIWP:0xee\n"
        "clk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,hd_drv:0x00,wp_drv:0x00\n"
        "mode:DIO, clock div:2\n"
        "load:0x3fff0030,len:1184\n"
        "load:0x40078000,len:13232\n"
        "entry 0x40078000\n"
        "Hello from the simulated application\n"
    )


def test_the_log_of_an_esp8266_tells_of_rows_and_checksums() -> None:
    """Sizes, rows and tails are those of a log in a public report."""
    sizes = [(0x4010_0000, 28740), (0x3FFE_8000, 2888), (0x3FFE_8B50, 15536)]
    parts = tuple((address, bytes(size - 1) + b"\x3c") for address, size in sizes)
    image = build_image(header_for(ESP8266, parts), parts)

    assert boot(ESP8266, image) == (
        "\n ets Jan  8 2013,rst cause:2, boot mode:(3,6)\n"
        "\n"
        "load 0x40100000, len 28740, room 16 \n"
        "tail 4\n"
        "chksum 0xd3\n"
        "load 0x3ffe8000, len 2888, room 4 \n"
        "tail 4\n"
        "chksum 0xef\n"
        "load 0x3ffe8b50, len 15536, room 4 \n"
        "tail 12\n"
        "chksum 0xd3\n"
        "csum 0xd3\n"
        "Hello from the simulated application\n"
    )


@every_chip
def test_blank_flash_holds_no_image(chip: Chip) -> None:
    log = boot(chip, b"")

    assert log.endswith("ets_main.c\n" if chip is ESP8266 else "invalid header: 0xffffffff\n" * 4)


@every_chip
def test_what_stands_where_the_image_should_is_shown(chip: Chip) -> None:
    log = boot(chip, b"MZ\x90\x00")

    assert chip is ESP8266 or log.endswith("invalid header: 0x00905a4d\n" * 4)
    assert "Hello" not in log


@every_chip
def test_an_image_elsewhere_is_not_found(chip: Chip) -> None:
    assert "Hello" not in boot(chip, small_image(chip), at=0x1_0000)


@every_chip
def test_a_wrong_checksum_stops_the_boot(chip: Chip) -> None:
    image = bytearray(small_image(chip, digest=False))
    image[-1] ^= 0x40
    stored, right = image[-1], image[-1] ^ 0x40

    assert boot(chip, bytes(image)).endswith(
        {
            "esp8266": f"csum 0x{stored:02x}\ncsum err\nets_main.c\n",
            "esp32": f"csum err:0x{right:02x}!=0x{stored:02x}\nets_main.c 371\n",
        }.get(
            chip.key,
            f"Checksum failure. Calculated 0x{right:02x} stored 0x{stored:02x}\nets_main.c 329\n",
        )
    )


@pytest.mark.parametrize("chip", EXTENDED_CHIPS, ids=lambda chip: chip.key)
def test_a_wrong_digest_is_told_and_stops_nothing(chip: Chip) -> None:
    image = small_image(chip)
    broken = image[:-1] + bytes((image[-1] ^ 1,))

    assert (
        "SHA-256 comparison failed:\n"
        f"Calculated: {image[-32:].hex()}\n"
        f"Expected: {broken[-32:].hex()}\n"
        "Attempting to boot anyway...\n"
        "entry "
    ) in (log := boot(chip, broken))
    assert log.endswith("Hello from the simulated application\n")


def test_the_esp32_does_not_look_at_the_digest() -> None:
    image = small_image(ESP32)

    assert boot(ESP32, image[:-1] + bytes((image[-1] ^ 1,))) == boot(ESP32, image)


@every_chip
def test_a_segment_that_never_ends_stops_the_boot(chip: Chip) -> None:
    header = small_image(chip)[: 8 if chip is ESP8266 else 24]
    log = boot(chip, header + struct.pack("<II", 0x3FFE_8000, 0x0020_0000))

    assert log.splitlines()[-1].startswith("ets_")


@every_chip
def test_the_minimal_image_boots(chip: Chip) -> None:
    image = minimal_image(chip, b"version 2")

    assert boot(chip, image).endswith("Hello from the simulated application\n")
    assert check_image(image, chip, None).suitability is Suitability.SUITABLE
    assert image != minimal_image(chip.key)


@given(
    chip=st.sampled_from(CHIPS),
    content=st.binary(max_size=80)
    | st.binary(max_size=80).map(lambda data: b"\xe9\x01" + data)
    | st.binary(max_size=40).map(lambda data: small_image(ESP32_C3)[:40] + data),
)
def test_no_content_of_the_flash_does_harm(chip: Chip, content: bytes) -> None:
    assert "boot" in boot(chip, content)


def test_the_watchdog_boots_again_and_again_if_asked_to() -> None:
    device = SimulatedDevice("esp32c3", timings=Timings(watchdog=0.5))
    bench = Bench(device.open_transport())
    bench.transport.set_lines(rts=True)
    bench.transport.set_lines(rts=False)
    bench.transport.clock.sleep(2.2)
    log = bench.transport.discard_input()

    assert device.boot_count == 5
    assert [boot.cause.name for boot in device.history.boots] == ["EXTERNAL", *["WATCHDOG"] * 4]
    assert log.count(b"rst:0x7 (TG0WDT_SYS_RST)") == 4
    assert log.count(b"Saved PC:") == 4


def test_a_boot_that_failed_can_be_repeated_on_request() -> None:
    with open_simulated("sim://esp32c3?boot-loop=yes") as port:
        port.set_lines(rts=True)
        port.set_lines(rts=False)
        port.clock.sleep(4.5)
        assert port.discard_input().count(b"rst:0x7 (TG0WDT_SYS_RST)") == 4
    with pytest.raises(UrlError, match="choices are yes, no"):
        parse("sim://esp32c3?boot-loop=1")


def test_the_watchdog_leaves_an_application_alone() -> None:
    image = minimal_image("esp32c3")
    device = SimulatedDevice("esp32c3", flash=image, timings=Timings(watchdog=0.5))
    bench = Bench(device.open_transport())
    bench.reset(strap_low=False)
    bench.transport.clock.sleep(10.0)

    assert device.boot_count == 1
