"""eFuses are built from the facts of the chip, so that reading them gives back what was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from described_chips import DESCRIBED
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp8266 import ESP8266
from esploader.chips.reading.efuses import efuse_fields
from esploader.simulator.config import DeviceConfig
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.personality import personality_of
from esploader.simulator.soc.efuses import build_efuses
from esploader.simulator.soc.flash_encryption import encrypt

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

every_chip = pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)


def words_of(config: DeviceConfig) -> dict[int, int]:
    return build_efuses(config, personality_of(config.chip))


@given(st.sampled_from(DESCRIBED), st.binary(min_size=6, max_size=6))
def test_the_mac_reads_back(chip: Chip, mac: bytes) -> None:
    words = words_of(DeviceConfig(chip=chip, mac=mac))

    assert chip.mac.extract(words).to_bytes(6, "big") == mac


@every_chip
def test_every_field_reads_back(chip: Chip) -> None:
    for name, bits in efuse_fields(chip).items():
        value = (1 << bits.width) - 1
        words = words_of(DeviceConfig(chip=chip, efuses={name: value}))

        assert bits.extract(words) == value


@pytest.mark.parametrize(("revision", "code"), [((0, 0), 0), ((1, 0), 1), ((2, 0), 3), ((3, 1), 7)])
def test_the_major_revision_of_the_esp32_is_coded(revision: tuple[int, int], code: int) -> None:
    assert ESP32.major_revision is not None
    words = words_of(DeviceConfig(chip=ESP32, revision=revision))

    assert ESP32.major_revision.extract(words) == code


def test_a_plain_revision_reads_back() -> None:
    assert ESP32_C3.major_revision is not None
    assert ESP32_C3.minor_revision is not None
    words = words_of(DeviceConfig(chip=ESP32_C3, revision=(1, 9)))

    assert ESP32_C3.major_revision.extract(words) == 1
    assert ESP32_C3.minor_revision.extract(words) == 9


@pytest.mark.parametrize(
    "config",
    [
        DeviceConfig(chip=ESP8266, revision=(1, 0)),
        DeviceConfig(chip=ESP32, revision=(4, 0)),
        DeviceConfig(chip=ESP32_C3, revision=(4, 0)),
        DeviceConfig(chip=ESP32_C3, revision=(0, 16)),
        DeviceConfig(chip=ESP32_C3, efuses={"no_such_field": 1}),
        DeviceConfig(chip=ESP32_C3, efuses={"package": 8}),
    ],
)
def test_what_a_chip_cannot_have_is_refused(config: DeviceConfig) -> None:
    with pytest.raises(ValueError, match=r"revision|field|fit"):
        words_of(config)


def test_seeds_make_macs_differ() -> None:
    macs = {
        ESP32_C3.mac.extract(words_of(DeviceConfig(chip=ESP32_C3, seed=seed))) for seed in range(5)
    }

    assert len(macs) == 5


def test_efuses_cannot_be_overwritten() -> None:
    device = SimulatedDevice(ESP32_C3)
    (address, *_) = ESP32_C3.mac.addresses
    before = device.memory.read_word(address)
    device.memory.write_word(address, 0x1234_5678)

    assert device.memory.read_word(address) == before != 0


def test_what_is_read_protected_reads_as_zero_and_still_encrypts() -> None:
    key = {"key0": 0x1234, "key_purpose_0": 4}
    plain = SimulatedDevice(ESP32_C3, efuses=key)
    hidden = SimulatedDevice(ESP32_C3, efuses={**key, "read_protection": 1})
    address = next(b.address for b in ESP32_C3.efuse_blocks if b.name == "BLOCK_KEY0")

    assert plain.memory.read_word(address) == 0x1234
    assert hidden.memory.read_word(address) == 0
    assert encrypt(hidden, 0, bytes(16)) == encrypt(plain, 0, bytes(16))
