"""A chip is found by name, by image chip id or by magic word, and by one of them only."""

from __future__ import annotations

import attrs
import pytest

from esploader.chips.esp32 import ESP32
from esploader.chips.esp32s3 import ESP32_S3
from esploader.chips.model.chip import Chip
from esploader.chips.registry import (
    CHIPS,
    chip_by_image_id,
    chip_by_magic,
    chip_by_name,
    chip_by_uf2_family,
    registered,
    uf2_family_of,
)
from esploader.errors import UnsupportedError

chips = pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.key)


@chips
def test_a_chip_is_found_by_its_name_however_typed(chip: Chip) -> None:
    for name in (chip.name, chip.key, chip.key.upper(), chip.name.lower()):
        assert chip_by_name(name) is chip


def test_hyphens_and_parentheses_do_not_matter() -> None:
    assert chip_by_name("Esp32-S(3)") is ESP32_S3


@pytest.mark.parametrize("name", ["", "esp", "esp32c", "esp32 c3", "esp32c33", "auto"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        chip_by_name(name)

    assert caught.value.operation == f"chip {name!r}"
    assert caught.value.reason.endswith(", ".join(chip.key for chip in CHIPS))


@chips
def test_a_chip_is_detected_by_exactly_one_of_the_answers_its_rom_gives(chip: Chip) -> None:
    tells_its_id = chip.security_info_size == 20

    found = chip_by_image_id(chip.image_chip_id or 0) if tells_its_id else None
    recognised = None if chip.magic is None else chip_by_magic(chip.magic)

    assert [found, recognised].count(chip) == 1
    assert [found, recognised].count(None) == 1


@chips
def test_an_image_names_its_chip(chip: Chip) -> None:
    if chip.image_chip_id is None:
        assert chip.name == "ESP8266"
    else:
        assert chip_by_image_id(chip.image_chip_id) is chip


@chips
def test_a_uf2_file_names_its_chip(chip: Chip) -> None:
    family = uf2_family_of(chip.name)
    assert family == (chip.uf2_family if chip.knows("uf2_family") else None)
    assert family is None or chip_by_uf2_family(family) is chip


def test_what_no_chip_has_finds_none() -> None:
    assert chip_by_uf2_family(0) is None
    assert chip_by_image_id(0xFFFF) is None
    assert chip_by_magic(0) is None
    assert chip_by_magic(0xFFFF_FFFF) is None


def test_chip_id_zero_is_a_chip_id() -> None:
    assert chip_by_image_id(0) is ESP32


@pytest.mark.parametrize(
    "changes",
    [
        {"image_chip_id": 77, "magic": 77},
        {"name": "ESP32-X", "magic": 77},
        {"name": "ESP32-X", "image_chip_id": 77},
        {"name": "ESP-32", "image_chip_id": 77, "magic": 77},
    ],
    ids=["same name", "same id", "same magic", "same name as typed"],
)
def test_chips_that_cannot_be_told_apart_are_refused(changes: dict[str, object]) -> None:
    facts = {name: getattr(ESP32, name) for name in attrs.fields_dict(Chip)}

    with pytest.raises(ValueError, match="two chips share"):
        registered(ESP32, Chip(**{**facts, **changes}))


def test_what_chips_are_found_by_is_what_they_have() -> None:
    for row, chip in zip(CHIPS.rows, CHIPS, strict=True):
        assert (row.key, row.image_chip_id, row.magic) == (chip.key, chip.image_chip_id, chip.magic)
    assert registered(*CHIPS) == tuple(CHIPS)
    assert list(CHIPS[2:4]) == [CHIPS[2], CHIPS[3]]
    assert CHIPS[-1] is list(CHIPS)[-1]
