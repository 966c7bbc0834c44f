"""What esptool does about the quirks of devices has its effect on the simulated ones."""

from __future__ import annotations

import sys

import pytest

from programs import run
from served import lent_chip

pytestmark = pytest.mark.peer

PATIENCE = 120.0

FOUND = "Detected flash size: 4MB"

CASES = {
    "ESP32-P4 that does not power its flash": (
        "sim://esp32p4?revision=3.1",
        ("--no-stub", "flash-id"),
        (FOUND,),
    ),
    "ESP32-P4 whose ROM powers it": (
        "sim://esp32p4?revision=3.2&efuses=download_mode_xpd_on:1",
        ("flash-id",),
        ("Stub flasher running.", FOUND),
    ),
    "early ESP32-P4": (
        "sim://esp32p4?revision=1.3",
        ("flash-id",),
        ("Stub flasher running.", FOUND),
    ),
    "ESP32-S3 with secure boot": (
        "sim://esp32s3?efuses=secure_boot_v2:1",
        ("flash-id",),
        ("Stub flasher running.", FOUND),
    ),
    "ESP32-C3 with secure boot": (
        "sim://esp32c3?efuses=secure_boot_v2:1",
        ("flash-id",),
        (FOUND,),
    ),
    "ESP32-C2 of revision 0": (
        "sim://esp32c2?revision=0.0",
        ("flash-id",),
        (FOUND,),
    ),
    "flash of XMC that has not started up": (
        "sim://esp32c3?condition=asleep",
        ("flash-id",),
        ("Manufacturer: 20", FOUND),
    ),
    "reset by the watchdog": (
        "sim://esp32c3",
        ("--after", "watchdog-reset", "flash-id"),
        ("Hard resetting with a watchdog...",),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_esptool_gets_through(name: str) -> None:
    chip, arguments, said = CASES[name]
    with lent_chip(chip) as port:
        options = ("--port", port, *arguments)
        result = run(sys.executable, "-m", "esptool", *options, timeout=PATIENCE)
    assert result.exit_code == 0, result.stdout + result.stderr
    for text in said:
        assert text in result.stdout
