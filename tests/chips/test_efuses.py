"""Words of eFuses are fields with a place, a value, a meaning and a protection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from described_chips import DESCRIBED
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c2 import ESP32_C2
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp8266 import ESP8266
from esploader.chips.model.efuse_layout import EfuseSpan
from esploader.chips.reading.efuses import Efuses, efuse_addresses, efuse_fields, efuses_of

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

WITHOUT_A_LOCK = {
    "esp32": {"major_revision", "minor_revision", "package", "cpu_frequency", "flash_pad_hd"},
    "esp32p4": {"write_protection", "download_mode_xpd_on"},
}
"""What espefuse 5.6.0 lists without a lock; on the other chips that is WR_DIS alone."""

every_chip = pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
protecting_chips = pytest.mark.parametrize(
    "chip", [chip for chip in DESCRIBED if chip.efuse_write_protection], ids=lambda chip: chip.key
)


def efuses_with(chip: Chip, **values: int) -> Efuses:
    """Return the eFuses of a device in which only ``values`` are burnt."""
    words = dict.fromkeys(efuse_addresses(chip), 0)
    for name, value in values.items():
        words |= efuse_fields(chip)[name].insert(value, words)
    return efuses_of(chip, words)


@given(st.sampled_from(DESCRIBED), st.data())
def test_any_words_are_fields_and_blocks(chip: Chip, data: st.DataObject) -> None:
    addresses = efuse_addresses(chip)
    size = 4 * len(addresses)
    content_of_all = data.draw(st.binary(min_size=size, max_size=size))
    words = {
        address: int.from_bytes(content_of_all[4 * index : 4 * index + 4], "little")
        for index, address in enumerate(addresses)
    }

    efuses = efuses_of(chip, words)

    assert list(efuses) == list(efuse_fields(chip))
    assert list(efuses.blocks) == [block.name for block in chip.efuse_blocks]
    for block in chip.efuse_blocks:
        content = efuses.blocks[block.name]
        assert content.words[0] == words[block.address]
        assert content.data[-4:] == content.words[-1].to_bytes(4, "little")
    for name, field in efuses.items():
        assert field.name == name
        assert field.block in efuses.blocks
        assert 0 <= field.value < 1 << efuse_fields(chip)[name].width


@every_chip
def test_positions_and_value_say_the_same(chip: Chip) -> None:
    for name, bits in efuse_fields(chip).items():
        efuses = efuses_with(chip, **{name: (1 << bits.width) - 1})

        burnt = {
            (block, 32 * index + bit)
            for block, content in efuses.blocks.items()
            for index, word in enumerate(content.words)
            for bit in range(32)
            if word >> bit & 1
        }
        positions = efuses[name].positions
        assert burnt == {
            (span.block, bit)
            for span in positions
            for bit in range(span.first, span.first + span.width)
        }


def test_the_most_significant_part_comes_first() -> None:
    field = efuses_with(ESP32_C3, minor_revision=0b1010)["minor_revision"]

    assert field.positions == (EfuseSpan("BLOCK1", 183, 1), EfuseSpan("BLOCK1", 114, 3))
    assert field.value == 0b1010
    assert field.width == 4


def test_a_value_goes_over_words() -> None:
    field = efuses_with(ESP32_C3, mac=0x1122_3344_5566)["mac"]

    assert field.positions == (EfuseSpan("BLOCK1", 0, 48),)
    assert field.meaning == "11:22:33:44:55:66"


@protecting_chips
def test_what_nothing_protects_can_be_read_and_burnt(chip: Chip) -> None:
    efuses = efuses_with(chip)

    for field in efuses.values():
        assert (field.read_protected, field.write_protected) == (False, False)
    for block in efuses.blocks.values():
        assert (block.read_protected, block.write_protected) == (False, False)


@protecting_chips
def test_what_is_protected_in_every_way_is(chip: Chip) -> None:
    assert chip.efuse_write_protection is not None
    assert chip.efuse_read_protection is not None
    efuses = efuses_with(
        chip,
        write_protection=(1 << chip.efuse_write_protection.register.width) - 1,
        read_protection=(1 << chip.efuse_read_protection.register.width) - 1,
    )

    for name in ("mac", "flash_crypt_count", "secure_boot_v2", "manual_encrypt_disabled"):
        assert efuses[name].write_protected, name
        assert not efuses[name].read_protected, name
    for name, field in efuses.items():
        if name.startswith("key"):
            assert field.write_protected, name
        if name in {"key0", "flash_key"}:
            assert field.read_protected, name
    (_, *blocks) = efuses.blocks.values()
    assert all(block.write_protected for block in blocks)
    assert not efuses.blocks["BLOCK1"].read_protected or chip is ESP32


@protecting_chips
def test_every_field_is_behind_a_lock_except_where_there_is_none(chip: Chip) -> None:
    assert chip.efuse_write_protection is not None
    locks = (1 << chip.efuse_write_protection.register.width) - 1

    efuses = efuses_with(chip, write_protection=locks)

    free = {name for name, field in efuses.items() if not field.write_protected}
    assert free == WITHOUT_A_LOCK.get(chip.key, {"write_protection"})


@pytest.mark.parametrize(
    ("chip", "lock", "names"),
    [
        (ESP32, 1, {"write_protection"}),
        (ESP32_C2, 1, {"hard_dis_jtag", "dis_download_icache"}),
        (ESP32_C3, 6, {"secure_boot_key_revoke1"}),
        (ESP32_C3, 16, {"secure_boot_aggressive_revoke"}),
        (ESP32_C3, 31, {"soft_dis_jtag"}),
    ],
)
def test_a_lock_is_for_some_fields(chip: Chip, lock: int, names: set[str]) -> None:
    efuses = efuses_with(chip, write_protection=1 << lock)

    assert {name for name, field in efuses.items() if field.write_protected} == names


def test_half_of_a_key_can_be_hidden() -> None:
    efuses = efuses_with(ESP32_C2, read_protection=0b10)

    assert efuses["key0"].read_protected
    assert not efuses["flash_key"].read_protected
    assert not efuses.blocks["BLOCK_KEY0"].read_protected
    assert efuses_with(ESP32_C2, read_protection=0b11).blocks["BLOCK_KEY0"].read_protected


def test_nobody_protects_the_efuses_of_an_esp8266() -> None:
    efuses = efuses_with(ESP8266, unique_id=1)

    assert efuses["unique_id"].value == 1
    assert efuses["unique_id"].read_protected is None
    assert efuses.blocks["BLOCK0"].write_protected is None


@pytest.mark.parametrize(
    ("chip", "name", "value", "meaning"),
    [
        (ESP32, "coding_scheme", 1, "3/4"),
        (ESP32, "flash_crypt_count", 0b111, "flash encryption on"),
        (ESP32, "flash_crypt_count", 0b11, "flash encryption off"),
        (ESP32, "secure_boot_v1", 1, "secure boot V1 on"),
        (ESP32_C3, "key_purpose_5", 9, "SECURE_BOOT_DIGEST0"),
        (ESP32_C3, "key_purpose_5", 15, ""),
        (ESP32_C3, "secure_download", 1, "Secure Download Mode on"),
        (ESP32_C3, "flash_vendor", 2, "GD"),
        (ESP32_C3, "key0", 2, ""),
    ],
)
def test_values_have_meanings(chip: Chip, name: str, value: int, meaning: str) -> None:
    assert efuses_with(chip, **{name: value})[name].meaning == meaning
