"""Bit fields give back what was put in, and a wrong description is refused at once."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.model.bits import BitField, Bits
from esploader.chips.model.chip import Chip, Region
from esploader.chips.model.crystals import AssumedCrystal, Crystal
from esploader.chips.model.efuse_layout import EfuseBlock, EfuseProtection, EfuseSpan
from esploader.chips.model.labels import Field, Label, When

WORDS = st.integers(0, 0xFFFF_FFFF)
ADDRESSES = (0x6000_0000, 0x6000_0004, 0x6000_0008)


@st.composite
def bit_fields(draw: st.DrawFn) -> BitField:
    """Return a field of one to four parts that share no bit."""
    free = {address: set(range(32)) for address in ADDRESSES}
    parts: list[Bits] = []
    for _ in range(draw(st.integers(1, 4))):
        address = draw(st.sampled_from(ADDRESSES))
        lsb = draw(st.integers(0, 31))
        width = draw(st.integers(1, 32 - lsb))
        bits = set(range(lsb, lsb + width))
        if bits <= free[address]:
            free[address] -= bits
            parts.append(Bits(address, lsb, width))
    return BitField(*(parts or [Bits(ADDRESSES[0], 0, 1)]))


@given(bit_fields(), st.data())
def test_extract_inverts_insert_and_no_other_bit_changes(
    field: BitField, data: st.DataObject
) -> None:
    words = {address: data.draw(WORDS) for address in ADDRESSES}
    value = data.draw(st.integers(0, (1 << field.width) - 1))

    changed = words | field.insert(value, words)

    assert field.extract(changed) == value
    assert changed | field.insert(field.extract(words), changed) == words


def test_the_first_part_is_the_most_significant() -> None:
    field = BitField(Bits(0x100, 23, 1), Bits(0x104, 18, 3))

    assert field.extract({0x100: 1 << 23, 0x104: 0b101 << 18}) == 0b1101
    assert field.addresses == (0x100, 0x104)
    assert field.width == 4


def test_words_that_are_not_given_count_as_zero_when_inserting() -> None:
    assert BitField(Bits(0x100, 4, 4)).insert(0xA, {}) == {0x100: 0xA0}


@pytest.mark.parametrize("value", [-1, 0b1_0000])
def test_a_value_that_does_not_fit_is_not_inserted(value: int) -> None:
    with pytest.raises(ValueError, match="does not fit 4 bits"):
        BitField(Bits(0x100, 0, 4)).insert(value, {})


@pytest.mark.parametrize(
    ("address", "lsb", "width"),
    [
        (0x100, 0, 33),
        (0x100, 31, 2),
        (0x100, -1, 2),
        (0x100, 0, 0),
        (0x102, 0, 1),
        (-4, 0, 1),
        (1 << 32, 0, 1),
    ],
)
def test_bits_lie_in_a_register(address: int, lsb: int, width: int) -> None:
    with pytest.raises(ValueError, match="register"):
        Bits(address, lsb, width)


def test_a_bit_field_has_a_part() -> None:
    with pytest.raises(ValueError, match="at least one part"):
        BitField()


@pytest.mark.parametrize(("start", "end"), [(4, 4), (8, 4), (-4, 4), (0, (1 << 32) + 1)])
def test_a_region_is_a_range_of_the_address_space(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="not a range"):
        Region("dram", start, end)


def test_a_region_may_reach_the_end_of_the_address_space() -> None:
    assert Region("all", 0, 1 << 32).size == 1 << 32


@pytest.mark.parametrize(("address", "count"), [(0x102, 1), (0x100, 0), (0xFFFF_FFFC, 2)])
def test_an_efuse_block_is_a_range_of_registers(address: int, count: int) -> None:
    with pytest.raises(ValueError, match="not a range of registers"):
        EfuseBlock("BLOCK0", address, count)


@pytest.mark.parametrize(
    ("choices", "bounds", "ratio"),
    [
        ((26, 40), (), 1),
        ((40,), (33,), 1),
        ((40, 26), (33,), 1),
        ((26, 40), (45,), 1),
        ((26, 40), (33,), 0),
    ],
    ids=["bound missing", "bound too many", "descending", "bound outside", "no clock"],
)
def test_a_crystal_makes_sense(
    choices: tuple[int, ...], bounds: tuple[int, ...], ratio: int
) -> None:
    with pytest.raises(ValueError, match="Crystal"):
        Crystal(choices_mhz=choices, bounds_mhz=bounds, uart_clock_ratio=ratio)


def test_a_rom_may_measure_its_crystal_or_always_assume_the_same() -> None:
    ratio = BitField(Bits(0x100, 4, 8))
    measured = AssumedCrystal(factors=(ratio, ratio), numerator=10_000, denominator=2)
    assert measured.addresses == (0x100,)
    assert measured.frequency({0x100: 90 << 4}) == 40_500_000
    assert measured.frequency({0x100: 0}) == 0
    constant = AssumedCrystal(factors=(), numerator=40_000_000)
    assert (constant.addresses, constant.frequency({})) == ((), 40_000_000)


@pytest.mark.parametrize(("numerator", "denominator"), [(0, 1), (1, 0)])
def test_an_assumed_crystal_makes_sense(numerator: int, denominator: int) -> None:
    with pytest.raises(ValueError, match="AssumedCrystal"):
        AssumedCrystal(factors=(), numerator=numerator, denominator=denominator)


def test_spi_registers_have_addresses_of_their_own() -> None:
    with pytest.raises(ValueError, match="two of SPI register"):
        attrs.evolve(ESP32_C3.spi, usr1=ESP32_C3.spi.usr2)
    with pytest.raises(ValueError, match="outside the address space"):
        attrs.evolve(ESP32_C3.spi, miso_dlen=0x2A)


_PACKAGE = Field("package", BitField(Bits(0x100, 0, 3)))
_ALWAYS = Label("a device")
_LOCKS = BitField(Bits(0x104, 0, 7))

BROKEN: dict[str, dict[str, object]] = {
    "cannot be recognised": {"image_chip_id": None, "magic": None},
    "address of a register": {"uart_date_register": 0x6000_0001},
    "their list, or neither": {"mac_ouis": ((0, 0x18_FE34),)},
    "one half of a revision": {"minor_revision": None},
    "two of region 'dram'": {"memory": (Region("dram", 0, 4), Region("dram", 4, 8))},
    "two of field 'package'": {"fields": (*ESP32_C3.fields, _PACKAGE)},
    "two of eFuse block": {"efuse_blocks": ESP32_C3.efuse_blocks * 2},
    "no EfuseSpan": {
        "efuse_read_protection": EfuseProtection(_LOCKS, ((0, EfuseSpan("BLOCK1", 190, 3)),))
    },
    "two of flash parameter '1MB'": {"flash_sizes": (("1MB", 0), ("1MB", 1))},
    "that is not there": {"descriptions": (Label("x", (When("packag", (0,)),)), _ALWAYS)},
    "depends on a field": {"features": ((Label("{capacity}"),),)},
    "depends on": {"features": ((Label("{major}"),),)},
    "always applies": {"descriptions": (Label("x", (When("package", (0,)),)),)},
    "needs a description": {"descriptions": ()},
    "needs a stub that": {"stub_files": (Label("old", (When("major", (0,)),)),)},
}


@pytest.mark.parametrize(("message", "changes"), BROKEN.items(), ids=BROKEN)
def test_a_wrong_description_of_a_chip_is_refused(message: str, changes: dict[str, object]) -> None:
    facts = {name: getattr(ESP32_C3, name) for name in attrs.fields_dict(Chip)}

    with pytest.raises(ValueError, match=message):
        Chip(**{**facts, **changes})


def test_a_value_without_a_name_is_called_nothing() -> None:
    vendor = Field("vendor", BitField(Bits(0x100, 0, 3)), names=((1, "XMC"),))

    assert vendor.name_of(1) == "XMC"
    assert vendor.name_of(7) == ""


def test_an_unknown_field_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        ESP32_C3.field("voltage")


@pytest.mark.parametrize(
    ("message", "covers"),
    [
        ("there is no bit 7", ((7, EfuseSpan("BLOCK1", 0, 1)),)),
        ("protected twice", ((0, EfuseSpan("BLOCK1", 0, 4)), (1, EfuseSpan("BLOCK1", 3, 1)))),
    ],
)
def test_a_protection_that_makes_no_sense_is_refused(
    message: str, covers: tuple[tuple[int, EfuseSpan], ...]
) -> None:
    with pytest.raises(ValueError, match=message):
        EfuseProtection(_LOCKS, covers)


@pytest.mark.parametrize(("first", "width"), [(-1, 1), (0, 0)])
def test_an_empty_span_is_refused(first: int, width: int) -> None:
    with pytest.raises(ValueError, match="is empty"):
        EfuseSpan("BLOCK1", first, width)


def test_spans_overlap_in_the_same_block_only() -> None:
    span = EfuseSpan("BLOCK1", 8, 8)

    assert span.overlaps(EfuseSpan("BLOCK1", 15, 1))
    assert span.overlaps(EfuseSpan("BLOCK1", 0, 9))
    assert not span.overlaps(EfuseSpan("BLOCK1", 16, 1))
    assert not span.overlaps(EfuseSpan("BLOCK1", 0, 8))
    assert not span.overlaps(EfuseSpan("BLOCK2", 8, 8))
