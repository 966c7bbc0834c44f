"""GET_SECURITY_INFO of every chip that has it: what the eFuses say, by name."""

from __future__ import annotations

import contextlib
import io
import json
from typing import TYPE_CHECKING

import pytest

from esploader import connect
from esploader.chips.reading.security import SecurityFlag, SecurityInfo, key_purpose_names
from esploader.chips.registry import CHIPS
from esploader.cli import main
from esploader.simulator import SimulatedDevice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.chips.model.chip import Chip

TELLING = [chip for chip in CHIPS if chip.security_info_size is not None]
DESCRIBED = [chip for chip in TELLING if chip.is_described]

# Of the ROMs of the usual revisions; of the others it is 0, or not known.
API_VERSIONS = {"esp32c2": 1, "esp32c3": 3, "esp32c5": 2, "esp32c61": 3, "esp32p4": 5}

FLAG_OF_FIELD = {"secure_boot_v2": "SECURE_BOOT_EN", "secure_download": "ENABLE_SECURITY_DOWNLOAD"}


def info_of(
    chip: Chip, efuses: Mapping[str, int] | None = None, state: str = "app"
) -> SecurityInfo:
    simulated = SimulatedDevice(chip, efuses=efuses or {}, state=state)
    with connect(simulated.open_transport(), stub=False) as device:
        info = device.security.read()
        assert device.security.info == info
    return info


def test_all_but_the_two_oldest_chips_have_it() -> None:
    assert [chip.key for chip in CHIPS if chip not in TELLING] == ["esp8266", "esp32"]


@pytest.mark.parametrize("chip", TELLING, ids=lambda chip: chip.key)
def test_of_a_fresh_device_nothing_is_on(chip: Chip) -> None:
    info = info_of(chip)
    assert info.flags == 0
    assert info.flash_crypt_count == 0
    tells_chip = chip.key != "esp32s2"
    assert info.chip_id == (chip.image_chip_id if tells_chip else None)
    assert info.api_version == (API_VERSIONS.get(chip.key, 0) if tells_chip else None)
    if chip.is_described:
        assert set(key_purpose_names(info, chip)) <= {"USER/EMPTY"}
        assert len(key_purpose_names(info, chip)) == len(chip.key_purposes)


@pytest.mark.parametrize("state", ["app", "stub"])
@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_every_flag_stands_for_an_efuse(chip: Chip, state: str) -> None:
    flags = {name.lower(): name for name, _ in chip.security_flags} | FLAG_OF_FIELD
    for field, flag in flags.items():
        if (field, state) != ("secure_download", "stub"):
            assert info_of(chip, {field: 1}, state).flag_names == (flag,)
    assert set(flags.values()) <= set(SecurityFlag.__members__)


def test_the_flags_of_which_an_efuse_is_known() -> None:
    found = {chip.key: {name for name, _ in chip.security_flags} for chip in DESCRIBED}
    revoking = {
        "SECURE_BOOT_AGGRESSIVE_REVOKE",
        *(f"SECURE_BOOT_KEY_REVOKE{number}" for number in range(3)),
    }
    assert [key for key, names in found.items() if not names >= revoking] == ["esp32c2"]
    assert [key for key, names in found.items() if "DIS_USB" in names] == ["esp32s2"]
    assert all("HARD_DIS_JTAG" in names for names in found.values())


@pytest.mark.parametrize(("count", "is_off"), [(0b001, True), (0b011, False), (0b111, True)])
def test_jtag_is_off_with_an_odd_number_of_bits(count: int, *, is_off: bool) -> None:
    info = info_of(next(chip for chip in CHIPS if chip.key == "esp32c6"), {"soft_dis_jtag": count})
    assert (SecurityFlag.SOFT_DIS_JTAG in info.flags) is is_off


@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_every_purpose_of_every_key_block_has_its_name(chip: Chip) -> None:
    block_count = len(chip.key_purposes)
    assert block_count == {"esp32c2": 0, "esp32s31": 5}.get(chip.key, 6)
    if not block_count:
        return
    known = chip.key_purpose_names
    for start in range(len(known)):
        chosen = [known[(start + block) % len(known)] for block in range(block_count)]
        efuses = {f"key_purpose_{block}": purpose for block, (purpose, _) in enumerate(chosen)}
        info = info_of(chip, efuses)
        assert list(key_purpose_names(info, chip)) == [name for _, name in chosen]


@pytest.mark.parametrize("count", [0b001, 0b011, 0b111])
@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_the_count_of_flash_encryption_is_told(chip: Chip, count: int) -> None:
    info = info_of(chip, {"flash_crypt_count": count})
    assert info.flash_crypt_count == count
    assert info.flash_encryption is (count != 0b011)


@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_the_command_says_all_of_it(chip: Chip) -> None:
    efuses = ["secure_download:1", "secure_boot_v2:1", "flash_crypt_count:1", "hard_dis_jtag:1"]
    if chip.key_purposes:
        efuses.append("key_purpose_1:9")
    port = f"sim://{chip.key}?efuses={','.join(efuses)}"
    words = ["--port", port, "--no-stub", "get-security-info"]
    text, document = printed(words), json.loads("".join(printed([*words, "--json"])))
    flags = ["SECURE_BOOT_EN", "ENABLE_SECURITY_DOWNLOAD", "HARD_DIS_JTAG"]
    assert "Flags: 0x00000085 (0b10000101)" in text
    assert [line.strip() for line in text if line.strip() in flags] == flags
    assert "Secure Boot: Enabled" in text
    assert "Flash Encryption: Enabled" in text
    assert ("  BLOCK_KEY1 - SECURE_BOOT_DIGEST0" in text) is bool(chip.key_purposes)
    assert (f"Chip ID: {chip.image_chip_id}" in text) is (chip.key != "esp32s2")
    assert document["secure_download_mode"] is True
    found = document["security_info"]
    assert found["flags"] == 0x85
    assert found["flag_names"] == flags
    assert (
        found["secure_boot"] is found["flash_encryption"] is found["secure_download_mode"] is True
    )
    assert found["key_purposes"][1:2] == (["SECURE_BOOT_DIGEST0"] if chip.key_purposes else [])


def printed(words: list[str]) -> list[str]:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert main(words) == 0
    return output.getvalue().splitlines()
