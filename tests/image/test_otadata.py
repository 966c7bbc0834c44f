"""Which application boots, and that a change of it is safe wherever the power fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boot_choice import FACTORY, SECTOR, chosen, entry, otadata
from esploader.errors import PartitionTableError, PlanError
from esploader.image.otadata import (
    OtaEntry,
    OtaState,
    booting,
    next_slot,
    ota_slots,
    parse_otadata,
    steps_to_boot,
)
from esploader.image.partition import APP, Partition
from esploader.image.partitions import PartitionTable, parse_csv

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.image.otadata import SectorWrite

NUMBERS = (0, 1, 2, 3, 4, 7, 0x100, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFF0)
STATES = tuple(OtaState)


def a_table(slots: int, *, factory: bool = True) -> PartitionTable:
    lines = ["otadata,data,ota,0x9000,8K", *(["factory,app,factory,,64K"] if factory else [])]
    return parse_csv("\n".join(lines + [f"ota_{n},app,ota_{n},,64K" for n in range(slots)]))


def name_of(choice: int) -> str:
    return "factory" if choice == FACTORY else f"ota_{choice}"


def test_the_entry_that_esp_idf_writes() -> None:
    # The CRC32 of updates 1 and 2, as they are in the flash of any device that has had some.
    assert OtaEntry.of(1).to_bytes() == bytes.fromhex("01000000" + "ff" * 24 + "9a984347")
    assert OtaEntry.of(2).to_bytes() == bytes.fromhex("02000000" + "ff" * 24 + "7437f655")


@given(st.integers(0, 0xFFFF_FFFE))
def test_every_entry_is_the_one_written_down_once_more(sequence: int) -> None:
    assert OtaEntry.of(sequence).to_bytes() == entry(sequence)


CONTENTS = [
    pytest.param(otadata(), id="blank"),
    pytest.param(otadata(entry(1)), id="first"),
    pytest.param(otadata(b"", entry(2)), id="second"),
    pytest.param(otadata(entry(3), entry(2)), id="first newer"),
    pytest.param(otadata(entry(3), entry(4)), id="second newer"),
    pytest.param(otadata(entry(5), entry(5)), id="both alike"),
    pytest.param(otadata(entry(3), entry(4, crc=0)), id="newer damaged"),
    pytest.param(otadata(entry(3), entry(4, OtaState.INVALID)), id="newer invalid"),
    pytest.param(otadata(entry(4, OtaState.ABORTED), entry(3)), id="newer aborted"),
    pytest.param(otadata(entry(3, 3), entry(4, 4)), id="both given up"),
    pytest.param(otadata(entry(3), entry(4, OtaState.PENDING_VERIFY)), id="newer pending"),
    pytest.param(otadata(entry(4, OtaState.NEW), entry(3)), id="newer new"),
    pytest.param(otadata(entry(3, OtaState.VALID), entry(2, 77)), id="a state of its own"),
    pytest.param(otadata(entry(0)), id="number 0"),
    pytest.param(otadata(bytes(32), bytes(32)), id="zeros"),
    pytest.param(otadata(entry(0xFFFF_FFFE), entry(1)), id="the last number"),
    pytest.param(otadata(entry(0xFFFF_FFFF), entry(1)), id="no number"),
]


@pytest.mark.parametrize("factory", [True, False], ids=["factory", "none"])
@pytest.mark.parametrize("slots", [1, 2, 3, 16])
@pytest.mark.parametrize("content", CONTENTS)
def test_the_slot_that_boots(content: bytes, slots: int, *, factory: bool) -> None:
    found = booting(a_table(slots, factory=factory), parse_otadata(content))
    assert found is not None
    assert found.name == name_of(chosen(content, slots, has_factory=factory))


def test_without_otadata_factory_boots_then_a_slot_then_test() -> None:
    table = a_table(2)
    assert booting(table, None) == table["factory"]
    table = a_table(2, factory=False)
    assert booting(table, None) == table["ota_0"]
    table = parse_csv("t,app,test,,64K")
    assert booting(table, None) == table["t"]
    assert booting(parse_csv("d,data,fat,,64K"), None) is None
    assert booting(parse_csv("d,data,fat,,64K"), parse_otadata(otadata(entry(1)))) is None


def with_gap() -> PartitionTable:
    return parse_csv(
        "o,data,ota,,8K\nota_0,app,ota_0,,64K\nota_1,app,ota_1,,64K\nota_3,app,ota_3,,64K\n"
    )


def test_a_slot_behind_a_gap_is_out_of_reach() -> None:
    # A bootloader divides by three, finds no slot 2, and tries those with lower numbers.
    table = with_gap()
    assert [each.name for each in ota_slots(table)] == ["ota_0", "ota_1"]
    for sequence, name in ((1, "ota_0"), (2, "ota_1"), (3, "ota_1"), (4, "ota_0")):
        found = booting(table, parse_otadata(otadata(entry(sequence))))
        assert found == table[name]
    with pytest.raises(PlanError, match=r"ota_3 cannot be chosen: .* one of ota_0, ota_1$"):
        steps_to_boot(table, parse_otadata(otadata()), table["ota_3"])


def test_a_slot_without_lower_ones_leaves_it_to_factory() -> None:
    table = parse_csv("o,data,ota,,8K\nfactory,app,factory,,64K\nota_1,app,ota_1,,64K\n")
    assert ota_slots(table) == ()
    assert booting(table, parse_otadata(otadata(entry(1)))) == table["factory"]
    assert next_slot(table, parse_otadata(otadata())) is None


@pytest.mark.parametrize(
    ("content", "slots", "expected"),
    [
        (otadata(), 2, "ota_0"),
        (otadata(entry(1)), 2, "ota_1"),
        (otadata(entry(1), entry(2)), 2, "ota_0"),
        (otadata(entry(3)), 3, "ota_0"),
        (otadata(), 1, "ota_0"),
        (otadata(entry(1)), 1, None),
        (otadata(), 0, None),
    ],
)
def test_the_slot_of_the_next_update(content: bytes, slots: int, expected: str | None) -> None:
    found = next_slot(a_table(slots), parse_otadata(content))
    assert (found and found.name) == expected


def test_without_otadata_there_is_no_update() -> None:
    assert next_slot(a_table(2), None) is None


def states_on_the_way(content: bytes, steps: tuple[SectorWrite, ...]) -> Iterator[bytes]:
    """Yield what is in flash wherever the power may fail: after each byte, erased or written."""
    flash = bytearray(content)
    yield bytes(flash)
    for step in steps:
        start = step.sector * SECTOR
        # Behind the entry a sector holds nothing that anybody looks at.
        for position in (*range(40), SECTOR - 1):
            flash[start : start + position + 1] = b"\xff" * (position + 1)
            yield bytes(flash)
        flash[start : start + SECTOR] = b"\xff" * SECTOR
        for position in (*range(40), SECTOR - 1):
            flash[start : start + position + 1] = step.data[: position + 1]
            yield bytes(flash)


@pytest.mark.parametrize("factory", [True, False], ids=["factory", "none"])
@pytest.mark.parametrize("slots", [1, 2, 3, 5])
@pytest.mark.parametrize("content", CONTENTS)
def test_a_power_cut_at_any_byte_leaves_the_old_or_the_new(
    content: bytes, slots: int, *, factory: bool
) -> None:
    table = a_table(slots, factory=factory)
    old = chosen(content, slots, has_factory=factory)
    for new in range(FACTORY if factory else 0, slots):
        try:
            steps = steps_to_boot(table, parse_otadata(content), table[name_of(new)])
        except PlanError as exc:
            assert "no numbers left" in str(exc)  # noqa: PT017 - either will do
            assert content == otadata(entry(0xFFFF_FFFE), entry(1))
            continue
        assert all(len(step.data) == SECTOR for step in steps)
        choices = [
            chosen(state, slots, has_factory=factory) for state in states_on_the_way(content, steps)
        ]
        assert set(choices) <= {old, new}
        assert choices[-1] == new
        # Once the new one is chosen, that stays so.
        assert new == old or choices == sorted(choices, key=lambda choice: choice == new)


@given(
    st.tuples(*(st.sampled_from(NUMBERS), st.sampled_from(STATES)) * 2),
    st.integers(1, 16),
    st.data(),
)
def test_any_change_from_anything(
    numbers: tuple[int, OtaState, int, OtaState], slots: int, draw: st.DataObject
) -> None:
    table = a_table(slots)
    content = otadata(entry(*numbers[:2]), entry(*numbers[2:]))
    new = draw.draw(st.integers(FACTORY, slots - 1))
    steps = steps_to_boot(table, parse_otadata(content), table[name_of(new)])
    old = chosen(content, slots, has_factory=True)
    choices = {
        chosen(state, slots, has_factory=True) for state in states_on_the_way(content, steps)
    }
    assert choices <= {old, new}
    after = bytearray(content)
    for step in steps:
        after[step.sector * SECTOR : (step.sector + 1) * SECTOR] = step.data
    assert chosen(bytes(after), slots, has_factory=True) == new


def test_what_boots_already_needs_nothing() -> None:
    table = a_table(2)
    for state in (OtaState.VALID, OtaState.UNDEFINED):
        found = parse_otadata(otadata(entry(1), entry(2, state)))
        assert steps_to_boot(table, found, table["ota_1"]) == ()
    assert steps_to_boot(table, parse_otadata(otadata()), table["factory"]) == ()


@pytest.mark.parametrize("state", [OtaState.NEW, OtaState.PENDING_VERIFY, 77])
def test_what_may_be_given_up_is_chosen_anew(state: int) -> None:
    table = a_table(2)
    (step,) = steps_to_boot(
        table, parse_otadata(otadata(entry(1), entry(2, state))), table["ota_1"]
    )
    assert (step.sector, step.data[:32]) == (0, entry(4))


def test_numbers_go_up_by_as_little_as_possible() -> None:
    table = a_table(3)
    for slot, sequence in ((0, 7), (2, 6), (1, 8)):
        content = otadata(entry(5, OtaState.NEW), entry(4))
        (step,) = steps_to_boot(table, parse_otadata(content), table[f"ota_{slot}"])
        assert (step.sector, step.data[:32]) == (1, entry(sequence))


def test_what_can_never_be_chosen() -> None:
    table = a_table(0)
    stranger = Partition(name="x", type=APP, subtype=0x20, offset=0x9_0000, size=0x1000)
    with pytest.raises(PlanError, match=r"the slots for updates, of which there are none$"):
        steps_to_boot(table, parse_otadata(otadata()), stranger)


def test_every_cut_of_otadata_is_refused() -> None:
    content = otadata(entry(1), entry(2))
    for size in (*range(0, len(content), 61), len(content) - 1):
        with pytest.raises(PartitionTableError, match=f"and this one has {size:#x}"):
            parse_otadata(content[:size])
    assert parse_otadata(content + b"more").active == 1


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_any_bytes_lead_to_a_choice(first: bytes, second: bytes) -> None:
    content = otadata(first, second)
    found = booting(a_table(2), parse_otadata(content))
    assert found is not None
    assert found.name == name_of(chosen(content, 2, has_factory=True))
    assert all(each.state_name for each in parse_otadata(content).entries)
