"""The body of GET_SECURITY_INFO, decoded or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32e22 import ESP32_E22
from esploader.chips.esp32s2 import ESP32_S2
from esploader.chips.reading.security import SecurityFlag, SecurityInfo, key_purpose_names
from esploader.errors import ProtocolError

# As the ROM of an ESP32-C3 answered it, nothing burnt.
FRESH_C3 = bytes.fromhex("00000000 00 0000000000000c 05000000 00000000")


def test_a_fresh_chip_uses_no_security_feature() -> None:
    info = SecurityInfo.decode(FRESH_C3)

    assert info.flag_names == ()
    assert not info.secure_boot
    assert not info.secure_download_mode
    assert not info.flash_encryption
    assert info.chip_id == 5
    assert info.api_version == 0
    assert info.key_purposes == (0, 0, 0, 0, 0, 0, 12)
    assert key_purpose_names(info, ESP32_C3) == ("USER/EMPTY",) * 6


def test_the_long_form() -> None:
    body = bytes.fromhex("25000000 07 0402090a0b010c 09000000 03000000")

    info = SecurityInfo.decode(body)

    assert info.flag_names == (
        "SECURE_BOOT_EN",
        "ENABLE_SECURITY_DOWNLOAD",
        "SECURE_BOOT_KEY_REVOKE2",
    )
    assert info.secure_boot
    assert info.secure_download_mode
    assert info.flash_encryption
    assert info.flash_crypt_count == 7
    assert info.chip_id == 9
    assert info.api_version == 3


def test_the_short_form_of_the_esp32_s2_tells_no_chip() -> None:
    info = SecurityInfo.decode(bytes.fromhex("40000000 03 0203040f000000"))

    assert info.chip_id is None
    assert info.api_version is None
    assert info.flags == SecurityFlag.SOFT_DIS_JTAG
    assert not info.flash_encryption
    assert key_purpose_names(info, ESP32_S2) == (
        "XTS_AES_256_KEY_1",
        "XTS_AES_256_KEY_2",
        "XTS_AES_128_KEY",
        "UNKNOWN",
        "USER/EMPTY",
        "USER/EMPTY",
    )


def test_a_purpose_means_what_the_chip_makes_of_it() -> None:
    info = SecurityInfo.decode(bytes.fromhex("00000000 00 0203040f000000"))

    assert key_purpose_names(info, ESP32_C3)[:3] == ("UNKNOWN", "UNKNOWN", "XTS_AES_128_KEY")
    assert key_purpose_names(info, ESP32) == ()


@pytest.mark.parametrize("bit", range(11))
def test_every_flag_of_the_protocol_document_has_a_name(bit: int) -> None:
    info = SecurityInfo.decode((1 << bit).to_bytes(4, "little") + bytes(8))

    assert info.flag_names == (SecurityFlag(1 << bit).name,)


def test_flags_without_a_name_are_kept() -> None:
    info = SecurityInfo.decode(b"\x01\x00\x00\x80" + bytes(8))

    assert info.flags == 0x8000_0001
    assert info.flag_names == ("SECURE_BOOT_EN",)


@pytest.mark.parametrize(("count", "is_on"), [(0, 0), (1, 1), (2, 1), (3, 0), (4, 1), (7, 1)])
def test_an_odd_number_of_bits_turns_flash_encryption_on(count: int, is_on: int) -> None:
    info = SecurityInfo.decode(bytes(4) + bytes([count]) + bytes(7))

    assert info.flash_encryption == bool(is_on)


@given(st.binary(max_size=64).filter(lambda body: len(body) not in {12, 20}))
def test_any_other_size_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError, match=f"has {len(body)} bytes"):
        SecurityInfo.decode(body)


@given(st.binary(min_size=12, max_size=12) | st.binary(min_size=20, max_size=20))
def test_any_body_of_the_right_size_is_understood(body: bytes) -> None:
    info = SecurityInfo.decode(body)

    assert int(info.flags) == int.from_bytes(body[:4], "little")
    assert bytes([info.flash_crypt_count, *info.key_purposes]) == body[4:12]
    assert len(key_purpose_names(info, ESP32_C3)) == 6


def test_purposes_of_blocks_that_nobody_knows_are_not_guessed() -> None:
    assert key_purpose_names(SecurityInfo.decode(FRESH_C3), ESP32_E22) == ()
