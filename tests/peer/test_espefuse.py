"""Real espefuse reads of a served simulator what we read: values, and what is protected."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Literal, TypedDict

import pytest

from covering import usual_parameters
from described_chips import DESCRIBED
from esploader import connect
from esploader.chips.model.efuse_layout import EfuseSpan
from programs import run
from served import lent_chip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.chips.reading.efuses import Efuses, EfuseValue

pytestmark = pytest.mark.peer

USUAL = ("esp32", "esp32s3", "esp32c2", "esp32c6")
"""The others under ``--full``."""

USUAL_BY_LOCKS = ("esp32c6",)
"""Each takes six runs."""


# It knows no eFuses of the ESP8266.
KNOWN = [chip.key for chip in DESCRIBED if chip.efuse_write_protection is not None]
CHIPS = usual_parameters(KNOWN, USUAL)
CHIPS_BY_LOCKS = usual_parameters(KNOWN, USUAL_BY_LOCKS)

NAMES = {
    "mac": ("MAC",),
    "major_revision": ("WAFER_VERSION_MAJOR",),
    "minor_revision": ("WAFER_VERSION_MINOR",),
    "block_major_version": ("BLK_VERSION_MAJOR",),
    "block_minor_version": ("BLK_VERSION_MINOR",),
    "package": ("PKG_VERSION",),
    "flash_crypt_count": ("SPI_BOOT_CRYPT_CNT", "FLASH_CRYPT_CNT"),
    "flash_crypt_config": ("FLASH_CRYPT_CONFIG",),
    "secure_boot_v1": ("ABS_DONE_0",),
    "secure_boot_v2": ("SECURE_BOOT_EN", "ABS_DONE_1"),
    "secure_download": ("ENABLE_SECURITY_DOWNLOAD",),
    "manual_encrypt_disabled": ("DIS_DOWNLOAD_MANUAL_ENCRYPT", "DISABLE_DL_ENCRYPT"),
    "coding_scheme": ("CODING_SCHEME",),
    "write_protection": ("WR_DIS",),
    "read_protection": ("RD_DIS",),
    "secure_boot_aggressive_revoke": ("SECURE_BOOT_AGGRESSIVE_REVOKE",),
    **{
        f"secure_boot_key_revoke{number}": (f"SECURE_BOOT_KEY_REVOKE{number}",)
        for number in range(3)
    },
    "soft_dis_jtag": ("SOFT_DIS_JTAG",),
    "hard_dis_jtag": ("HARD_DIS_JTAG", "DIS_PAD_JTAG"),
    "dis_usb": ("DIS_USB",),
    "dis_download_dcache": ("DIS_DOWNLOAD_DCACHE",),
    "dis_download_icache": ("DIS_DOWNLOAD_ICACHE",),
    "octal_flash": ("FLASH_TYPE",),
    "flash_supply_decides": ("VDD_SPI_FORCE", "XPD_SDIO_FORCE"),
    "flash_supply_enabled": ("VDD_SPI_XPD", "XPD_SDIO_REG"),
    "flash_supply_tied_high": ("VDD_SPI_TIEH", "XPD_SDIO_TIEH"),
    "download_mode_xpd_on": ("DOWNLOAD_MODE_XPD_ON",),
    "flash_pad_cs": ("SPI_PAD_CONFIG_CS0",),
    **{f"flash_pad_{pad}": (f"SPI_PAD_CONFIG_{pad.upper()}",) for pad in ("hd", "d", "q", "clk")},
    "adc_vref": ("ADC_VREF",),
    "app_cpu_disabled": ("DISABLE_APP_CPU",),
    "bluetooth_disabled": ("DISABLE_BT",),
    **{f"key_purpose_{number}": (f"KEY_PURPOSE_{number}",) for number in range(6)},
    **{f"key{number}": (f"BLOCK_KEY{number}",) for number in range(6)},
}
"""What we call a field, and what it may be called there."""

# Some of everything; the protection of half of all fields, and of the first key.
EFUSES = {
    "flash_crypt_count": 0b11,
    "secure_boot_v2": 1,
    "manual_encrypt_disabled": 1,
    "secure_boot_key_revoke1": 1,
    "soft_dis_jtag": 0b101,
    "hard_dis_jtag": 1,
    "dis_download_icache": 1,
    "key_purpose_0": 9,
    "key_purpose_4": 4,
    "key0": 0x1234_5678_9ABC,
    "key3": 0xFEDC_BA98_7654_3210,
    "write_protection": 0b1010_1010_0110_0101_0001_0000_0100,
    "read_protection": 1,
}


class Theirs(TypedDict):
    """What espefuse says of a field."""

    block: int
    word: int | None
    pos: int | None
    bit_len: int
    raw_value: str
    readable: bool
    writeable: bool


LOCKS = tuple(sum(1 << lock for lock in range(32) if lock + 1 >> place & 1) for place in range(6))
"""Write protection: every lock is closed in some of these, and no two of them in the same."""


def read_both(chip: str, burnt: Mapping[str, int]) -> tuple[Efuses, dict[str, Theirs]]:
    """Return what we and what espefuse read of a device with those of ``burnt`` that it has."""
    with connect(f"sim://{chip}") as plain:
        known = plain.efuses.read()
    asked = ",".join(
        f"{name}:{value & (1 << known[name].width) - 1:#x}"
        for name, value in burnt.items()
        if name in known
    )
    url = f"sim://{chip}?mac=24:0a:c4:12:34:56&efuses={asked}"
    with connect(url) as device:
        ours = device.efuses.read()
    with lent_chip(url) as port:
        done = run(
            *(sys.executable, "-m", "espefuse", "--port", port, "--chip", chip),
            *("summary", "--format", "json"),
        )
    assert done.exit_code == 0, done.stdout + done.stderr
    theirs: dict[str, Theirs] = json.loads(done.stdout[done.stdout.index("\n{") :])
    return ours, theirs


def their_field(field: EfuseValue, theirs: Mapping[str, Theirs]) -> Theirs | None:
    return next((theirs[name] for name in NAMES[field.name] if name in theirs), None)


def number(field: Theirs) -> int:
    """Return the value; what is bytes there stands in them with the lowest in front."""
    text = field["raw_value"].removeprefix("0x")
    order: Literal["little", "big"] = "little" if field["bit_len"] > 32 else "big"
    return int.from_bytes(bytes.fromhex(text.zfill(len(text) + len(text) % 2)), order)


@pytest.mark.parametrize("chip", CHIPS)
def test_espefuse_reads_what_we_read(chip: str) -> None:
    ours, theirs = read_both(chip, EFUSES)
    compared: set[str] = set()
    for name, field in ours.items():
        other = their_field(field, theirs) if name in NAMES else None
        if other is None:
            continue
        compared.add(name)
        # The major revision of the ESP32 is a code, and means a number.
        assert str(number(other)) in (str(field.value), field.meaning), name
        if other["word"] is not None:
            assert field.width == other["bit_len"], name
            assert field.read_protected is not other["readable"], name
            assert field.write_protected is not other["writeable"], name
            assert other["pos"] is not None
            position = 32 * other["word"] + other["pos"]
            assert (list(ours.blocks).index(field.block), field.positions[-1].first) == (
                other["block"],
                position,
            )
    assert {"mac", "flash_crypt_count", "secure_boot_v2", "write_protection"} <= compared
    assert ours["mac"].meaning == "24:0a:c4:12:34:56"
    assert any(field.read_protected for field in ours.values())
    assert any(field.write_protected for field in ours.values())


@pytest.mark.parametrize("chip", CHIPS_BY_LOCKS)
def test_espefuse_finds_locked_what_we_find_locked(chip: str) -> None:
    for locks in LOCKS:
        ours, theirs = read_both(chip, {"write_protection": locks})
        for name, field in ours.items():
            if field.block == "BLOCK0":
                # What is one field here may be a part of one there, or several.
                others = [other for other in theirs.values() if shares_efuses(field, other)]
                assert others, name
                writeable = all(other["writeable"] for other in others)
                assert field.write_protected is not writeable, (name, hex(locks))


def shares_efuses(field: EfuseValue, other: Theirs) -> bool:
    """Return whether a field of BLOCK0 and one of espefuse have an eFuse in common."""
    if other["block"] != 0 or other["word"] is None or other["pos"] is None:
        return False
    span = EfuseSpan("BLOCK0", 32 * other["word"] + other["pos"], other["bit_len"])
    return any(span.overlaps(position) for position in field.positions)
