"""Words of registers become the identity that users know from their chips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.chips.esp32 import ESP32
from esploader.chips.esp32s3 import ESP32_S3
from esploader.chips.esp8266 import ESP8266
from esploader.chips.model.revision import Revision
from esploader.chips.reading.identity import Identity, identify, identity_addresses
from esploader.chips.registry import CHIPS, chip_by_name
from esploader.errors import UnsupportedError

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

BAUDRATE = 115200

# esptool says v0.0 of every ESP32-E22, until somebody tells it where the revision is.
NOT_A_REVISION = {"esp32e22": " (revision v0.0)"}


class Row(TypedDict):
    """One device, as esptool saw it."""

    chip: str
    why: str
    words: dict[str, str]
    chip_type: str
    features: str
    crystal: str
    mac: str


ROWS: list[Row] = json.loads(
    (Path(__file__).parent / "recorded" / "identities.json").read_text(encoding="utf-8")
)["rows"]


def identify_from(chip: Chip, words: dict[int, int]) -> Identity:
    """Identify a device whose other words read as zero."""
    return identify(chip, dict.fromkeys(identity_addresses(chip), 0) | words, BAUDRATE)


@pytest.mark.parametrize("chip", sorted({row["chip"] for row in ROWS}))
def test_recorded_identities(chip: str) -> None:
    for row in ROWS:
        if row["chip"] == chip:
            assert_identity(row)


def assert_identity(row: Row) -> None:
    """Assert that we say of a device what esptool says."""
    words = {int(address, 16): int(word, 16) for address, word in row["words"].items()}

    identity = identify_from(chip_by_name(row["chip"]), words)

    suffix = f" (revision {identity.revision})"
    if identity.revision is None:
        suffix = NOT_A_REVISION.get(row["chip"], "")
    assert identity.description + suffix == row["chip_type"], row["why"]
    assert ", ".join(identity.features) == row["features"], row["why"]
    assert f"{identity.crystal_mhz}MHz" == row["crystal"], row["why"]
    assert (identity.eui64 or identity.mac) == row["mac"], row["why"]


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.key)
def test_the_recording_shows_every_description_and_feature(chip: Chip) -> None:
    rows = [row for row in ROWS if row["chip"] == chip.key]
    seen = " ".join(f"{row['chip_type']} {row['features']}" for row in rows)
    labels = [*chip.descriptions, *(label for group in chip.features for label in group)]

    for label in labels:
        assert label.text.split("{")[0] in seen


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.key)
def test_few_registers_are_read_and_each_once(chip: Chip) -> None:
    addresses = identity_addresses(chip)

    assert list(addresses) == sorted(set(addresses))
    # One burst: 16 READ_REG fill the smallest receive ring.
    assert len(addresses) <= 8


@given(st.sampled_from(CHIPS), st.data())
def test_any_words_give_an_identity_or_a_clear_refusal(chip: Chip, data: st.DataObject) -> None:
    words = {
        address: data.draw(st.integers(0, 0xFFFF_FFFF)) for address in identity_addresses(chip)
    }

    try:
        identity = identify(chip, words, data.draw(st.integers(1, 5_000_000)))
    except UnsupportedError:
        assert chip.mac_oui_code is not None
        return

    assert identity.description
    assert identity.crystal_mhz in chip.crystal.choices_mhz
    assert len(identity.mac_bytes) == 6
    assert bytes.fromhex(identity.mac.replace(":", "")) == identity.mac_bytes
    assert 0 <= identity.flash_pads < 1 << 30


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.key)
def test_an_eui64_is_the_mac_with_the_extension_in_its_middle(chip: Chip) -> None:
    words = chip.mac.insert(0x1122_3344_5566, {}) if chip.mac_oui_code is None else {}
    if chip.mac_extension is None:
        assert identify_from(chip, words).eui64 is None
        return

    identity = identify_from(chip, words | chip.mac_extension.insert(0xABCD, words))

    assert identity.mac == "11:22:33:44:55:66"
    assert identity.mac_extension == bytes.fromhex("abcd")
    assert identity.eui64 == "11:22:33:ab:cd:44:55:66"


def test_revisions_are_ordered_by_major_then_minor() -> None:
    assert Revision(0, 15) < Revision(1, 0) < Revision(1, 1) < Revision(3, 0)
    assert str(Revision(3, 1)) == "v3.1"


class TestEsp8266:
    """Words are OTP words 0 to 3."""

    OTP = 0x3FF0_0050

    def identify(self, *words: int) -> Identity:
        return identify_from(ESP8266, {self.OTP + 4 * n: word for n, word in enumerate(words)})

    def test_does_not_tell_its_revision(self) -> None:
        assert self.identify(0, 0, 0, 0).revision is None

    @pytest.mark.parametrize(
        ("words", "mac"),
        [
            ((0xC4_000000, 0x0000_1A2B, 0, 0), "18:fe:34:1a:2b:c4"),
            ((0xC4_000000, 0x0001_1A2B, 0, 0), "ac:d0:74:1a:2b:c4"),
            ((0xC4_000000, 0x0000_1A2B, 0, 0x005C_CF7F), "5c:cf:7f:1a:2b:c4"),
            ((0xC4_000000, 0x0002_1A2B, 0, 0x005C_CF7F), "5c:cf:7f:1a:2b:c4"),
            # The upper byte of the word is not part of the address.
            ((0xC4_000000, 0x0001_1A2B, 0, 0x0400_0000), "ac:d0:74:1a:2b:c4"),
        ],
        ids=["code 0", "code 1", "burnt", "burnt, odd code", "not burnt, capacity"],
    )
    def test_upper_half_of_the_mac_is_burnt_or_stands_for_a_code(
        self, words: tuple[int, ...], mac: str
    ) -> None:
        assert self.identify(*words).mac == mac

    def test_an_unknown_code_is_refused(self) -> None:
        with pytest.raises(UnsupportedError, match="0x02"):
            self.identify(0xC4_000000, 0x0002_1A2B, 0, 0)

    @pytest.mark.parametrize(
        ("words", "description"),
        [
            ((0x00, 0, 0, 0), "ESP8266EX"),
            ((0x10, 0, 0, 0), "ESP8285N08"),
            ((0x30, 0, 0, 0), "ESP8285H08"),
            ((0x10, 0, 0, 1 << 26), "ESP8285N16"),
            ((0x30, 0, 0, 1 << 26), "ESP8285H16"),
            ((0x00, 0, 1 << 16, 1 << 25), "ESP8285N16"),
            ((0x20, 0, 1 << 16, 1 << 25), "ESP8285H16"),
            ((0x10, 0, 0, 1 << 27), "ESP8285"),
            ((0x00, 0, 1 << 16, 0), "ESP8285"),
            ((0x20, 0, 0, 1 << 26), "ESP8266EX"),
        ],
    )
    def test_esp8285_is_told_by_either_mark(self, words: tuple[int, ...], description: str) -> None:
        identity = self.identify(*words)

        assert identity.description == description
        assert ("Embedded Flash" in identity.features) == description.startswith("ESP8285")

    def test_unique_id_is_the_lower_bytes_of_the_mac_and_the_code(self) -> None:
        assert self.identify(0xC4_000000, 0x0001_1A2B, 0, 0).unique_id == 0x011A_2BC4


class TestEsp32:
    """Words are those of BLOCK0, and the date register of the system controller."""

    BLOCK0 = 0x3FF5_A000
    DATE = 0x3FF6_607C

    @pytest.mark.parametrize(
        ("date", "bit20", "bit15", "major"),
        [
            (0, 0, 0, 0),
            (0, 0, 1, 1),
            (0, 1, 1, 2),
            (1, 1, 1, 3),
            (0, 1, 0, 0),
            (1, 0, 0, 0),
            (1, 0, 1, 0),
            (1, 1, 0, 0),
        ],
    )
    def test_major_revision_is_scattered(
        self, date: int, bit20: int, bit15: int, major: int
    ) -> None:
        words = {
            self.DATE: date << 31,
            self.BLOCK0 + 20: bit20 << 20 | 0b10 << 24,
            self.BLOCK0 + 12: bit15 << 15,
        }

        assert identify_from(ESP32, words).revision == Revision(major, 2)

    def test_mac_skips_its_checksum(self) -> None:
        words = {self.BLOCK0 + 4: 0xA412_3456, self.BLOCK0 + 8: 0xFF5A_30AE}

        assert identify_from(ESP32, words).mac == "30:ae:a4:12:34:56"

    def test_pads_of_embedded_flash_are_packed_for_spi_attach(self) -> None:
        # An ESP32-PICO-D4: CLK 6, Q 17, D 8, CS 16, HD 11.
        words = {
            self.BLOCK0 + 12: 11 << 4,
            self.BLOCK0 + 20: 6 | 17 << 5 | 8 << 10 | 16 << 15,
        }

        assert identify_from(ESP32, words).flash_pads == 0x0B40_8446
        assert identify_from(ESP32, {}).flash_pads == 0

    @pytest.mark.parametrize(
        ("divider", "crystal_mhz"), [(0, 26), (225, 26), (286, 26), (287, 40), (347, 40)]
    )
    def test_crystal_is_told_by_the_divider_of_the_uart(
        self, divider: int, crystal_mhz: int
    ) -> None:
        # The upper bits are the fraction.
        words = {0x3FF4_0014: 0xF << 20 | divider}

        assert identify_from(ESP32, words).crystal_mhz == crystal_mhz


class TestEsp32S3:
    """Words are those of BLOCK1 and BLOCK2."""

    BLOCK1 = 0x6000_7044
    BLOCK2 = 0x6000_705C

    @pytest.mark.parametrize(
        ("block", "major", "minor", "revision"),
        [
            ((1, 1), 1, 0, Revision(0, 0)),
            ((1, 1), 3, 8, Revision(0, 0)),
            ((1, 1), 1, 1, Revision(1, 1)),
            ((1, 1), 1, 9, Revision(1, 9)),
            ((1, 2), 1, 8, Revision(1, 8)),
            ((2, 1), 1, 0, Revision(1, 0)),
            ((0, 1), 1, 0, Revision(1, 0)),
        ],
    )
    def test_devices_of_revision_0_0_read_as_later_ones(
        self, block: tuple[int, int], major: int, minor: int, revision: Revision
    ) -> None:
        words = {
            self.BLOCK2 + 16: block[0],
            self.BLOCK1 + 12: block[1] << 24 | (minor & 7) << 18,
            self.BLOCK1 + 20: major << 24 | (minor >> 3) << 23,
        }

        assert identify_from(ESP32_S3, words).revision == revision

    def test_embedded_memory_is_a_feature_with_its_vendor(self) -> None:
        words = {
            self.BLOCK1 + 12: 1 << 27,
            self.BLOCK1 + 16: 2 | 0b10 << 3 | 0b01 << 7,
        }

        assert identify_from(ESP32_S3, words).features[-2:] == (
            "Embedded Flash 8MB (GD)",
            "Embedded PSRAM 2MB (AP_3v3)",
        )
